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


def test_time_zone_is_there_after_tzset(kernel: Running) -> None:
    """libc reads it past its getenv, and so for programs that start afterwards."""
    for hours in (5, 7):
        kernel.text(f"%lpmx env set TZ=XXX-{hours}")
        assert str(hours) == kernel.text("import time; time.tzset(); print(time.localtime(0).tm_hour)")
    kernel.text("%lpmx env unset TZ")
    assert "True" == kernel.text("time.tzset(); import os; print('TZ' not in os.environ)")


def test_locale_is_there_after_setlocale(kernel: Running) -> None:
    """As the time zone is."""
    ask = "import locale; print(locale.setlocale(locale.LC_NUMERIC, ''))"
    for name in ("C.UTF-8", "C"):
        kernel.text(f"%lpmx env set LANG={name}")
        assert name == kernel.text(ask)
        assert name == kernel.text(f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {ask!r}],"
                                   "stdout=-1, text=True).stdout)")


def test_programs_are_found_by_a_path_that_was_set(jupyter: Jupyter) -> None:
    """By the notebook from its next cell on, and by the shells that it starts."""
    kernel = jupyter.start(jupyter.install("tiny"))
    kernel.text("import os, shutil; os.makedirs('/opt/tools')\n"
                "open('/opt/tools/tool', 'w').write('#!/bin/sh\\necho found\\n'); os.chmod('/opt/tools/tool', 0o755)")
    assert "None" == kernel.text("print(shutil.which('tool'))")

    kernel.text("path = os.environ['PATH']\n%lpmx env set PATH=/opt/tools:{path}")

    assert "/opt/tools/tool" == kernel.text("print(shutil.which('tool'))")
    assert "found" == kernel.text("!tool")


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
    ("%lpmx call here", "%lpmx call needs a container and a command"),
    ("%lpmx link x=host:/nowhere", 'the host has no program "/nowhere"'),
    ("%lpmx commit", "the following arguments are required: NAME[:TAG]"),
    ("%lpmx env load /nowhere", 'cannot read the variables in "/nowhere"'),
])
def test_misuse_is_told_in_two_lines(jupyter: Jupyter, line: str, message: str) -> None:
    """What, why and what to do; no traceback."""
    kernel = jupyter.start(jupyter.install("tiny"))

    cell = kernel.run(line)

    assert "error" == cell.status
    assert cell.error.startswith("UsageError: ")
    assert message in cell.error
    assert "\nhint: " in cell.error


def test_programs_elsewhere_run_from_a_cell(jupyter: Jupyter, lpmx: Any) -> None:
    """%lpmx run, %lpmx call and links: output as it comes, exit codes in _exit_code."""
    kernel = jupyter.start(jupyter.install("tiny"))
    image = jupyter.loaded("tiny")
    other = lpmx("create", image, store=jupyter.loaded.path, check=True).stdout.strip()
    try:
        assert f"{other} a  b" == kernel.text(f"%lpmx call {other} sh -c 'echo $LPMX_CONTAINER \"$1\"' sh 'a  b'")
        assert str(jupyter.folder) == kernel.text(f"%lpmx call {other} pwd")
        assert "3" == kernel.text(f"%lpmx call {other} sh -c 'exit 3'\nprint(_exit_code)")
        assert "2" == kernel.text(f"%%lpmx call {other} grep -c e\none\ntwo\nthree\n")
        assert "one two" == kernel.text(f"%%lpmx run {image} cat\none two\n")
        assert "4" == kernel.text(f"%lpmx run {image} sh -c 'exit 4'\nprint(_exit_code)")
        assert "/bin/say" == kernel.text(f"%lpmx link /bin/say={other}:/bin/echo")
        assert "hello" == kernel.text("!/bin/say hello")
        assert f"NAME  TARGET            PATH\nsay   {other}:/bin/echo  /bin/say".split() == \
            kernel.text("%lpmx links").split()
        assert "/bin/say" == kernel.text("%lpmx unlink say")
        assert "no links" == kernel.text("%lpmx links")
        names = kernel.text("x = %lpmx ps\nprint([one['name'] for one in x], '<table>' in x._repr_html_())")
        assert other in names and names.endswith("True")
    finally:
        lpmx("rm", "-f", other, store=jupyter.loaded.path, check=True)


def test_container_is_exposed_and_committed_from_a_cell(jupyter: Jupyter, lpmx: Any, tmp_path: Any) -> None:
    """This one, without saying its name."""
    kernel = jupyter.start(jupyter.install("tiny"))
    [container] = jupyter.containers()

    told = kernel.text(f"%lpmx expose ls --dir {tmp_path}/bin")

    assert f"\n{tmp_path}/bin/ls" in told and "is not in your PATH" in told
    assert container in kernel.text("%lpmx exposed\n%lpmx ps")
    kernel.text("%lpmx unexpose ls")
    assert not (tmp_path / "bin" / "ls").exists()
    kernel.text("%lpmx commit lpmx-test/of-a-cell:1 --quiet")
    listed = lpmx("images", "-q", store=jupyter.loaded.path, check=True).stdout.split()
    assert "lpmx-test/of-a-cell:1" in listed
    lpmx("rmi", "lpmx-test/of-a-cell:1", store=jupyter.loaded.path, check=True)
    assert "usage: lpmx link" in kernel.text("%lpmx link --help")
    assert "%lpmx call CONTAINER COMMAND" in kernel.text("%lpmx --help")


def test_variables_come_from_a_file_and_have_a_history(jupyter: Jupyter) -> None:
    """The file is the container's; os.environ has its values in the same cell."""
    kernel = jupyter.start(jupyter.install("tiny"))
    kernel.text("import os\nos.makedirs('/etc/x')\nopen('/etc/x/my.env', 'w').write('A=\"one two\" # x\\nB=2\\n')")

    assert "A B\none two 2" == kernel.text("os.environ['B'] = 'own'\n%lpmx env load /etc/x/my.env\n"
                                           "print(os.environ['A'], os.environ['B'])")
    kernel.text("%lpmx env unset A")

    changes = kernel.text("x = %lpmx env history\nprint([(c['name'], c['value']) for c in x])")
    assert "[('A', 'one two'), ('B', '2'), ('A', None)]" == changes
    assert ["WHEN", "PID", "NAME", "VALUE"] == kernel.text("%lpmx env history").splitlines()[0].split()


def test_line_is_completed(jupyter: Jupyter) -> None:
    """Commands, actions, and names that are there."""
    kernel = jupyter.start(jupyter.install("tiny"))
    [container] = jupyter.containers()
    kernel.text("%lpmx env set MY_OWN=1")

    def matches(line: str) -> list:
        return list(kernel.client.complete(line, reply=True, timeout=60)["content"]["matches"])

    assert ["link", "links"] == matches("%lpmx lin")
    assert ["history"] == matches("%lpmx env h")
    assert ["MY_OWN"] == matches("%lpmx env unset MY")
    assert container in matches("%lpmx call ")
    assert "lpmx-test/tiny:1" in matches("%%lpmx run lpmx-")


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


def test_python_without_ctypes_says_so_in_two_lines(installed: Any, tmp_path: Any) -> None:
    """As one that was built where libffi was not; the kernel starts all the same, and its variables are
    those of its image."""
    code = ("import os, sys\nsys.modules['_ctypes'] = None\n"
            "from ipykernel import kernelapp\n"
            "from IPython.core.interactiveshell import InteractiveShell\n"
            "shell = InteractiveShell.instance()\n"
            "for line in ('%load_ext lpmx_jupyter', '%lpmx ps', 'print(os.environ.get(\"PYTHONPATH\"))'):\n"
            "    shell.run_cell('import os' if line[0] == 'p' else '')\n"
            "    shell.run_cell(line)\n")

    done = subprocess.run([installed.python, "-c", code], cwd=tmp_path, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONPATH": "/.lpmx/python",
                               "LPMX_PYTHONPATH": ""})

    said = ("cannot use %lpmx in this kernel: its Python cannot load what it needs ({})\n"
            'hint: the command "lpmx" does the same: !lpmx env list\n')
    cause = "import of _ctypes halted; None in sys.modules"
    assert "None\n" == done.stdout
    assert [f"lpmx: {said.format(cause)}", f"UsageError: {said.format(cause)}"] == [
        "".join(pair) for pair in zip(*[iter(done.stderr.splitlines(True))] * 2)]
