"""A kernel's life: start, work, interrupt, restart, end; in each kind of image."""
from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Iterator

import pytest
import zmq
from jupyter_client.manager import AsyncKernelManager, KernelManager

from lpmx_jupyter.provisioner import LpmxProvisioner
from lpmx_jupyter.session import Settings, clear_abandoned
from lpmx_runtime.container import processes
from lpmx_runtime.store import Store
from support.notebooks import Jupyter, Running
from support.waiting import until
from traitlets.config import Config
from zmq.utils.monitor import recv_monitor_message


def test_kernel_sees_the_files_of_its_image(jupyter: Jupyter) -> None:
    """Python, and the programs it starts, read the image's files and not the host's."""
    kernel = jupyter.start(jupyter.install("tiny"))

    assert "root:x:0:0:root:/root:/bin/sh" == kernel.text("print(open('/etc/passwd').read())")
    assert "root:x:0:0:root:/root:/bin/sh" == kernel.text("!cat /etc/passwd")
    assert "['group', 'passwd']" == kernel.text("""
        import os
        print(sorted(set(os.listdir('/etc')) - {'hosts', 'resolv.conf'}))""")
    assert "0 root" == kernel.text("import pwd; print(os.getuid(), pwd.getpwuid(0).pw_name)")
    assert "BusyBox" in kernel.text("""
        import subprocess
        print(subprocess.run(['busybox'], stdout=-1, stderr=-2, text=True).stdout)""")


def test_image_without_python_gets_the_hosts_in_a_kernel_view(jupyter: Jupyter) -> None:
    """The interpreter and its packages are the host's, extension modules included."""
    kernel = jupyter.start(jupyter.install("tiny"))

    assert sys.executable == kernel.text("import sys; print(sys.executable)")
    assert "True" == kernel.text("import ssl, sqlite3, ctypes, zmq, IPython; print(True)")
    assert "{'a': 1}" == kernel.text("""
        import multiprocessing, subprocess
        out = subprocess.run([sys.executable, '-c', 'import json; print(json.loads(\\'{"a": 1}\\'))'],
                             stdout=-1, text=True, check=True)
        print(out.stdout)""")
    assert "Read-only file system" in kernel.text(f"""
        try:
            open({sys.prefix!r} + '/made-here', 'w')
        except OSError as error:
            print(error.strerror)""")


def test_program_that_a_kernel_view_executes_is_back_in_the_container(jupyter: Jupyter) -> None:
    """The host's Python is shown to the kernel alone."""
    kernel = jupyter.start(jupyter.install("tiny"))

    assert "no python" == kernel.text(f"!test -e {sys.prefix}/pyvenv.cfg && echo there || echo no python")


def test_image_with_ipykernel_runs_its_own(jupyter: Jupyter) -> None:
    """A kernel spec in one of the image's environments is found, and its Python runs."""
    kernel = jupyter.start(jupyter.install("kernel"))

    assert "/opt/venv/bin/python" == kernel.text("import sys; print(sys.executable)")
    assert "/opt/venv/lib" in kernel.text("import ipykernel; print(ipykernel.__file__)")


def test_kernel_begins_in_the_notebooks_folder(kernel: Running, jupyter: Jupyter) -> None:
    """Relative paths are the notebook's, and what is written there is really there."""
    assert str(jupyter.folder) == kernel.text("import os; print(os.getcwd())")

    kernel.text("open('result.txt', 'w').write('42')")

    assert "42" == (jupyter.folder / "result.txt").read_text()


def test_folder_that_cannot_be_shown_is_told(jupyter: Jupyter, capfd: pytest.CaptureFixture[str]) -> None:
    """Before the first cell's output, once; by a front end that knows no provisioners, too."""
    name = jupyter.install("tiny")
    kernel = jupyter.start(name, cwd="/etc")

    first, second = (kernel.run("import os; print(os.getcwd())") for _ in range(2))

    assert first.text.startswith('lpmx: cannot begin in the notebook\'s folder "/etc": '), first
    assert "\nhint: " in first.text and first.text.endswith(second.text) and "/etc" != second.text.strip()
    assert "LPMX_KERNEL_WARNING" not in kernel.text("print(dict(os.environ))")
    path = jupyter.data / "kernels" / name / "kernel.json"
    values = json.loads(path.read_text())
    del values["metadata"]["kernel_provisioner"]
    path.write_text(json.dumps(values))
    jupyter.start(name, cwd="/etc").shutdown()
    assert 'lpmx: cannot begin in the notebook\'s folder "/etc": ' in capfd.readouterr().err


def test_what_a_cell_writes_elsewhere_stays_in_the_container(kernel: Running) -> None:
    """Files of the image can be changed; the host's stay as they are."""
    name = f"/var/tmp/made-by-{os.getpid()}"

    kernel.text(f"import os; os.makedirs('/var/tmp', exist_ok=True); open({name!r}, 'w').write('x')")

    assert "x" == kernel.text(f"!cat {name}")
    assert not os.path.exists(name)


def test_interrupt_stops_a_cell_and_keeps_the_kernel(kernel: Running) -> None:
    """A busy loop, a sleep and a program started with ! end with KeyboardInterrupt."""
    kernel.text("kept = 41")
    for code in ("while True: pass", "import time; time.sleep(60)",
                 "import subprocess; subprocess.run(['sleep', '60'])"):
        message = kernel.begin(f"print('begun', flush=True)\n{code}", "begun")

        start = time.monotonic()
        kernel.manager.interrupt_kernel()
        reply = kernel.reply(message)

        assert ("error", "KeyboardInterrupt") == (reply["status"], reply["ename"])
        assert time.monotonic() - start < 10
    assert "41" == kernel.text("print(kept)")


def test_restart_forgets_the_kernel_and_keeps_the_container(kernel: Running,
                                                             jupyter: Jupyter) -> None:
    """Python's state goes; files and variables of the container stay."""
    before = jupyter.containers()
    kernel.text("import os; os.makedirs('/var/tmp', exist_ok=True)\n"
                "open('/var/tmp/kept-file', 'w').write('here'); forgotten = 1")
    kernel.text("%lpmx env set KEPT=yes")

    kernel.restart()

    assert "NameError" in kernel.run("forgotten").error
    assert "here yes" == kernel.text("import os; print(open('/var/tmp/kept-file').read(), os.environ['KEPT'])")
    assert before == jupyter.containers()


def test_immediate_restart_keeps_the_container(kernel: Running, jupyter: Jupyter) -> None:
    """A restart that kills is told `restart=False` on the way, and must not lose the files."""
    before = jupyter.containers()
    kernel.client.execute("import time; time.sleep(100)")

    kernel.restart(now=True)

    assert "2" == kernel.text("print(1 + 1)")
    assert before == jupyter.containers()


@pytest.mark.parametrize("now", [False, True], ids=["politely", "at once"])
def test_shutdown_ends_all_that_the_kernel_started(jupyter: Jupyter, now: bool) -> None:
    """Daemons in sessions of their own, and calls to the host, go with the kernel."""
    kernel = jupyter.start(jupyter.install("tiny"))
    pids = kernel.text("""
        import subprocess
        a = subprocess.Popen(['setsid', 'sleep', '1000'])
        b = subprocess.Popen(['sh', '-c', 'trap "" TERM INT HUP; (sleep 1000 & echo $!); sleep 1000'],
                             stdout=subprocess.PIPE, text=True, start_new_session=True)
        c = subprocess.Popen(['/.lpmx/bin/lpmx', 'host', 'sleep', '1000'])
        print(a.pid, b.pid, b.stdout.readline().strip(), c.pid)""").split()
    assert all(_alive(pid) for pid in pids)

    kernel.shutdown(now=now)

    assert [] == [pid for pid in pids if _alive(pid)]
    assert [] == jupyter.leftovers()


def test_restart_ends_what_the_old_kernel_left_running(jupyter: Jupyter) -> None:
    """A new kernel does not share its container with the old one's daemons."""
    kernel = jupyter.start(jupyter.install("tiny"))
    pid = kernel.text("import subprocess; print(subprocess.Popen(['setsid', 'sleep', '1000']).pid)")

    kernel.restart()

    assert not _alive(pid)


def test_shutdown_while_starting_leaves_nothing(jupyter: Jupyter) -> None:
    """A kernel that has not answered yet is ended like any other."""
    name = jupyter.install("tiny")
    for pause in (0.0, 0.1, 0.4):
        manager = jupyter.manager(name)
        manager.start_kernel(cwd=str(jupyter.folder))
        time.sleep(pause)

        manager.shutdown_kernel()

        assert [] == jupyter.leftovers()


def test_forgotten_kernel_is_cleared_away(jupyter: Jupyter) -> None:
    """A manager that nobody shuts down takes its container with it when it goes."""
    name = jupyter.install("tiny")
    code = ("from jupyter_client.manager import AsyncKernelManager, KernelManager\n"
            f"manager = KernelManager(kernel_name={name!r})\nmanager.start_kernel()\n")

    subprocess.run([sys.executable, "-c", code], cwd=jupyter.folder, check=True, timeout=60)

    assert [] == jupyter.containers()


def test_what_a_killed_server_left_is_cleared_away_by_the_next_start(
        jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL gives nobody a chance; the next kernel finds processes and container, and ends them.
    Not one in another name space of processes, to which the server may only seem to be gone."""
    name = jupyter.install("tiny")
    code = ("import os, signal\nfrom jupyter_client.manager import AsyncKernelManager, KernelManager\n"
            f"manager = KernelManager(kernel_name={name!r})\nmanager.start_kernel()\n"
            "client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=60)\n"
            "client.execute_interactive('import subprocess; subprocess.Popen([\"setsid\", \"sleep\", \"1000\"])')\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n")
    killed = subprocess.run([sys.executable, "-c", code], cwd=jupyter.folder, timeout=60)
    assert -signal.SIGKILL == killed.returncode
    [left] = jupyter.containers()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(processes, "where", lambda: f"{os.uname().nodename} pid:[1]")
        clear_abandoned(Store.open())
    assert [left] == jupyter.containers()

    kernel = jupyter.start(name)

    assert 1 == len(jupyter.containers())
    assert "0" == kernel.text("!ps | grep -c '[s]leep 1000' ; true")
    kernel.shutdown()
    for path in jupyter.runtime.glob("kernel-*.json"):
        path.unlink()  # Jupyter's own: it belongs to the killed server


def test_kernel_without_provisioner_runs_by_its_argv(jupyter: Jupyter) -> None:
    """A front end that knows no provisioners starts kernel.json's argv, over ports."""
    name = jupyter.install("tiny")
    path = jupyter.data / "kernels" / name / "kernel.json"
    values = json.loads(path.read_text())
    del values["metadata"]["kernel_provisioner"]
    path.write_text(json.dumps(values))
    kernel = jupyter.start(name)

    assert "tcp" == kernel.manager.transport
    assert "root:x:0:0:root:/root:/bin/sh" == kernel.text("print(open('/etc/passwd').read())")
    message = kernel.begin("print('begun', flush=True)\nimport time; time.sleep(60)", "begun")
    kernel.manager.interrupt_kernel()
    assert "KeyboardInterrupt" == kernel.reply(message)["ename"]
    pid = kernel.text("import os; print(os.getpid())")
    kernel.shutdown()
    assert not _alive(pid)
    assert [] == jupyter.containers()


def test_kernel_dies_with_a_launcher_that_is_killed(jupyter: Jupyter) -> None:
    """SIGKILL reaches the launcher only; the system ends the kernel with it."""
    name = jupyter.install("tiny")
    path = jupyter.data / "kernels" / name / "kernel.json"
    values = json.loads(path.read_text())
    del values["metadata"]["kernel_provisioner"]
    path.write_text(json.dumps(values))
    kernel = jupyter.start(name)
    pid = kernel.text("import os; print(os.getpid())")

    os.kill(kernel.manager.provisioner.process.pid, signal.SIGKILL)

    until(lambda: not _alive(pid), patience=10)
    kernel.shutdown(now=True)
    jupyter.start(jupyter.install("tiny")).shutdown()
    assert [] == jupyter.containers()


def test_transport_may_be_tcp(jupyter: Jupyter) -> None:
    """Ports, for those who ask for them."""
    kernel = jupyter.start(jupyter.install("tiny", transport="tcp"))

    assert "tcp" == kernel.manager.transport
    assert "2" == kernel.text("print(1 + 1)")


def test_settings_may_come_from_jupyters_configuration(jupyter: Jupyter) -> None:
    """`c.LpmxProvisioner...` in jupyter_server_config.py: what a kernel spec does not say. All have a help."""
    manager = jupyter.manager(jupyter.install("tiny"))
    manager.config = Config(LpmxProvisioner={"transport": "tcp", "env": {"OF_SITE": "yes"}})
    manager.start_kernel(cwd=str(jupyter.folder))
    jupyter.running.append(Running(manager))

    assert "tcp" == manager.transport
    assert "yes" == jupyter.running[-1].text("import os; print(os.environ['OF_SITE'])")
    settings = LpmxProvisioner.class_own_traits(config=True)
    assert {one.name for one in fields(Settings)} < set(settings)
    assert all(trait.help for trait in settings.values())


@pytest.mark.parametrize("image,transport", [("tiny", "tcp"), ("kernel", "ipc")])
def test_connections_may_be_encrypted(jupyter: Jupyter, image: str, transport: str) -> None:
    """By CurveZMQ, as Jupyter's own setting asks for it: who has no key of the kernel's is turned away.
    Of the host's Python and of an image's own ipykernel; restarts keep it."""
    kernel = jupyter.start(jupyter.install(image, transport=transport), transport_encryption="required")

    info = kernel.manager.get_connection_info()
    assert transport == info["transport"]
    assert "2" == kernel.text("print(1 + 1)")
    kernel.restart()
    assert "3" == kernel.text("print(1 + 2)")
    joint = {"tcp": ":", "ipc": "-"}[transport]
    address = f"{transport}://{info['ip']}{joint}{info['hb_port']}"
    assert _greeted(address, info["curve_publickey"])
    assert not _greeted(address, None)


def _greeted(address: str, key: "str | None") -> bool:
    """Whether a kernel talks with somebody who has this public key of its, or none."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        if key is not None:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = key.encode()
        monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        socket.connect(address)
        said = recv_monitor_message(monitor)["event"]
        socket.disable_monitor()
        monitor.close()
        return bool(said == zmq.EVENT_HANDSHAKE_SUCCEEDED)


def test_sockets_are_private(jupyter: Jupyter) -> None:
    """By default a kernel's five channels are sockets in a folder that only its user can enter.
    A port of its own, which is no channel, ipykernel opens either way."""
    kernel = jupyter.start(jupyter.install("tiny"))
    by_port = jupyter.start(jupyter.install("tiny", transport="tcp"))

    folder = Path(kernel.manager.ip).parent
    assert "ipc" == kernel.manager.transport
    assert 0o700 == folder.stat().st_mode & 0o777
    assert ["2", "2"] == [each.text("print(1 + 1)") for each in (kernel, by_port)]
    assert 5 == _listening(by_port) - _listening(kernel)


def test_kernel_has_its_sockets_under_short_names(jupyter: Jupyter) -> None:
    """Kernels made with xeus can do with 31 bytes of an address; the front end's may be longer."""
    kernel = jupyter.start(jupyter.install("tiny"))

    name = kernel.text("import ipykernel.connect, json\n"
                       "print(json.loads(ipykernel.connect.get_connection_info())['ip'])")

    assert len(f"ipc://{name}-5") <= 31 < len(f"ipc://{kernel.manager.ip}-5")


def _listening(kernel: Running) -> int:
    """At how many ports its process waits for connections."""
    pid = kernel.manager.provisioner.process.pid
    own = {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for table in ("tcp", "tcp6")
             for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return sum(fields[3] == "0A" and f"socket:[{fields[9]}]" in own for fields in lines)


def test_limits_of_the_surrounding_job_hold(jupyter: Jupyter) -> None:
    """CPU set, memory, files and control group are the server's, for Python and for programs of
    the image."""
    memory, files = 64 << 30, 300
    cpu = min(os.sched_getaffinity(0))
    with _limited(cpu, {resource.RLIMIT_AS: memory, resource.RLIMIT_NOFILE: files}):
        kernel = jupyter.start(jupyter.install("tiny"))

    assert str({cpu}) == kernel.text("import os; print(os.sched_getaffinity(0))")
    assert f"1 {memory >> 10} {files}" == kernel.text("!echo $(nproc) $(ulimit -v) $(ulimit -n)")
    assert Path("/proc/self/cgroup").read_text().strip() == kernel.text(
        "print(open('/proc/self/cgroup').read())")


@contextmanager
def _limited(cpu: int, limits: "dict[int, int]") -> Iterator[None]:
    """This process, on one CPU and with these soft limits for a while."""
    cpus, before = os.sched_getaffinity(0), {one: resource.getrlimit(one) for one in limits}
    try:
        os.sched_setaffinity(0, {cpu})
        for one, value in limits.items():
            resource.setrlimit(one, (value, before[one][1]))
        yield
    finally:
        os.sched_setaffinity(0, cpus)
        for one, values in before.items():
            resource.setrlimit(one, values)


def test_secrets_of_the_server_do_not_enter(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's token and other variables of the server stay outside."""
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t0ken-of-the-hub")
    monkeypatch.setenv("JPY_API_TOKEN", "t0ken-of-old-hubs")
    monkeypatch.setenv("MY_PASSWORD", "s3cret")
    kernel = jupyter.start(jupyter.install("tiny"), env={**os.environ, "MEANT_FOR_IT": "yes"})

    seen = kernel.text("import os; print(dict(os.environ)); print(open('/proc/self/environ').read())")

    assert "t0ken" not in seen
    assert "s3cret" not in seen
    assert "yes" == kernel.text("print(os.environ['MEANT_FOR_IT'])")


def test_our_own_directory_is_not_in_pythonpath(kernel: Running) -> None:
    """Programs that a notebook starts do not find our modules."""
    assert "False" == kernel.text("import os; print('PYTHONPATH' in os.environ)")


def test_kernels_may_share_a_container_that_stays(jupyter: Jupyter) -> None:
    """A container with a name serves several kernels and outlives them."""
    name = jupyter.install("tiny", container="together")
    first, second = jupyter.start(name), jupyter.start(name)
    first.text("open('/root/note', 'w').write('from the first')")
    pid = second.text("import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)")

    first.shutdown()

    assert _alive(pid)
    assert "from the first" == second.text("print(open('/root/note').read())")
    second.shutdown()
    assert not _alive(pid)
    assert ["together"] == jupyter.containers()
    third = jupyter.start(name)
    assert "from the first" == third.text("print(open('/root/note').read())")
    third.shutdown()
    _remove(jupyter, "together")


def test_contained_kernel_does_not_see_the_home(jupyter: Jupyter) -> None:
    """With `contain`, neither home nor notebook folder is there."""
    (jupyter.folder / "notes").write_text("private")
    plain, contained = (jupyter.start(jupyter.install("tiny", name=f"contain-{contain}".lower(),
                                                      contain=contain))
                        for contain in (False, True))
    look = (f"import os; print(os.path.exists({str(jupyter.folder / 'notes')!r}), "
            f"os.path.exists({os.environ['HOME']!r}))")

    assert "True True" == plain.text(look)
    assert "False" == contained.text(look).split()[0]
    assert [] == sorted(set(contained.text(
        f"import os; print(*os.listdir({os.environ['HOME']!r}))").split()) - {"run"})


def test_bind_shows_a_place_of_the_host(jupyter: Jupyter, tmp_path: Path) -> None:
    """`--bind SRC:DST:ro` of `lpmx kernel install`."""
    (tmp_path / "data-set").mkdir()
    (tmp_path / "data-set" / "numbers").write_text("1 2 3")
    kernel = jupyter.start(jupyter.install("tiny", binds=(f"{tmp_path}/data-set:/data:ro",)))

    assert "1 2 3" == kernel.text("print(open('/data/numbers').read())")


def test_paths_that_the_kernel_speaks_of_are_found_on_the_host(jupyter: Jupyter) -> None:
    """For links to files in tracebacks: the upper's file, the notebook folder's, the image's."""
    kernel = jupyter.start(jupyter.install("tiny"))
    kernel.text("open('/root/made', 'w').write('m'); open('beside.txt', 'w').write('b')")

    made, beside, image = (kernel.manager.resolve_path(path)
                           for path in ("/root/made", "beside.txt", "/bin/busybox"))

    assert "m" == Path(str(made)).read_text()
    assert str(jupyter.folder / "beside.txt") == beside
    assert str(jupyter.loaded.path / "layers") in str(image)
    assert kernel.manager.resolve_path("/no/such/file") is None


def test_sockets_find_a_short_place(jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the runtime directory's name is too long for sockets, they go elsewhere."""
    deep = jupyter.root / ("d" * 100)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))

    kernel = jupyter.start(jupyter.install("tiny"))

    folder = Path(kernel.manager.ip).parent
    assert "2" == kernel.text("print(1 + 1)")
    assert str(deep) not in str(folder)
    assert 0o700 == folder.stat().st_mode & 0o777
    kernel.shutdown()
    assert not folder.exists()


@pytest.fixture
def manager_of(jupyter: Jupyter) -> Any:
    """A manager for a spec whose config was changed by hand."""
    def make(**config: Any) -> KernelManager:
        name = jupyter.install("tiny")
        path = jupyter.data / "kernels" / name / "kernel.json"
        values = json.loads(path.read_text())
        values["metadata"]["kernel_provisioner"]["config"].update(config)
        path.write_text(json.dumps(values))
        return jupyter.manager(name)
    return make


@pytest.mark.parametrize("config,message", [
    ({"image": "no/such:image"}, 'cannot find image "no/such:image": it is not in the store'),
    ({"image": "UPPER:case"}, 'UPPER:case'),
    ({"kernel": "julia"}, 'cannot start kernel "julia": image "lpmx-test/tiny:1" has no kernel of '
                          "this name"),
    ({"binds": ["/no/such/place"]}, 'cannot bind "/no/such/place"'),
    ({"user": "nobody-here"}, 'cannot run as "nobody-here"'),
    ({"colour": "red"}, '"colour" is no setting of the LPMX provisioner'),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else None)
def test_start_that_fails_says_why_and_undoes_itself(manager_of: Any, jupyter: Jupyter,
                                                     config: Any, message: str) -> None:
    """The message names the thing and the next step; nothing is left of the attempt."""
    manager = manager_of(**config)

    with pytest.raises(RuntimeError) as raised:
        manager.start_kernel()

    assert message in str(raised.value)
    assert "\nhint: " in str(raised.value)
    assert not manager.has_kernel
    assert [] == jupyter.leftovers()


def test_kernel_whose_program_cannot_run_fails_to_start(jupyter: Jupyter) -> None:
    """A Python that ends at once is a failed start, not a kernel that dies again and again."""
    name = jupyter.install("kernel", container="broken")
    kernel = jupyter.start(name)
    kernel.text("!ln -sf /bin/false /opt/venv/bin/python")
    kernel.shutdown()
    manager = jupyter.manager(name)

    with pytest.raises(RuntimeError, match="ended at once with exit code 1"):
        manager.start_kernel()

    assert not manager.has_kernel
    _remove(jupyter, "broken")


def test_start_that_is_cancelled_leaves_nothing(jupyter: Jupyter) -> None:
    """Whoever gives up waiting for a start, at any moment, leaves no half-made container."""
    name = jupyter.install("tiny")

    async def give_up_after(seconds: float) -> None:
        manager = AsyncKernelManager(kernel_name=name)
        start = asyncio.ensure_future(manager.start_kernel(cwd=str(jupyter.folder)))
        await asyncio.sleep(seconds)
        start.cancel()
        await asyncio.wait([start])
        assert start.cancelled()
        assert not manager.has_kernel

    for seconds in (0.001, 0.02, 0.05, 0.15, 0.3):
        asyncio.run(give_up_after(seconds))

        assert [] == jupyter.leftovers()


# -- helpers


def _remove(jupyter: Jupyter, container: str) -> None:
    from lpmx_runtime.container import Container
    from lpmx_runtime.store import Store
    Container.open(Store.open(jupyter.loaded.path), container).remove()


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
