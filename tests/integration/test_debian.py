"""Three Debian releases, glibc 2.31, 2.36 and 2.41: real programs, a package manager, live variables."""
from __future__ import annotations

import platform
import subprocess

import pytest

from lpmx_runtime.container import Container
from lpmx_runtime.store import Store

SUITES = {"bullseye": ("11", "2.31"), "bookworm": ("12", "2.36"), "trixie": ("13", "2.41")}


@pytest.fixture(params=sorted(SUITES))
def debian(request, loaded, lpmx):
    """A container of a Debian release: `debian(command...)` runs in it."""
    image = loaded(request.param)
    name = f"debian-{request.param}"
    lpmx("create", "--name", name, "--contain", image, store=loaded.path, check=True)

    def run(*command, check=True, **options):
        return lpmx("exec", name, *command, store=loaded.path, check=check, **options).stdout

    run.name, run.store = name, loaded.path
    run.version, run.glibc = SUITES[request.param]
    yield run
    lpmx("rm", "-f", name, store=loaded.path, check=True)


def test_shell_perl_and_python_run_with_the_images_own_libc(debian):
    """Its loader, its C library, its modules; the answers are those of the release."""
    assert debian.version == debian("sh", "-c", '. /etc/os-release; echo "$VERSION_ID"').strip()
    assert debian("sh", "-c", "ldd --version | head -1").endswith(f" {debian.glibc}\n")
    assert "6 perl" == debian("perl", "-MList::Util=sum", "-e", 'print sum(1, 2, 3), " perl"')
    assert debian.glibc == debian(
        "python3", "-c", "import os, ssl, sqlite3, ctypes; print(os.confstr('CS_GNU_LIBC_VERSION'))"
    ).split()[1]


def test_loader_of_the_image_gets_no_options(debian):
    """The program that runs is the program, for itself and for ps."""
    assert "/usr/bin/python3\n" == debian(
        "python3", "-c", "import sys; print(sys.executable)")
    assert "python3" == debian("python3", "-c", "print(open('/proc/self/cmdline').read())"
                               ).split("\0")[0]
    assert debian("readlink", "/proc/self/exe").strip() in ("/usr/bin/readlink", "/bin/readlink")


INTERPRETER = "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the interpreter has another name there")
@pytest.mark.parametrize("told", [
    "",
    f"{len(INTERPRETER)}:{INTERPRETER}" "{there}",
    f"{len(INTERPRETER) + 4}:{INTERPRETER}.old/nowhere",
    f"{len(INTERPRETER)}:{INTERPRETER[:-1]}1/nowhere",
    "1:x/nowhere",
], ids=["nothing", "what is so", "longer", "another", "shorter"])
def test_loader_believes_of_an_interpreter_only_what_the_program_says(debian, told):
    """Another program may be at the path since exec looked: then its own is looked for."""
    container = Container.open(Store.open(debian.store), debian.name)
    launch = container.launch(["/usr/bin/printf", "right"], entrypoint=False)
    with container.view() as view:
        there, file = (view.resolve(each).host for each in (INTERPRETER, "/usr/bin/printf"))
    variables = {"LPMX_PROGRAM": "/usr/bin/printf", "LPMX_START": ":printf", "LPMX_FILE": file}
    if told:
        variables["LPMX_INTERPRETER"] = told.format(there=there)

    done = subprocess.run(launch.argv, executable=launch.executable, env={**launch.env, **variables},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)

    assert ("right", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_apt_installs_a_package(debian):
    """Update, download, verify, unpack, configure, and afterwards nothing differs from its
    package: as an ordinary user who is root of the container."""
    debian("sh", "-ec", "apt-get -q update; "
           "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install hello")

    assert "Hello, world!\n" == debian("hello")
    assert "" == debian("dpkg", "-V", "hello", "base-files", "coreutils", "libc6")
    assert "0:0\n" == debian("stat", "-c", "%u:%g", "/usr/bin/hello")
    debian("apt-get", "-q", "-y", "purge", "hello")
    assert "gone\n" == debian("sh", "-c", "command -v hello || echo gone")


def test_program_becomes_another_user_as_setpriv_does_it(debian):
    """First the user, then the groups, by the capabilities that it keeps in between; the
    program that it starts then has none."""
    as_man = ["setpriv", "--reuid", "man", "--regid", "man", "--init-groups"]

    assert "man man\n" == debian(*as_man, "sh", "-c", "echo $(id -un) $(id -Gn)")
    assert "still man\n" == debian(
        *as_man, "sh", "-c", "setpriv --reuid root id -un 2>&- || echo still $(id -un)")


def test_running_program_sees_a_live_variable_through_libc(debian, lpmx):
    """getenv in a program that was started before the variable was set, and of one unset."""
    from lpmx_runtime.container import Container, process
    from lpmx_runtime.store import Store
    container = Container.open(Store.open(debian.store), debian.name)
    code = ("import ctypes, os, sys\n"
            "get = ctypes.CDLL(None).getenv; get.restype = ctypes.c_char_p\n"
            "for line in sys.stdin:\n"
            "    print(get(b'LIVE'), get(b'HOME'), flush=True)\n")
    child = process.popen(container.launch(["python3", "-c", code]), text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask():
        child.stdin.write("\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    try:
        assert "None b'/root'" == ask()
        lpmx("env", "set", debian.name, "LIVE=1", store=debian.store, check=True)
        assert "b'1' b'/root'" == ask()
        lpmx("env", "set", debian.name, "LIVE=2", store=debian.store, check=True)
        lpmx("env", "unset", debian.name, "HOME", store=debian.store, check=True)
        assert "b'2' None" == ask()
    finally:
        child.communicate()
