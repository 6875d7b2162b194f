"""`%lpmx` in a notebook: the live environment, calls to the host, and what it says."""
from __future__ import annotations

import os
import platform
import subprocess
import time
from typing import Any

import pytest
from support.notebooks import Jupyter, Running

#: A program that runs on and prints each new value that libc's getenv gives it.
WATCHER = """
import subprocess, sys
watcher = subprocess.Popen([sys.executable, '-u', '-c', '''
import ctypes, time
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
seen = []
while len(seen) < 3:
    value = getenv(b"WATCHED")
    if not seen or value != seen[-1]:
        seen.append(value)
        print(value)
    time.sleep(0.01)
'''], stdout=subprocess.PIPE, text=True)
print(watcher.stdout.readline())
"""


def test_variable_is_set_here_in_new_programs_and_in_running_ones(kernel: Running) -> None:
    """os.environ, a shell, and the getenv of a program that was started before."""
    assert "None" == kernel.text(WATCHER)

    kernel.text("%lpmx env set WATCHED=first 'OTHER=with blank'")

    assert "b'first'" == kernel.text("print(watcher.stdout.readline())")
    assert "first/with blank" == kernel.text("import os; print(os.environ['WATCHED'] + '/' + os.environ['OTHER'])")
    assert "first/with blank" == kernel.text("!echo \"$WATCHED/$OTHER\"")
    assert "first" == kernel.text("print(subprocess.run('echo $WATCHED', shell=True, stdout=-1, text=True).stdout)")

    kernel.text("%lpmx env set WATCHED=second")

    assert "b'second'" == kernel.text("print(watcher.stdout.readline())")


def test_variable_is_taken_away(kernel: Running) -> None:
    """`%lpmx env unset`."""
    kernel.text("%lpmx env set GOES=1 STAYS=2")

    kernel.text("%lpmx env unset GOES")

    assert "None 2" == kernel.text("import os; print(os.environ.get('GOES'), os.environ['STAYS'])")
    assert "[] [2]" == kernel.text("!echo [$GOES] [$STAYS]")
    assert "GOES   (unset)\nSTAYS  2" == kernel.text("%lpmx env list")
    assert "{'GOES': None, 'STAYS': '2'}" == kernel.text("x = %lpmx env list\nprint(dict(x))")


def test_change_made_elsewhere_is_in_os_environ_before_the_next_cell(jupyter: Jupyter,
                                                                     lpmx: Any) -> None:
    """`lpmx env set` in a terminal reaches a notebook without its doing anything."""
    kernel = jupyter.start(jupyter.install("tiny"))
    [container] = jupyter.containers()

    lpmx("env", "set", container, "FROM_OUTSIDE=one", store=jupyter.loaded.path, check=True)
    assert "one" == kernel.text("import os; print(os.environ['FROM_OUTSIDE'])")

    lpmx("env", "set", container, "FROM_OUTSIDE=two", store=jupyter.loaded.path, check=True)
    assert "two" == kernel.text("print(os.environ['FROM_OUTSIDE'])")

    lpmx("env", "unset", container, "FROM_OUTSIDE", store=jupyter.loaded.path, check=True)
    assert "False" == kernel.text("print('FROM_OUTSIDE' in os.environ)")


def test_change_made_while_a_cell_runs_reaches_programs_it_starts(jupyter: Jupyter,
                                                                  lpmx: Any) -> None:
    """A long cell keeps its os.environ; the programs it starts have the new value."""
    kernel = jupyter.start(jupyter.install("tiny"))
    [container] = jupyter.containers()
    kernel.text("%lpmx env set LATE=before")
    kernel.begin("import os, subprocess, time\nprint('begun', flush=True)\n"
                 "deadline = time.time() + 20\nvalue = 'before'\n"
                 "while value == 'before' and time.time() < deadline:\n"
                 "    value = subprocess.run('echo $LATE', shell=True, stdout=-1, text=True).stdout.strip()\n",
                 "begun")

    lpmx("env", "set", container, "LATE=after", store=jupyter.loaded.path, check=True)

    assert "after" == kernel.text("print(value)")


def test_what_the_notebook_assigned_stays(jupyter: Jupyter, lpmx: Any) -> None:
    """os.environ[...] = is the program's own, as for every program; %lpmx env set is not."""
    kernel = jupyter.start(jupyter.install("tiny"))
    [container] = jupyter.containers()
    kernel.text("import os; os.environ['MINE'] = 'own'")

    lpmx("env", "set", container, "MINE=from outside", store=jupyter.loaded.path, check=True)
    assert "own own" == kernel.text("print(os.environ['MINE'], subprocess.getoutput('echo $MINE'))"
                                    .replace("print", "import subprocess; print", 1))

    kernel.text("%lpmx env set MINE=asked")
    assert "asked asked" == kernel.text("print(os.environ['MINE'], subprocess.getoutput('echo $MINE'))")


def test_host_program_runs_outside(kernel: Running) -> None:
    """Its output appears under the cell, its exit code is in _exit_code."""
    assert platform.node() == kernel.text("%lpmx host uname -n")
    assert "0" == kernel.text("print(_exit_code)")
    assert "out err" == " ".join(sorted(kernel.text(
        "%lpmx host sh -c 'echo out; echo err >&2; exit 7'").split(), reverse=True))
    assert "7" == kernel.text("print(_exit_code)")
    assert str(os.path.exists("/usr/bin/python3")) == str(
        "0" == kernel.text("%lpmx host test -e /usr/bin/python3\nprint(_exit_code)"))


def test_host_program_gets_its_words_as_they_are(jupyter: Jupyter) -> None:
    """Quotes make one word, and nothing is expanded a second time."""
    kernel = jupyter.start(jupyter.install("tiny"))

    assert "<a b><$HOME><*><>" == kernel.text("%lpmx host printf '<%s>' 'a b' '\\$HOME' '*' ''"
                                              .replace("\\", ""))
    assert "<5>" == kernel.text("n = 5\n%lpmx host printf '<%s>' {n}")


def test_cell_is_the_input_of_a_host_program(jupyter: Jupyter) -> None:
    """%%lpmx host COMMAND reads the cell; without a command, sh runs it."""
    kernel = jupyter.start(jupyter.install("tiny"))

    assert "2" == kernel.text("%%lpmx host grep -c e\none\ntwo\nthree\n")
    assert "1 2 3" == kernel.text("%%lpmx host\nfor i in 1 2 3; do printf '%s ' $i; done\n")
    big = "x" * 300_000
    assert "300001" == kernel.text(f"%%lpmx host wc -c\n{big}\n")


def test_output_of_a_host_program_comes_while_it_runs(jupyter: Jupyter) -> None:
    """It does not wait for the end."""
    kernel = jupyter.start(jupyter.install("tiny"))
    start = time.monotonic()

    message = kernel.begin("%lpmx host sh -c 'echo early; sleep 5; echo late'", "early")

    assert time.monotonic() - start < 4.5
    assert "ok" == kernel.reply(message)["status"]


@pytest.mark.parametrize("program", [
    "sh -c 'echo begun; exec sleep 1000'", "sh -c 'trap \"\" INT; echo begun; sleep 1000'"],
                         ids=["willing", "stubborn"])
def test_interrupt_ends_a_host_program(jupyter: Jupyter, program: str) -> None:
    """First as Control-C does, then with more force; the exit code says which."""
    kernel = jupyter.start(jupyter.install("tiny"))
    message = kernel.begin(f"%lpmx host {program}", "begun")

    kernel.manager.interrupt_kernel()
    reply = kernel.reply(message)

    assert ("error", "KeyboardInterrupt") == (reply["status"], reply["ename"])
    assert kernel.text("print(_exit_code)") in ("130", "143", "137")
    assert [] == [name for name in os.listdir("/proc") if name.isdigit() and _sleeps(name)]


def _sleeps(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return (file.read() == b"sleep\0" b"1000\0" and os.stat(f"/proc/{pid}").st_uid == os.getuid()
                    and b"LPMX_KERNEL_ID" in open(f"/proc/{pid}/environ", "rb").read())
    except OSError:
        return False


@pytest.mark.parametrize("line,message", [
    ("%lpmx fly", 'cannot run "%lpmx fly": there is no such command'),
    ("%lpmx env set NOVALUE", 'cannot set "NOVALUE": it is not NAME=VALUE'),
    ("%lpmx env", "cannot change the environment"),
    ("%lpmx host", "cannot run a program of the host: none was named"),
    ("%lpmx host 'open", "cannot read the arguments: no closing quotation"),
    ("%%lpmx info\ntext", 'cannot run "%%lpmx info": it takes no cell'),
    ("%lpmx env set LPMX_VIEW=1", "that cannot be the name of a variable"),
])
def test_misuse_is_told_in_two_lines(jupyter: Jupyter, line: str, message: str) -> None:
    """What, why and what to do; no traceback."""
    kernel = jupyter.start(jupyter.install("tiny"))

    cell = kernel.run(line)

    assert "error" == cell.status
    assert cell.error.startswith("UsageError: ")
    assert message in cell.error
    assert "\nhint: " in cell.error


def test_info_tells_where_the_notebook_runs(jupyter: Jupyter) -> None:
    """Container, image, kernel, system; the banner says it, too."""
    kernel = jupyter.start(jupyter.install("tiny"))

    facts = kernel.text("x = %lpmx info\nprint(x['container'], x['image'], x['kernel'])")

    [container] = jupyter.containers()
    assert facts.startswith(f"{container} lpmx-test/tiny:1 the host's Python")
    assert facts.endswith("in a kernel view")
    banner = kernel.client.kernel_info(reply=True, timeout=30)["content"]["banner"]
    assert f"in image lpmx-test/tiny:1, container {container}" in banner


def test_magic_outside_a_container_says_so(installed: Any, tmp_path: Any) -> None:
    """`%load_ext lpmx_jupyter` works in any IPython; without a container there is nothing to steer."""
    code = ("from IPython.core.interactiveshell import InteractiveShell\n"
            "shell = InteractiveShell.instance()\n"
            "for line in ('%load_ext lpmx_jupyter', '%lpmx', '%lpmx env set A=1',\n"
            "             '%unload_ext lpmx_jupyter', '%lpmx'):\n"
            "    shell.run_cell(line)\n")

    done = subprocess.run([installed.python, "-c", code], cwd=tmp_path, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "IPYTHONDIR": str(tmp_path)})

    assert "%lpmx host COMMAND" in done.stdout
    assert "this kernel does not run in one" in done.stdout
    assert "magic function" in done.stdout  # gone after unloading
    assert "Traceback" not in done.stdout
