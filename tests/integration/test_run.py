"""`lpmx run`, `create` and `exec`: what Docker's users expect of them, with one static program."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest


@pytest.fixture
def container(tiny):
    """The name of a container of the tiny image, removed afterwards."""
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    tiny("create", "--name", name, tiny.image, check=True)
    yield name
    tiny("rm", "-f", name)


# -- what a program gets, and what comes back


def test_run_prints_what_the_program_prints(tiny):
    """The program's output is the output; lpmx adds nothing to it."""
    done = tiny("run", tiny.image, "echo", "hello")

    assert ("hello\n", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_arguments_arrive_as_they_were_typed(tiny):
    """No shell and no parser sees the program's arguments."""
    odd = ["a b", "$HOME", "*", "", "--help", "-e", "--", "q'\"\\", "é\n"]

    done = tiny("run", tiny.image, "--", "sh", "-c", 'for a; do printf "<%s>" "$a"; done', "x", *odd)

    assert "".join(f"<{word}>" for word in odd) == done.stdout


def test_double_dash_of_the_command_is_the_commands(tiny):
    """Only the one between image and command is ours."""
    done = tiny("run", tiny.image, "--", "echo", "--", "-n")

    assert "-- -n\n" == done.stdout


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_exit_code_is_the_programs(tiny, code):
    """Whatever the program exits with."""
    assert code == tiny("run", tiny.image, "sh", "-c", f"exit {code}").returncode


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_program_ended_by_a_signal_gives_128_and_its_number(tiny, name):
    """As a shell tells it."""
    done = tiny("run", tiny.image, "sh", "-c", f"kill -{name} $$")

    assert 128 + getattr(signal, f"SIG{name}") == done.returncode


def test_standard_input_reaches_the_program(tiny):
    """Bytes of a pipe, and its end."""
    data = bytes(range(256)) * 1000

    done = tiny("run", tiny.image, "cat", input=data, text=False)

    assert data == done.stdout


def test_other_descriptors_are_inherited(tiny, tmp_path):
    """A program gets what its caller has open, as every program does."""
    with open(tmp_path / "five", "w+") as file:
        done = tiny("run", tiny.image, "sh", "-c", f"echo to it >&{file.fileno()}",
                    pass_fds=[file.fileno()])

    assert 0 == done.returncode
    assert "to it\n" == (tmp_path / "five").read_text()


def test_program_dies_of_a_closed_pipe(tiny, installed):
    """Python's own SIGPIPE setting is not handed down."""
    for command in (["run", tiny.image], ["exec", "pipe"]):
        if command[0] == "exec":
            tiny("create", "--name", "pipe", tiny.image, check=True)
        line = " ".join([str(installed.lpmx), *command, "sh", "-c", "'yes; echo $? >&2'"])
        done = subprocess.run(["/bin/sh", "-c", f"{line} | head -1"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60,
                              env={**os.environ, "LPMX_STORE": str(tiny.store)})
        assert ("y\n", "141\n") == (done.stdout, done.stderr)
    tiny("rm", "pipe", check=True)


# -- what the image says


def config_of(tiny, **values):
    """A second image of the same layer with another config; returns its name."""
    from lpmx_runtime.store import Store
    store = Store.open(tiny.store)
    base = store.images.find(tiny.image)
    config = {**base.config, "config": {**base.config["config"], **values}}
    name = "docker.io/lpmx-test/configured:1"
    with store.keeping():
        store.images.put(base._replace(name=name, config=config))
    return name


def test_env_of_the_image_is_set_and_e_wins_over_it(tiny):
    """-e NAME=VALUE; -e NAME takes the caller's value."""
    image = config_of(tiny, Env=["PATH=/bin", "A=image", "B=image", "EMPTY="])

    done = tiny("run", "-e", "B=mine", "-e", "HERE", image, "sh", "-c",
                'echo "$A $B ${EMPTY-unset} $HERE"', env={"HERE": "from outside"})

    assert "image mine  from outside\n" == done.stdout


def test_env_file_sets_variables(tiny, tmp_path):
    """NAME=VALUE lines, comments and blank lines."""
    path = tmp_path / "variables"
    path.write_text("# comment\n\nA=1 2\nB==\n")

    done = tiny("run", "--env-file", path, tiny.image, "sh", "-c", 'echo "$A|$B"')

    assert "1 2|=\n" == done.stdout


def test_variables_of_the_host_stay_outside(tiny):
    """But for those that mean the same inside."""
    done = tiny("run", tiny.image, "env", env={"SECRET_OF_HOST": "x", "PYTHONPATH": "/x",
                                               "CUDA_VISIBLE_DEVICES": "3", "SLURM_JOB_ID": "9",
                                               "JUPYTERHUB_API_TOKEN": "t", "SLURM_JWT": "j"})

    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert "3" == seen["CUDA_VISIBLE_DEVICES"] and "9" == seen["SLURM_JOB_ID"]
    assert not {"SECRET_OF_HOST", "PYTHONPATH", "JUPYTERHUB_API_TOKEN", "SLURM_JWT"} & set(seen)
    assert not {name for name in seen if name.startswith("LPMX_")} - {"LPMX_CONTAINER"}


def test_image_cannot_speak_to_the_loader(tiny):
    """Its variables are the program's; those that the loader is told by us alone are not its."""
    image = config_of(tiny, Env=["PATH=/bin", "LPMX_VIEW=/nowhere", "LPMX_PROGRAM=/bin/false",
                                 "LPMX_STATE=1:5,5,5,5,5,5,5,5,0,", "LPMX_START=:x",
                                 "LPMX_CWD=/etc", "LPMX_NO_TRAP=1", "LPMX_CONTAINER=liar"])

    done = tiny("run", image, "sh", "-c", "id -u; env")

    assert "" == done.stderr and done.stdout.startswith("0\n")
    assert [] == [line for line in done.stdout.splitlines()
                  if line.startswith("LPMX_") and not line.startswith("LPMX_CONTAINER=tiny")
                  and not line.startswith("LPMX_CONTAINER=configured")]


def test_entrypoint_and_command_combine_as_in_docker(tiny):
    """Entrypoint always, Cmd only where no command is given, --entrypoint instead of both."""
    image = config_of(tiny, Entrypoint=["echo", "entry"], Cmd=["default"])

    assert "entry default\n" == tiny("run", image).stdout
    assert "entry given\n" == tiny("run", image, "given").stdout
    assert "entry\n" == tiny("run", "--entrypoint", "/bin/echo", image, "entry").stdout
    assert "\n" == tiny("run", "--entrypoint", "echo", image).stdout
    assert "bare\n" == tiny("run", "--entrypoint", "", image, "echo", "bare").stdout


def test_working_directory_of_the_image_is_made_and_entered(tiny):
    """As Docker makes an image's WORKDIR; --workdir is another."""
    image = config_of(tiny, WorkingDir="/srv/made/by-us")

    assert "/srv/made/by-us\n" == tiny("run", image, "pwd").stdout
    assert "/other\n" == tiny("run", "-w", "/other", image, "pwd").stdout


def test_without_a_working_directory_one_stays_where_one_is(tiny, tmp_path):
    """Where the container shows the caller's directory; else one begins at its root."""
    assert f"{tmp_path}\n" == tiny("run", tiny.image, "pwd", cwd=tmp_path).stdout
    assert "/\n" == tiny("run", "--contain", tiny.image, "pwd", cwd="/usr/share").stdout


def test_user_of_the_image_is_who_the_program_is(tiny):
    """USER by number or name, with and without group; root if it says nothing."""
    assert "0:0\n" == tiny("run", tiny.image, "sh", "-c", "echo $(id -u):$(id -g)").stdout
    image = config_of(tiny, User="1234:56")
    assert "1234:56\n" == tiny("run", image, "sh", "-c", "echo $(id -u):$(id -g)").stdout
    assert "0:0 /root\n" == tiny("run", "--user", "root", image, "sh", "-c",
                                 "echo $(id -u):$(id -g) $HOME").stdout
    assert f"{os.getuid()}\n" == tiny("run", "--user", "host", image, "id", "-u").stdout


def test_bind_shows_a_directory_of_the_host(tiny, tmp_path):
    """-v SRC:DST, writable unless ro is said."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/file").write_text("outside\n")
    bind = f"{tmp_path}/here:/mnt/there"

    assert "outside\n" == tiny("run", "-v", bind, tiny.image, "cat", "/mnt/there/file").stdout
    assert 0 == tiny("run", "-v", bind, tiny.image, "touch", "/mnt/there/new").returncode
    assert (tmp_path / "here/new").exists()
    refused = tiny("run", "-v", bind + ":ro", tiny.image, "touch", "/mnt/there/newer")
    assert 0 != refused.returncode and "Read-only file system" in refused.stderr


def test_contain_hides_home_and_tmp(tiny, home):
    """What is personal is not shown."""
    (home / "private").write_text("x")

    assert 0 == tiny("run", tiny.image, "test", "-e", home / "private").returncode
    assert 0 != tiny("run", "--contain", tiny.image, "test", "-e", home / "private").returncode


def test_without_preload_programs_see_the_same(tiny):
    """--no-preload only leaves the fast way out."""
    done = tiny("run", "--no-preload", tiny.image, "cat", "/etc/passwd")

    assert done.stdout.startswith("root:x:0:0:")


#: Opens a file often, and tells what of its memory can be executed and is of no file.
OPENING = ("i=0; while [ $i -lt 40 ]; do : </etc/passwd; i=$((i+1)); done; "
           "grep ' r-xp 00000000 00:00 0 *$' /proc/$$/maps; echo done")


@pytest.mark.parametrize("option, variable, rewritten", [
    ([], None, False), (["--rewrite"], None, True), ([], "1", True), (["--rewrite"], "0", False)],
    ids=["off", "option", "variable", "option and variable"])
def test_call_sites_are_rewritten_where_that_is_asked_for(tiny, option, variable, rewritten):
    """By --rewrite for a container's programs, and by LPMX_REWRITE, which goes before it."""
    given = {"LPMX_REWRITE": variable} if variable else {}

    done = tiny("run", *option, tiny.image, "sh", "-c", OPENING, env=given)

    assert done.stdout.endswith("done\n")
    assert rewritten == (" r-xp " in done.stdout)


# -- containers that are made for one program


def names(tiny):
    return [one["name"] for one in json.loads(tiny("ps", "--json", check=True).stdout)]


def test_container_of_run_is_gone_afterwards(tiny):
    """With what it changed, whatever its modes."""
    before = names(tiny)

    tiny("run", tiny.image, "sh", "-c", "mkdir -p /x/y; echo > /x/y/z; chmod 0 /x/y /x",
         check=True)

    assert before == names(tiny)
    assert [] == [p.name for p in (tiny.store / "tmp").iterdir()]


def test_named_container_of_run_is_kept(tiny):
    """--name keeps it, --rm does not."""
    tiny("run", "--name", "kept", tiny.image, "sh", "-c", "echo mine > /file", check=True)
    tiny("run", "--name", "gone", "--rm", tiny.image, "true", check=True)

    assert "kept" in names(tiny) and "gone" not in names(tiny)
    assert "mine\n" == tiny("exec", "kept", "cat", "/file").stdout
    tiny("rm", "kept", check=True)


def runs(pid):
    """Whether the process still does something; who waits for a dead one is init's business."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_what_run_leaves_running_is_ended(tiny, tmp_path):
    """A daemon does not outlive the container that was made for one program."""
    done = tiny("run", tiny.image, "sh", "-c",
                f"setsid sleep 1000 >/dev/null 2>&1 & echo $! > {tmp_path}/pid", cwd=tmp_path)

    assert 0 == done.returncode
    assert not runs(int((tmp_path / "pid").read_text()))


def test_container_may_be_removed_from_under_run(tiny, installed):
    """lpmx rm -f ends the program, and lpmx run tells how it ended."""
    running = subprocess.Popen([installed.lpmx, "run", tiny.image, "sh", "-c",
                                "echo $LPMX_CONTAINER; exec cat"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "LPMX_STORE": str(tiny.store)})
    name = running.stdout.readline().strip()

    tiny("rm", "-f", name, check=True)

    assert ("", "") == running.communicate(timeout=30)
    assert 137 == running.returncode


def test_container_of_a_killed_run_is_swept(tiny, installed):
    """When lpmx itself is killed its program runs on; once that has ended, the next look
    at the containers removes what is left."""
    running = subprocess.Popen([installed.lpmx, "run", tiny.image, "sh", "-c",
                                "echo $LPMX_CONTAINER; exec cat"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "LPMX_STORE": str(tiny.store)})
    name = running.stdout.readline().strip()

    running.kill()
    running.wait()

    assert name in names(tiny)
    running.communicate()
    assert wait_until(lambda: name not in names(tiny))
    assert not (tiny.store / "containers" / name).exists()


def wait_until(condition):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if condition():
            return True
    return False


def test_signals_sent_to_run_reach_the_program(tiny, installed):
    """Who stops lpmx stops the program, which may do what it likes about it."""
    script = 'trap "echo got it; exit 3" TERM; echo ready; while :; do sleep 0.05; done'
    running = subprocess.Popen([installed.lpmx, "run", tiny.image, "sh", "-c", script],
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "LPMX_STORE": str(tiny.store)})
    assert "ready\n" == running.stdout.readline()

    running.send_signal(signal.SIGTERM)

    assert "got it\n" == running.stdout.read()
    assert 3 == running.wait(30)


def test_exec_is_the_program_itself(tiny, container, installed):
    """No process of ours stays between the caller and the program."""
    running = subprocess.Popen([installed.lpmx, "exec", container, "sh", "-c", "echo $$; cat"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "LPMX_STORE": str(tiny.store)})

    assert running.pid == int(running.stdout.readline())
    running.communicate("")


# -- exec


def test_programs_of_one_container_see_each_others_files(tiny, container):
    """And the container keeps them."""
    tiny("exec", container, "sh", "-c", "echo 1 > /file; rm /etc/group", check=True)

    assert "1\n" == tiny("exec", container, "cat", "/file").stdout
    assert 1 == tiny("exec", container, "test", "-e", "/etc/group").returncode


def test_exec_leaves_the_entrypoint_out(tiny):
    """As Docker does."""
    image = config_of(tiny, Entrypoint=["echo", "entry"])
    tiny("create", "--name", "entry", image, check=True)

    assert "x\n" == tiny("exec", "entry", "echo", "x").stdout
    tiny("rm", "entry", check=True)


def test_exec_takes_user_directory_and_variables(tiny, container):
    """-u, -w, -e, for this program only."""
    done = tiny("exec", "-u", "77:88", "-w", "/etc", "-e", "X=1", container, "sh", "-c",
                "echo $(id -u) $(id -g) $(pwd) $X")

    assert "77 88 /etc 1\n" == done.stdout
    assert "0\n" == tiny("exec", container, "id", "-u").stdout


#: With this no Python starts, and nothing of it goes into a container.
WITHOUT_PYTHON = {"PYTHONHOME": "/nonexistent"}


def test_exec_without_options_needs_no_python(tiny, container):
    """From the second call on; and all is as it is by way of Python."""
    tiny("exec", container, "true", check=True)
    calls = [("sh", "-c", "env | sort; pwd; id; echo $0 $#", "x y", ""), ("sh", "-c", "exit 3"),
             ("sh", "-c", "kill -9 $$"), ("cat",), ("no-such-program",), ("/etc/passwd",)]

    for words in calls:
        ours, python = (tiny(*way, container, "--", *words, input="in\n", env=env) for way, env in (
            (("exec",), WITHOUT_PYTHON), (("exec", "-e", "NOTHING="), None)))

        told = ours.stdout, ours.stderr, ours.returncode
        assert (python.stdout.replace("NOTHING=\n", ""), python.stderr, python.returncode) == told
    assert "Fatal Python error" in tiny("ps", env=WITHOUT_PYTHON).stderr


def test_live_variables_need_no_python(tiny, container):
    """What `lpmx env` changes is there in the next call."""
    tiny("exec", container, "true", check=True)
    tiny("env", "set", container, "A=1", "PATH=/bin", check=True)

    done = tiny("exec", container, "sh", "-c", "echo $A $PATH", env=WITHOUT_PYTHON)

    assert "1 /bin\n" == done.stdout


def test_container_of_another_installation_is_put_in_order_first(tiny, container, installed,
                                                                tmp_path):
    """A start file is for the command that it was written for."""
    tiny("exec", container, "true", check=True)
    other = tmp_path / "lpmx"
    other.write_bytes(installed.lpmx.read_bytes())
    other.chmod(0o755)
    environment = {**os.environ, "LPMX_STORE": str(tiny.store)}

    done = subprocess.run([other, "exec", container, "true"], env=environment, stderr=subprocess.PIPE)

    assert 125 == done.returncode and b"lpmx-python" in done.stderr
    tiny("exec", container, "true", env=WITHOUT_PYTHON, check=True)


def test_container_survives_a_new_place_of_the_store(tiny, tmp_path, loaded, lpmx):
    """A store that was moved still works: view files are written anew."""
    import shutil
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(loaded.path, old, symlinks=True)
    lpmx("create", "--name", "mover", tiny.image, store=old, check=True)
    lpmx("exec", "mover", "sh", "-c", "echo kept > /file", store=old, check=True)

    old.rename(new)

    for _ in range(2):  # mended, and then as ever
        assert "kept\n" == lpmx("exec", "mover", "cat", "/file", store=new).stdout


# -- containers in containers


def test_host_call_can_start_a_container(tiny, installed):
    """lpmx inside lpmx, by way of the host."""
    done = tiny("run", tiny.image, "lpmx", "host", installed.lpmx, "run", tiny.image,
                "sh", "-c", "echo nested; exit 6", env={"LPMX_STORE": str(tiny.store)})

    assert ("nested\n", 6) == (done.stdout, done.returncode), done.stderr


def test_copy_of_the_host_is_a_sandbox(tiny, home):
    """The image "host" is this machine; what a program changes, it changes for itself."""
    done = tiny("run", "host", "sh", "-c", "id -u; echo x > file; cat file; pwd", cwd=home)

    assert f"{os.getuid()}\nx\n{home}\n" == done.stdout
    assert not (home / "file").exists()


def test_file_keeps_its_number_in_the_copy(tiny, home):
    """By its name and by its descriptor, before and after it was changed: locks rely on it."""
    (home / "numbered").write_text("x")
    code = ("import os; before = os.stat('numbered'); file = open('numbered', 'r+')\n"
            "after = os.fstat(file.fileno())\n"
            "print(os.path.samestat(before, after), os.path.samestat(os.stat('numbered'), after))")

    assert "True True\n" == tiny("run", "host", "/usr/bin/python3", "-c", code, cwd=home).stdout


def test_container_cannot_be_made_in_a_copy_of_the_store(tiny, installed):
    """Only the copy would see it, and the kernel would not."""
    done = tiny("run", "host", installed.lpmx, "run", tiny.image, "true")

    assert 125 == done.returncode
    assert "its store is a copy that the host does not see" in done.stderr
