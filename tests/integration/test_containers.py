"""Containers that exist: what runs in them, ending it, removing them, their live variables."""
from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import pytest


@pytest.fixture
def container(loaded, opened):
    """A container of the tiny image, removed afterwards."""
    from lpmx_runtime.container import Container
    container = Container.create(opened, opened.images.find(loaded("tiny")))
    yield container
    if container.directory.exists():
        container.remove(force=True)


@pytest.fixture
def started(container):
    """Start a program in the container; it has printed its first line when this returns."""
    running = []

    def start(*argv, **options):
        from lpmx_runtime.container import process
        child = process.popen(container.launch(argv, entrypoint=False), stdout=subprocess.PIPE,
                              text=True, **options)
        running.append(child)
        child.first_line = child.stdout.readline()
        return child

    yield start
    for child in running:
        child.kill()
        child.wait()
        child.stdout.close()


SLEEPER = ("sh", "-c", "echo ready; exec sleep 1000")


# -- what runs


def test_processes_are_those_of_the_container(container, started):
    """With their own names, not with ours."""
    child = started(*SLEEPER)
    wait_for(lambda: [p.argv for p in container.processes()] == [("sleep", "1000")])

    found = container.processes()

    assert [child.pid] == [process.pid for process in found]
    assert abs(found[0].started - time.time()) < 30
    assert container.running and not found[0].host_call


def wait_for(condition, patience=10.0):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_daemon_with_an_empty_environment_is_found(container, started):
    """A new session, another parent and no variables hide nothing."""
    started("sh", "-c", "setsid env -i /bin/sleep 1000 & echo ready")
    wait_for(lambda: ("/bin/sleep", "1000") in [p.argv for p in container.processes()])

    assert container.stop(timeout=5)

    assert [] == container.processes()


def test_host_call_is_listed_as_one(container, started, shell):
    """It runs outside, but on behalf of the container."""
    started("lpmx", "host", "sh", "-c", "echo ready; sleep 1000; true")

    calls = [process for process in container.processes() if process.host_call]

    assert {"sh"} <= {process.argv[0] for process in calls}
    assert "[host] sh -c" in shell("ps", container.name).stdout


def test_ps_lists_containers_and_their_processes(container, started, shell):
    """For people, for scripts, and only those in which something runs."""
    def listed(*options):
        return {one["name"]: one for one in json.loads(shell("ps", "--json", *options).stdout)}

    assert [] == listed()[container.name]["processes"]
    assert container.name not in listed("--running")

    child = started(*SLEEPER)

    assert [child.pid] == listed("--running")[container.name]["processes"]
    assert [child.pid] == [one["pid"] for one in
                           json.loads(shell("ps", container.name, "--json").stdout)]
    assert f"{child.pid}\n" == shell("ps", "-q", container.name).stdout
    assert container.name in shell("ps").stdout
    assert container.name in shell("ps", "-q").stdout.split()


def test_ps_tells_how_calls_of_a_process_reach_us(container, started, shell):
    """A static program's by the trap; its path is that in the container."""
    child = started(*SLEEPER)

    [one] = json.loads(shell("ps", "--verbose", "--json", container.name).stdout)

    assert (child.pid, ["trap"]) == (one["pid"], one["ways"])
    assert one["program"].startswith("/bin/") and one["memory"] > 0
    assert re.search(rf"^{child.pid} .* trap +/bin/\S+ +sleep 1000$",
                     shell("ps", "-v", container.name).stdout, re.MULTILINE)


# -- ending


def test_reset_brings_back_the_images_files_and_keeps_the_rest(container, started, shell):
    """What was made, changed and removed is as in the image; variables and links are as they were."""
    from lpmx_runtime.container import links
    from lpmx_runtime.image.diff import differences
    shell("exec", container.name, "--", "sh", "-c",
          "echo x >/root/new; echo y >>/etc/passwd; rm /etc/group; rm -r /var; mkdir /var", check=True)
    container.environment.set("LIVE", "yes")
    container.environment.unset("HOME")
    links.add(container, "host-true", "host:/bin/true")
    child = started(*SLEEPER)

    refused = shell("reset", container.name)
    assert 1 == refused.returncode and "a program runs in it" in refused.stderr
    assert f"{container.name}\n" == shell("reset", "-f", container.name, check=True).stdout

    assert -signal.SIGKILL == child.wait(10)
    assert ["/bin", "/bin/host-true"] == [one.path for one in differences(container)]
    assert "root:x:0:\nempty\nyes none\n" == shell(
        "exec", container.name, "--", "sh", "-c",
        "cat /etc/group; ls /var; host-true && echo $LIVE ${HOME-none}", check=True).stdout


def test_reset_that_is_broken_off_leaves_the_old_files_or_the_images(container, shell, monkeypatch):
    """Whatever step is the last, the container can be used."""
    from lpmx_runtime.container import Container, lifecycle
    rename, replace = os.rename, lifecycle.record.replace
    container.environment.set("LIVE", "yes")
    for last in ("upper", "work", ""):
        shell("exec", container.name, "--", "touch", "/root/new", check=True)

        def stop_rename(source, target, last=last):
            if os.path.basename(str(source)) == last:
                raise KeyboardInterrupt
            rename(source, target)

        def stop_replace(path, content, last=last, **options):
            if not last and path.endswith("view.repair"):
                raise KeyboardInterrupt
            replace(path, content, **options)

        with monkeypatch.context() as patch:
            patch.setattr(lifecycle.os, "rename", stop_rename)
            patch.setattr(lifecycle.record, "replace", stop_replace)
            with pytest.raises(KeyboardInterrupt):
                Container.find(container.store, container.name).reset()

        if last == "work":   # the way past Python
            assert "yes\n" == shell("exec", container.name, "--", "sh", "-c", "echo $LIVE",
                                    check=True).stdout
        assert "yes" == Container.open(container.store, container.name).environment.live()["LIVE"]
        there = shell("exec", container.name, "--", "ls", "/root", check=True).stdout
        assert ("new\n" if last == "upper" else "") == there


def test_resets_at_once_and_whoever_looks_meanwhile_lose_nothing(container, shell):
    """One after the other; no variable is lost, and nobody sees a container that is half there."""
    container.environment.set("LIVE", "yes")
    shell("exec", container.name, "--", "touch", "/root/new", check=True)
    work = ("import sys; from lpmx_runtime.container import Container; "
            "from lpmx_runtime.store import Store\nfrom pathlib import Path\n"
            "for _ in range(8):\n"
            "    one = Container.open(Store.open(Path(sys.argv[1])), sys.argv[2])\n"
            "    {}")
    running = [subprocess.Popen([sys.executable, "-c", work.format(does), str(container.store.path),
                                 container.name])
               for does in ("one.reset()", "one.reset()",
                            "assert one.environment.live() == {'LIVE': 'yes'}",
                            "one.view().__enter__().close()")]

    assert [0, 0, 0, 0] == [child.wait(60) for child in running]
    assert {"LIVE": "yes"} == container.environment.live()
    assert "" == shell("exec", container.name, "--", "ls", "/root", check=True).stdout


def test_stop_asks_first(container, started, shell):
    """With SIGTERM, as the image says nothing else; what the program does then is its business."""
    child = started("sh", "-c", 'trap "echo asked; exit 9" TERM; echo ready; '
                    "while :; do sleep 0.05; done")

    assert f"{container.name}\n" == shell("stop", container.name, check=True).stdout

    assert "asked\n" == child.stdout.read()
    assert 9 == child.wait(10)


def test_stop_kills_what_does_not_listen(container, started):
    """After the time given, and what it has started as well."""
    started("sh", "-c", 'trap "" TERM; sh -c "trap \\"\\" TERM; echo ready; sleep 1000"; true')

    begin = time.monotonic()
    assert not container.stop(timeout=0.5)

    assert 0.5 <= time.monotonic() - begin < 5
    assert [] == container.processes()


def test_stop_reaches_a_stopped_program(container, started):
    """One that Ctrl-Z stopped takes the signal, too."""
    child = started("sh", "-c", 'trap "exit 8" TERM; echo ready; while :; do sleep 0.05; done')
    child.send_signal(signal.SIGSTOP)

    assert container.stop(timeout=10)

    assert 8 == child.wait(10)


def test_stop_signal_of_the_image_is_used(loaded, opened):
    """STOPSIGNAL SIGINT."""
    from lpmx_runtime.container import Container, process
    base = opened.images.find(loaded("tiny"))
    config = {**base.config, "config": {**base.config["config"], "StopSignal": "SIGUSR1"}}
    container = Container.create(opened, base._replace(config=config))
    child = process.popen(container.launch(
        ["sh", "-c", 'trap "exit 7" USR1; echo ready; while :; do sleep 0.05; done'],
        entrypoint=False), stdout=subprocess.PIPE)
    child.stdout.readline()

    container.stop()

    assert 7 == child.wait(10)
    child.stdout.close()
    container.remove()


def test_stop_of_a_container_in_which_nothing_runs_is_fine(container, shell):
    """There is nothing to do."""
    assert 0 == shell("stop", container.name).returncode


# -- removing


def test_running_container_is_not_removed(container, started, shell):
    """Unless -f says to kill what runs in it."""
    child = started(*SLEEPER)

    refused = shell("rm", container.name)

    assert 1 == refused.returncode
    assert (f'lpmx: cannot remove container "{container.name}": a program runs in it\n'
            f'hint: run "lpmx stop {container.name}" first, or "lpmx rm -f {container.name}"\n'
            == refused.stderr)
    assert container.running
    shell("rm", "-f", container.name, check=True)
    assert -signal.SIGKILL == child.wait(10)
    assert not container.directory.exists()


def test_program_that_was_started_without_python_is_one_of_the_containers(container, installed,
                                                                          loaded, shell):
    """`ps` shows it, `rm` refuses, `stop` ends it."""
    shell("exec", container.name, "true", check=True)
    with subprocess.Popen([installed.lpmx, "exec", container.name, *SLEEPER], stdout=subprocess.PIPE,
                          env={**os.environ, "LPMX_STORE": str(loaded.path),
                               "PYTHONHOME": "/nonexistent"}) as child:
        assert b"ready\n" == child.stdout.readline()

        assert [child.pid] == [process.pid for process in container.processes()]
        assert "a program runs in it" in shell("rm", container.name).stderr
        shell("stop", container.name, check=True)
        assert -signal.SIGTERM == child.wait(10)


def test_removal_takes_directories_that_nobody_may_enter(container):
    """Mode 0, and deep."""
    inner = container.upper
    for name in ("a", "b", "c"):
        inner = inner / name
        inner.mkdir()
    (inner / "file").write_text("x")
    for path in (inner, inner.parent, inner.parent.parent):
        path.chmod(0)

    container.remove()

    assert not container.directory.exists()
    assert [] == list((container.store.path / "tmp").iterdir())


def test_rm_goes_on_after_a_failure(container, opened, shell):
    """Each name for itself; the exit code tells that one failed."""
    done = shell("rm", "nosuch", container.name)

    assert 1 == done.returncode
    assert f"{container.name}\n" == done.stdout
    assert 'cannot find container "nosuch"' in done.stderr


# -- making


def test_two_that_want_one_name_get_one_container(loaded, opened):
    """One makes it, the other is told; nothing is left behind."""
    code = ("import sys; from lpmx_runtime.container import Container; "
            "from lpmx_runtime.store import Store; from lpmx_runtime.errors import ContainerExists\n"
            "store = Store.open(__import__('pathlib').Path(sys.argv[1]))\n"
            "try:\n    Container.create(store, store.images.find(sys.argv[2]), name='race')\n"
            "except ContainerExists: sys.exit(3)")
    children = [subprocess.Popen([sys.executable, "-c", code, str(loaded.path), loaded("tiny")])
                for _ in range(6)]

    codes = sorted(child.wait(60) for child in children)

    assert [0, 3, 3, 3, 3, 3] == codes
    from lpmx_runtime.container import Container
    Container.open(opened, "race").remove()
    assert [] == list((opened.path / "tmp").iterdir())


def test_container_that_was_not_finished_is_none(loaded, opened):
    """A process killed while making one leaves no container, and what it left is cleared."""
    code = ("import os, sys; from lpmx_runtime.container import Container, lifecycle; "
            "from lpmx_runtime.store import Store\n"
            "store = Store.open(__import__('pathlib').Path(sys.argv[1]))\n"
            "lifecycle._write_record = lambda *unused: os.kill(os.getpid(), 9)\n"
            "Container.create(store, store.images.find(sys.argv[2]), name='half')")
    subprocess.run([sys.executable, "-c", code, str(loaded.path), loaded("tiny")], check=False)
    assert [] != list((opened.path / "tmp").iterdir())

    opened.clean()

    assert not (opened.containers / "half").exists()
    assert [] == list((opened.path / "tmp").iterdir())


def test_record_says_how_it_was_made(loaded, shell):
    """lpmx create --json, lpmx inspect."""
    made = json.loads(shell("create", "--name", "record", "-e", "A=1", "-u", "5:6", "--json",
                            loaded("tiny"), check=True).stdout)
    seen = json.loads(shell("inspect", "record", check=True).stdout)[0]
    shell("rm", "record", check=True)

    assert {"A": "1"} == made["options"]["env"]
    assert (5, 6) == (made["identity"]["uid"], made["identity"]["gid"])
    assert "container" == seen["kind"] and made["diff_ids"] == seen["diff_ids"]


# -- what was damaged


@pytest.mark.parametrize("damage", ["removed", "cut off", "another version", "zeros"])
def test_damaged_control_page_is_made_again(container, shell, damage):
    """Files stay what they were; only live variables are lost."""
    shell("exec", container.name, "sh", "-c", "echo kept > /etc/new; rm /etc/group; rm -r /tmp/.; "
          "mkdir /var/empty/d", check=True)
    page = container.directory / "control"
    if damage == "removed":
        page.unlink()
    elif damage == "cut off":
        os.truncate(page, 4096)
    else:
        with open(page, "r+b") as file:
            file.write(struct.pack("<8sI", b"LPMXCTL\0", 999) if damage == "another version"
                       else bytes(4096))

    done = shell("exec", container.name, "sh", "-c",
                 "cat /etc/new; test -e /etc/group && echo back; ls /var/empty")

    assert ("kept\nd\n", "") == (done.stdout, done.stderr)
    shell("env", "set", container.name, "A=1", check=True)
    assert "1\n" == shell("exec", container.name, "sh", "-c", "echo $A").stdout


@pytest.mark.parametrize("damage", ["removed", "cut off", "zeros", "a byte"])
def test_damaged_index_is_made_again(container, opened, shell, damage):
    """From the layers' lists, when the container is next used; what runs keeps what it has."""
    record = json.loads((container.directory / "container.json").read_text())
    index = opened.indexes.path(record["diff_ids"])
    whole = index.read_bytes()
    index.unlink()
    if damage != "removed":
        middle = len(whole) // 2
        index.write_bytes({"cut off": whole[:middle],
                           "zeros": whole[:middle] + bytes(4096) + whole[middle + 4096:],
                           "a byte": whole[:middle] + b"!" + whole[middle + 1:]}[damage][:len(whole)])

    done = shell("exec", container.name, "sh", "-c", "test -d /etc && echo fine")

    assert ("fine\n", "") == (done.stdout, done.stderr)
    assert whole == index.read_bytes()


def test_damaged_record_is_told_and_can_be_removed(opened, shell):
    """rm -f takes what ps shows as damaged."""
    broken = opened.containers / "broken"
    broken.mkdir()
    (broken / "container.json").write_text("{")

    assert 'container "broken" is damaged' in shell("ps").stderr
    refused = shell("exec", "broken", "true")
    assert 125 == refused.returncode and "its record is damaged" in refused.stderr
    assert 1 == shell("rm", "broken").returncode
    assert 0 == shell("rm", "-f", "broken").returncode
    assert not broken.exists()


# -- live variables


def test_env_set_is_seen_by_what_starts_afterwards(container, shell):
    """set, unset and list, with where each variable comes from."""
    shell("env", "set", container.name, "A=1 2", "B=x=y", check=True)
    assert "1 2|x=y\n" == shell("exec", container.name, "sh", "-c", 'echo "$A|$B"').stdout

    shell("env", "unset", container.name, "A", "HOME", check=True)
    assert "none none\n" == shell("exec", container.name, "sh", "-c",
                                  'echo ${A-none} ${HOME-none}').stdout
    assert "mine\n" == shell("exec", "-e", "B=mine", container.name, "sh", "-c", "echo $B").stdout

    listed = {one["name"]: one for one in
              json.loads(shell("env", "list", "--json", container.name).stdout)}
    assert {"name": "B", "value": "x=y", "origin": "live"} == listed["B"]
    assert {"name": "A", "value": None, "origin": "live"} == listed["A"]
    assert "image" == listed["PATH"]["origin"]
    assert "B" in shell("env", "list", container.name).stdout


def test_env_set_is_seen_by_what_a_running_program_starts(container, started, shell):
    """A shell that runs already gives the new value to its children."""
    child = started("sh", "-c", "echo ready; read x; /bin/env", stdin=subprocess.PIPE)

    shell("env", "set", container.name, "LATE=yes", check=True)

    output, _ = child.communicate("\n")
    assert "LATE=yes" in output.splitlines()


def test_env_of_inside_and_outside_is_one(container, shell):
    """The contained lpmx command changes the same table."""
    shell("exec", container.name, "lpmx", "env", "set", "FROM=inside", check=True)

    assert {"FROM": "inside"} == container.environment.live()


def test_lower_layers_are_never_changed(loaded, lower_hash, container, shell):
    """Whatever is done in a container."""
    before = lower_hash(loaded.path)

    shell("exec", container.name, "sh", "-c",
          "rm -rf /etc /bin/ls; echo x >> /bin/busybox; chmod 0777 /; mv /root /moved; "
          "ln /bin/busybox /bin/other; chown 5:5 /bin/sh", check=False)

    assert before == lower_hash(loaded.path)


def test_container_is_its_makers_alone(make):
    """Its record and its files have what nobody else is to read: values given with -e."""
    directory = make(env={"TOKEN": "secret"}).directory

    assert 0o700 == directory.stat().st_mode & 0o7777
