"""Programs of the host and of other containers by names in a container (`lpmx link`)."""
from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest


def run(container, *argv, **options):
    """What a program in the container printed, and its exit code."""
    from lpmx_runtime.container import process
    child = process.popen(container.launch(argv, entrypoint=False, **options.pop("launch", {})),
                          stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options)
    out, err = child.communicate(timeout=60)
    return out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"), child.returncode


def test_link_is_a_program_of_the_container(make, shell):
    """Shells, PATH and running programs find it at once; afterwards it is gone without a trace."""
    container = make()

    # the image's PATH has only /bin
    path = shell("link", container.name, "un=host:uname", check=True).stdout.strip()

    assert path == "/bin/un"
    out, _, code = run(container, "sh", "-c", "command -v un; test -x /bin/un && un -n; env -i /bin/un -n")
    assert (f"/bin/un\n{os.uname().nodename}\n{os.uname().nodename}\n", 0) == (out, code)
    [link] = json.loads(shell("links", "--json", container.name).stdout)
    assert ("un", "/bin/un", None) == (link["name"], link["path"], link["pass"])
    assert link["target"].startswith("host:/") and link["target"].endswith("/uname")
    assert "un" in shell("links", container.name).stdout

    assert "/bin/un\n" == shell("unlink", container.name, "un", check=True).stdout

    assert 127 == run(container, "sh", "-c", "un")[2]
    assert [] == json.loads(shell("links", "--json", container.name).stdout)
    assert "/bin/un" not in shell("diff", container.name, check=True).stdout


def test_link_appears_while_a_program_runs(make, shell, begin):
    """A shell that was there before calls it."""
    container = make()
    child = begin(container, "un; echo $?\n", "127\n")

    shell("link", container.name, "un=host:uname", check=True)

    out, _ = child.communicate("un -n\n", timeout=30)
    assert f"{os.uname().nodename}\n" == out


@pytest.fixture(params=["host", "other", "chain", "exposed"])
def shell_elsewhere(request, make, tmp_path):
    """Run a shell by a call from a container to the host, to another container, to the host by
    another one, and from the host to a container."""
    from lpmx_runtime.container import exposed, links
    a, b = make(), make()
    links.add(a, "hostsh", "host:/bin/sh")
    links.add(a, "othersh", f"{b.name}:/bin/sh")
    links.add(b, "/bin/back", "host:/bin/sh")
    links.add(a, "chainsh", f"{b.name}:/bin/back")
    if request.param != "exposed":
        return lambda *words, **options: run(a, f"{request.param}sh", *words, **options)
    command, _ = exposed.add(b, "sh", directory=str(tmp_path))

    def call(*words, **options):
        done = subprocess.run([command.path, *words], stdin=options.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **options)
        return (*(text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr)),
                done.returncode)
    return call


def test_words_arrive_as_they_were_said(shell_elsewhere):
    """Blanks, quotes, line ends, bytes that are no UTF-8, and two megabytes of them."""
    words = ["a b", "'", '"', "$HOME", "\n", "\udcff\udc80", "", "*"]
    for each in (words, ["x" * 1000] * 1900):
        out, err, code = shell_elsewhere("-c", 'for word; do printf "%s|" "$word"; done', "sh", *each)
        assert ("".join(f"{word}|" for word in each), "", 0) == (out, err, code)


def test_path_of_the_host_may_be_as_long_as_a_variable(make, tmp_path, monkeypatch):
    """The last of its directories counts, one of no possible name does not, and the first match wins."""
    for name in ("first", "last"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).symlink_to("/bin/uname")
    (tmp_path / "first" / "both").symlink_to("/bin/uname")
    (tmp_path / "last" / "both").symlink_to("/bin/false")
    many = ":".join(f"/nowhere/{number}" for number in range(4000))
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{many}:/{'x' * 20000}::{tmp_path}/last")
    container = make()

    for name in ("first", "both", "last"):
        assert (f"{os.uname().nodename}\n", "", 0) == run(container, "lpmx", "host", name, "-n")
    assert 127 == run(container, "lpmx", "host", "neither")[2]


def test_chain_goes_through_containers_and_the_host(make, tmp_path, installed):
    """A calls B, which calls the host, which calls A; pipes between them."""
    from lpmx_runtime.container import links
    a, b = make(), make()
    back = tmp_path / "back"
    back.write_text(f"#!/bin/sh\nexport LPMX_STORE={a.store.path}\n"
                    f"exec {installed.lpmx} exec {a.name} -- sh -c 'read x; echo \"a $x\"'\n")
    back.chmod(0o755)
    links.add(a, "other", f"{b.name}:/bin/sh")
    links.add(b, "back", f"host:{back}")
    links.add(a, "up", "host:tr")

    out, err, code = run(a, "sh", "-c", "echo one | other -c 'sed s/^/b.in./ | back | sed s/^/b.out./'"
                         " | up a-z A-Z")

    assert ("B.OUT.A B.IN.ONE\n", "", 0) == (out, err, code)
    assert f"{b.name}\n" == run(a, "other", "-c", "echo $LPMX_CONTAINER")[0]


def test_descriptors_exit_codes_and_signals_are_the_programs_own(shell_elsewhere):
    """Nothing stands between: its input, an inherited descriptor, a status, a signal's end, its parent."""
    reading, writing = os.pipe()
    giving, taking = os.pipe()
    try:
        os.write(taking, b"given\n")
        out, err, code = shell_elsewhere(
            "-c", f"read x; echo $x >/proc/self/fd/{writing}; echo wrong >&2; exit 7", pass_fds=[writing],
            stdin=giving)
        assert ("", "wrong\n", 7) == (out, err, code)
        assert b"given\n" == os.read(reading, 100)
        assert -signal.SIGUSR1 == shell_elsewhere("-c", "kill -USR1 $$")[2]
        assert f"{os.getpid()}\n" == shell_elsewhere("-c", "echo $PPID")[0]
    finally:
        for each in (reading, writing, giving, taking):
            os.close(each)


def test_working_directory_is_the_same_or_the_call_fails(make, tmp_path):
    """By whatever name the other place has it; a directory of the container's own is told."""
    from lpmx_runtime.container import Bind, links
    shared = tmp_path / "shared"
    shared.mkdir()
    a = make(binds=(Bind(str(shared), "/data"),))
    b = make(binds=(Bind(str(shared), "/mnt/other"),), contain=True)
    links.add(a, "hostpwd", "host:/bin/pwd")
    links.add(a, "otherpwd", f"{b.name}:/bin/pwd")
    links.add(a, "rootpwd", f"{b.name}:/bin/pwd", cwd="/etc")

    assert f"{shared}\n" == run(a, "hostpwd", launch={"cwd": "/data"})[0]
    assert "/mnt/other\n" == run(a, "otherpwd", launch={"cwd": "/data"})[0]
    assert "/etc\n" == run(a, "rootpwd", launch={"cwd": "/var/empty"})[0]
    assert ("/\n", "/\n") == tuple(run(a, name, launch={"cwd": "/"})[0] for name in ("hostpwd", "otherpwd"))
    for name in ("hostpwd", "otherpwd"):
        out, err, code = run(a, name, launch={"cwd": "/var/empty"})
        assert ("", 125) == (out, code)
        assert "the caller's working directory \"/var/empty\" is its container's own\nhint: " in err
    out, err, code = run(a, "otherpwd", launch={"cwd": "/proc"})
    assert ("/proc\n", 0) == (out, code)


def test_variables_that_cross_are_those_that_were_chosen(make, monkeypatch):
    """The place's own; the caller's where they mean the same everywhere, or as the link says."""
    from lpmx_runtime.container import links
    monkeypatch.setenv("OF_HOST", "yes")
    a = make(env={"OF_A": "a", "OMP_NUM_THREADS": "3", "SLURM_STEP_ID": "5"})
    b = make(env={"OF_B": "b"})
    links.add(a, "hostenv", "host:env")
    links.add(a, "otherenv", f"{b.name}:/bin/env")
    links.add(a, "some", f"{b.name}:/bin/env", passes=["OF_*"], env={"MORE": "x y"})
    links.add(a, "none", f"{b.name}:/bin/env", passes=[])
    links.add(a, "all", "host:env", passes=["*"])
    b.environment.set("LIVE", "of b")
    a.environment.set("LIVE_A", "of a")

    def variables(name):
        return dict(line.split("=", 1) for line in run(a, name)[0].splitlines() if "=" in line)

    host, other, some, none, everything = map(variables, ("hostenv", "otherenv", "some", "none", "all"))

    assert ("yes", "3", "5") == tuple(map(host.get, ("OF_HOST", "OMP_NUM_THREADS", "SLURM_STEP_ID")))
    assert not {"OF_A", "LIVE_A", "LPMX_CONTAINER"} & set(host)
    assert os.environ["PATH"] == host["PATH"]
    assert ("b", "3", "of b", b.name) == tuple(map(other.get, ("OF_B", "OMP_NUM_THREADS", "LIVE",
                                                              "LPMX_CONTAINER")))
    assert not {"OF_A", "LIVE_A", "OF_HOST"} & set(other)
    assert ("a", "x y", "b") == tuple(map(some.get, ("OF_A", "MORE", "OF_B")))
    assert "OMP_NUM_THREADS" not in some and "OMP_NUM_THREADS" not in none
    assert ("a", "of a", os.environ["PATH"], "yes") == tuple(
        map(everything.get, ("OF_A", "LIVE_A", "PATH", "OF_HOST")))
    assert "LPMX_CONTAINER" not in everything


def test_link_lasts_when_the_control_page_is_made_again(make, shell):
    """It is made from its call file."""
    container = make()
    shell("link", container.name, "un=host:uname", check=True)
    (container.directory / "control").write_bytes(b"")

    assert f"{os.uname().nodename}\n" == shell("exec", container.name, "un", "-n", check=True).stdout


def test_link_to_a_container_that_is_gone_says_so(make):
    """Who calls it learns which view is missing."""
    from lpmx_runtime.container import links
    a, b = make(), make()
    links.add(a, "other", f"{b.name}:/bin/true")
    b.remove()

    out, err, code = run(a, "other")

    assert ("", 125) == (out, code)
    assert "its container is gone" in err and "lpmx unlink" in err


@pytest.mark.parametrize("words,message", [
    (["nothing"], "it is not NAME=host:PROGRAM"),
    (["x=host:/nowhere/x"], 'the host has no program "/nowhere/x"'),
    (["x=nowhere:/bin/x"], 'there is no container "nowhere"'),
    (["a/b=host:uname"], "neither a name nor an absolute path"),
    (["/tmp/x=host:uname"], 'is a directory of the host'),
    (["/bin/ls=host:uname"], 'the container has "/bin/ls" already'),
    (["--cwd", "rel", "x=host:uname"], "does not start with /"),
    (["--pass", "A*B", "x=host:uname"], "is not NAME, PREFIX* or *"),
])
def test_misuse_is_told_in_two_lines(make, shell, words, message):
    """What cannot be linked, why, and what to do."""
    container = make()
    options = words[:-1]

    done = shell("link", *options, container.name, words[-1])

    assert done.returncode and message in done.stderr and "\nhint: " in done.stderr


def test_link_over_a_program_gives_it_back(make, shell):
    """With --over; the container's own file stays as it is."""
    container = make()
    shell("link", "--over", container.name, "/bin/hostname=host:/usr/bin/env", check=True)
    assert "PATH=" in run(container, "/bin/hostname")[0]

    shell("unlink", container.name, "hostname", check=True)

    assert f"{os.uname().nodename}\n" == run(container, "/bin/hostname")[0]


# -- what the site allows


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Write the site's settings, for what is done in this process."""
    from lpmx_runtime import settings
    path = tmp_path / "site.json"
    monkeypatch.setattr(settings, "SITE_FILE", str(path))
    return lambda **values: path.write_text(json.dumps(values)) and path


def test_call_that_the_site_does_not_allow_is_refused_by_name_of_the_rule(make, site, opened):
    """When it is linked, and when it is called; what is allowed works."""
    from lpmx_runtime.container import Container, links
    from lpmx_runtime.errors import CallRefused
    container = make()
    links.add(container, "env2", "host:env")
    path = site(allowed_calls=["!host:/**/env", "host:/**/uname", "!container:secret:**"])
    container = Container.open(opened, container.name)

    with pytest.raises(CallRefused) as refused:
        links.add(container, "e", "host:env")
    assert f'the rule "!host:/**/env" of "allowed_calls" in "{path}" refuses it' in str(refused.value)
    with pytest.raises(CallRefused, match='no rule of .* allows "host:.*/cat"'):
        links.add(container, "c", "host:cat")
    links.add(container, "un", "host:uname")

    assert f"{os.uname().nodename}\n" == run(container, "un", "-n")[0]
    for argv, why in ((("env2",), 'the rule "!host:/**/env" of "allowed_calls"'),
                      (("lpmx", "host", "cat"), 'no rule of "allowed_calls"'),
                      (("/.lpmx/host/usr/bin/../../bin/cat",), "no rule"),
                      (("lpmx", "ps"), "no rule")):
        out, err, code = run(container, *argv)
        assert ("", 126) == (out, code), argv
        assert "lpmx: cannot run" in err and why in err and "\nhint: ask" in err, argv


def test_calls_are_logged_where_it_is_asked_for(make, site, opened, tmp_path):
    """One line of JSON each, the refused ones with their rule."""
    from lpmx_runtime.container import Container, links
    log = tmp_path / "calls.log"
    site(call_log=str(log), allowed_calls=["host:/**/uname", "!host:**", "container:**"])
    container = Container.open(opened, make().name)
    links.add(container, "un", "host:uname")

    run(container, "sh", "-c", "un; lpmx host env; true")

    first, second = map(json.loads, log.read_text().splitlines())
    assert (True, container.name, "/bin/busybox", os.getuid()) == (
        first["allowed"], first["container"], first["caller"], first["uid"])
    assert first["called"].endswith("/uname") and abs(first["time"] - time.time()) < 60
    assert (False, "!host:**") == (second["allowed"], second["rule"])
    assert stat.S_IMODE(log.stat().st_mode) == 0o600

    log.unlink()
    deep = "/" + "/".join(["\1" * 200] * 13)
    assert 0 == run(container, "sh", "-c", 'mkdir -p "$1" && cp /bin/busybox "$1/sh" && "$1/sh" -c "un; un"',
                    "sh", deep)[2]
    # what a program is called does not run one line into the next
    assert [True, True] == [json.loads(line)["called"].endswith("/uname")
                            for line in log.read_text().splitlines()]

    log.unlink()
    odd = os.fsdecode("/\N{SNOWMAN}".encode() + b"\xe2\x82 \xff\xed\xa0\x80")
    assert 0 == run(container, "sh", "-c", 'mkdir "$1" && cp /bin/busybox "$1/sh" && "$1/sh" -c "un; un"',
                    "sh", odd)[2]
    # whatever its bytes are, a line is UTF-8, and says which
    assert [odd + "/sh"] * 2 == [json.loads(line)["caller"]
                                for line in log.read_text("utf-8").splitlines()]

    log.unlink()
    os.mkfifo(log)
    assert 0 == run(container, "un")[2], "nobody reads"


# -- many


def test_eight_calls_at_once(make):
    """Each is answered, and every descriptor and process is gone again."""
    from lpmx_runtime.container import links
    a, b = make(), make()
    links.add(a, "hosttrue", "host:/bin/true")
    links.add(a, "othertrue", f"{b.name}:/bin/true")

    out, err, code = run(a, "sh", "-c", """
        for i in 1 2 3 4 5 6 7 8; do (hosttrue && othertrue && echo ok) & done; wait
        """)

    assert ("ok\n" * 8, "", 0) == (out, err, code)
    assert [] == a.processes() and [] == b.processes()


#: A shell that calls its argument a few times, says so, and when it is told a thousand times more.
LOOP = """
calls() { i=0; while [ $i -lt $1 ]; do $2 || echo failed; i=$((i+1)); done; }
calls 20 "$1"; echo begun; read go; calls 1000 "$1"; echo done; read go
"""


@pytest.mark.parametrize("way", ["host", "other", "exposed"])
def test_thousand_calls_in_a_row_leave_nothing_behind(make, tmp_path, way):
    """From a container to the host, to another one, and from the host to a container: who calls has no
    descriptor, no process and no more memory of it, and there is no file of it anywhere."""
    from lpmx_runtime.container import exposed, links, process
    from lpmx_runtime.settings import runtime_path
    a, b = make(), make()
    if way == "exposed":
        command, _ = exposed.add(b, "true", directory=str(tmp_path))
        words = ["/bin/sh", "-c", LOOP, "sh", command.path]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    else:
        links.add(a, "called", {"host": "host:/bin/true", "other": f"{b.name}:/bin/true"}[way])
        child = process.popen(a.launch(["sh", "-c", LOOP, "sh", "called"], entrypoint=False),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    places = [*(each for each in a.store.path.iterdir() if each.name != "layers"), runtime_path(), tmp_path]

    def state():
        status = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        [memory] = [int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:")]
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        descriptors = {each: os.readlink(each) for each in Path(f"/proc/{child.pid}/fd").iterdir()}
        processes = [[one.pid for one in each.processes()] for each in (a, b)]
        files = [sorted(map(str, place.rglob("*"))) for place in places]
        return (descriptors, children, processes, files), memory

    try:
        assert "begun\n" == child.stdout.readline()
        before, memory = state()
        child.stdin.write("\n")
        child.stdin.flush()
        assert "done\n" == child.stdout.readline()
        after, more = state()
        assert ("", None) == (child.communicate("\n", timeout=30)[0], child.stderr)
    finally:
        child.kill()
        child.wait()

    assert before == after
    assert more - memory < 128 << 10, f"{more - memory} bytes more after a thousand calls"


def test_what_is_the_loaders_does_not_come_from_a_container(make, shell, tmp_path):
    """An image's variables choose neither a file of the host's nor how its programs start."""
    from lpmx_runtime.container import links
    trace = tmp_path / "trace"
    a, b = make(), make(env={"LPMX_TRACE": str(trace), "LPMX_REFUSED": "no", "LPMX_CWD": "/nowhere",
                             "MINE": "kept"})
    links.add(a, "other", f"{b.name}:/bin/sh")

    assert ("kept\n", "", 0) == run(a, "other", "-c", "echo $MINE")
    assert not trace.exists()
    done = shell("link", a.name, "again=host:uname", "-e", "LPMX_TRACE=/tmp/trace")
    assert 1 == done.returncode and '"LPMX_TRACE" is what lpmx tells itself\nhint: ' in done.stderr


def test_contained_command_takes_no_module_from_where_it_is_called(make, tmp_path):
    """What happens to be named like one of Python's, or like ours, is not run on the host."""
    container = make()
    for name in ("json.py", "shlex.py", "lpmx_runtime.py"):
        (tmp_path / name).write_text("raise SystemExit('not this')\n")

    out, err, code = run(container, "lpmx", "--version", cwd=tmp_path)

    assert (0, "") == (code, err) and out.startswith("lpmx ")


def test_links_do_not_lead_to_themselves(make, shell):
    """Neither at once nor by others; who called one would never be a program."""
    from lpmx_runtime.container import links
    a, b = make(), make()
    for one, target in ((b, "host:uname"), (a, f"{b.name}:/bin/x"), (a, f"{b.name}:/bin/x")):
        links.add(one, "x", target)

    done = shell("link", b.name, f"x={a.name}:/bin/x")
    itself = shell("link", a.name, "--over", f"/bin/sh={a.name}:sh")

    assert f"lead to itself: {b.name}:/bin/x -> {a.name}:/bin/x -> {b.name}:/bin/x\nhint: " in done.stderr
    assert f"lead to itself: {a.name}:/bin/sh -> {a.name}:/bin/" in itself.stderr
    assert (1, 1) == (done.returncode, itself.returncode)
    assert (f"{os.uname().nodename}\n", "", 0) == run(a, "x", "-n")


def test_longest_name_of_a_link(make):
    """As long as its file's name may be; one more is told. The file is for nobody else."""
    from lpmx_runtime.container import links
    from lpmx_runtime.errors import InvalidSetting
    a = make()
    longest = "n" * (255 - len("%2Fbin%2F"))

    links.add(a, longest, "host:uname")

    [file] = (a.directory / "links").iterdir()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 0 == run(a, longest)[2] and [longest] == [link.name for link in links.of_container(a)]
    with pytest.raises(InvalidSetting, match="the path is too long"):
        links.add(a, f"{longest}n", "host:uname")


@pytest.mark.parametrize("link, to", [
    ("tool", "real/readlink"),                 # the name itself
    ("way/readlink", "real"),                  # a directory on the way
    ("way/readlink", "{here}/real"),           # one that says all of it
    ("way/readlink", "real/../real"),          # one that only the kernel is asked about
    ("real/./readlink", None), ("real//readlink", None), ("real/../real/readlink", None),
])
@pytest.mark.parametrize("from_host", [False, True], ids=["container", "host"])
def test_program_of_the_host_knows_its_own_name(make, tmp_path, link, to, from_host):
    """By whatever links it is called, by a contained program and by one of the host that this called."""
    container = make()
    (tmp_path / "real").mkdir()
    shutil.copy(os.path.realpath(shutil.which("readlink")), tmp_path / "real" / "readlink")
    if to:
        (tmp_path / link.split("/")[0]).symlink_to(to.format(here=tmp_path))
    words = [f"{tmp_path}/{link}", "/proc/self/exe"]

    out, err, code = run(container, *["/.lpmx/host/usr/bin/env", *words] if from_host
                         else [f"/.lpmx/host{words[0]}", words[1]])

    assert (f"{tmp_path}/real/readlink\n", "", 0) == (out, err, code)


def test_host_program_through_many_links_knows_its_own_name(make, tmp_path):
    """More than are followed before the kernel is asked."""
    container = make()
    (tmp_path / "real").mkdir()
    shutil.copy(os.path.realpath(shutil.which("readlink")), tmp_path / "real" / "readlink")
    for n in range(12):
        (tmp_path / f"way{n}").symlink_to(f"way{n + 1}" if n < 11 else "real")

    out, err, code = run(container, f"/.lpmx/host{tmp_path}/way0/readlink", "/proc/self/exe")

    assert (f"{tmp_path}/real/readlink\n", "", 0) == (out, err, code)


def mapped(maps: str, name: str) -> "list[int]":
    """Where each part of the file `name` begins."""
    return [int(line.split("-")[0], 16) for line in maps.splitlines() if line.rpartition("/")[2].startswith(name)]


def test_linker_of_the_host_is_not_trapped_unless_that_is_traced(make, tmp_path, monkeypatch):
    """It lies behind the loader, from where the filter lets it look for libraries."""
    container = make()
    trace = tmp_path / "trace"

    out, err, code = run(container, "/.lpmx/host/usr/bin/cat", "/proc/self/maps")
    monkeypatch.setenv("LPMX_TRACE", str(trace))
    seen, _, _ = run(container, "/.lpmx/host/usr/bin/cat", "/proc/self/maps")

    loader, linker = min(mapped(out, "loader")), mapped(out, "ld-linux")
    assert ("", 0) == (err, code)
    assert linker and all(loader < address < loader + 0xc0000 for address in linker)
    assert not any(loader < address < loader + 0xc0000 for address in mapped(seen, "ld-linux"))
    assert "/etc/ld.so.cache" in trace.read_text()


def test_host_program_finds_libraries_beside_itself(make, tmp_path):
    """By $ORIGIN, for which ld.so asks what program runs; and by dlopen, later."""
    container = make()
    (tmp_path / "lib").mkdir()
    for name, source, words in (
            ("lib/libnear.so", "int near(void) { return 40; }", ["-shared", "-fPIC"]),
            ("lib/liblate.so", "int late(void) { return 2; }", ["-shared", "-fPIC"]),
            ("program", """
#include <dlfcn.h>
#include <stdio.h>
int near(void);
int main(void)
{
	void *library = dlopen("liblate.so", RTLD_NOW);
	int (*late)(void) = library ? (int (*)(void))dlsym(library, "late") : 0;

	printf("%d\\n", near() + (late ? late() : 0));
	return 0;
}
""", ["-Wl,-rpath,$ORIGIN/lib", f"-L{tmp_path}/lib", "-lnear", "-ldl"])):
        (tmp_path / "source.c").write_text(source)
        subprocess.run(["gcc", "-o", tmp_path / name, tmp_path / "source.c", *words], check=True)

    assert ("42\n", "", 0) == run(container, f"/.lpmx/host{tmp_path}/program")
