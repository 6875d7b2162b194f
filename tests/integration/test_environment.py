"""The live environment: its history, files of variables, many readers and writers."""
from __future__ import annotations

import json
import subprocess
import sys
import time

#: Processes that read two variables of the live environment as fast as they can, by the core;
#: a value that was never set, or of the other variable, is an error.
READERS = """
import os, sys
from lpmx_runtime import _native
children = []
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    children.append(pid)
    if not pid:
        break
else:
    print("ready", flush=True)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
view = _native.View(sys.argv[1])
seen, reads = set(), 0
while not view.environment_list().get("STOP"):
    for name, value in view.environment_list().items():
        if name == "STOP":
            continue
        number = value.rstrip("x")
        if not number.startswith(name + ":") or len(value) - len(number) != int(number[2:]) % 50:
            sys.exit("wrong: %r is %r" % (name, value))
        seen.add(value)
    reads += 1
sys.exit(0 if reads and len(seen) > 1 else "it saw %d values in %d reads" % (len(seen), reads))
"""


def test_history_has_every_change_with_its_time(make, shell):
    """Oldest first; who set it, and what was taken away."""
    container = make()
    before = time.time()
    shell("env", "set", container.name, "A=1", "B=x y", check=True)
    shell("exec", container.name, "lpmx", "env", "set", "A=2", check=True)
    shell("env", "unset", container.name, "A", check=True)

    found = json.loads(shell("env", "history", "--json", container.name, check=True).stdout)

    assert [["A", "1"], ["B", "x y"], ["A", "2"], ["A", None]] == [[one["name"], one["value"]] for one in found]
    times = [one["time"] for one in found]
    assert times == sorted(times) and before - 1 < times[0] and times[-1] < time.time() + 1
    assert found[0]["pid"] == found[1]["pid"] != found[2]["pid"]
    table = shell("env", "history", container.name).stdout.splitlines()
    assert ["WHEN", "BY", "NAME", "VALUE"] == table[0].split() and table[-1].endswith("A     (unset)")
    inside = shell("exec", container.name, "lpmx", "env", "history", "--json", check=True).stdout
    assert found == json.loads(inside)


def test_file_of_variables_is_loaded_from_outside_and_inside(make, shell, tmp_path):
    """A file that only the container has is opened there."""
    container = make()
    (tmp_path / "a.env").write_text("export A='one two'  # comment\nB=\"x\\ny\"\n")

    assert "A\nB\n" == shell("env", "load", container.name, tmp_path / "a.env", check=True).stdout
    shell("exec", container.name, "sh", "-c", "echo C=3 >/etc/c.env; lpmx env load /etc/c.env", check=True)

    assert {"A": "one two", "B": "x\ny", "C": "3"} == container.environment.live()
    for words in (["load", container.name, tmp_path / "none"], ["load", container.name, "-"]):
        done = shell("env", *words, input="1=2\n")
        assert 1 == done.returncode and "\nhint: " in done.stderr


def test_change_while_a_program_starts_is_not_lost(make):
    """What is set after its variables were made and before it runs is seen by what it starts; what was
    asked for over an older change stays."""
    container = make()
    container.environment.set("OLDER", "live")
    launch = container.launch(["sh", "-c", "env"], env={"OLDER": "asked"}, entrypoint=False)
    container.environment.set("A", "1")
    container.environment.unset("HOME")

    said = subprocess.run(launch.argv, executable=launch.executable, env=launch.env, text=True,
                          stdout=subprocess.PIPE, check=True).stdout.splitlines()

    assert {"A=1", "OLDER=asked"} <= set(said)
    assert not [line for line in said if line.startswith("HOME=")]


def test_python_follows_when_it_asks(make, shell, installed):
    """`lpmx_runtime.environment.refresh()`: what is new, but not over what the program set."""
    from lpmx_runtime.container import Container, process
    from lpmx_runtime.store import Store
    store = Store.open(make().store.path)
    container = Container.create(store, store.images.find("host"))
    code = ("import os, subprocess\nfrom lpmx_runtime import environment\n"
            "os.environ['MINE'] = 'own'\nprint(environment.refresh(), flush=True)\ninput()\n"
            "print(environment.refresh(), os.environ['A'], os.environ['MINE'], flush=True)\ninput()\n"
            "print(environment.refresh(), os.environ.get('A'), environment.refresh())\n"
            "print(subprocess.run(['/bin/sh', '-c', 'echo [$A][$MINE]'], stdout=-1, text=True).stdout)\n")
    child = process.popen(container.launch([str(installed.python), "-c", code], entrypoint=False),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert "[]\n" == child.stdout.readline()
        for name, value in (("A", "1"), ("MINE", "other")):
            container.environment.set(name, value)
        child.stdin.write("\n")
        child.stdin.flush()
        assert "['A'] 1 own\n" == child.stdout.readline()
        container.environment.unset("A")
        assert "['A'] None []\n[][own]\n\n" == child.communicate("\n", timeout=30)[0]
    finally:
        child.kill()
        child.wait()
        container.remove(force=True)


def test_thousand_sets_a_second_are_never_read_wrong(make):
    """Each of 32 readers only ever sees values that were set, whole, and of the right variable."""
    from lpmx_runtime import _native
    container = make()
    running = subprocess.Popen([sys.executable, "-c", READERS, container.view_file, "32"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "ready\n" == running.stdout.readline()
    seconds, rate, number = 1.5, 1000, 0
    begin = time.monotonic()
    with _native.View(container.view_file) as view:
        while number < seconds * rate:
            if number < (time.monotonic() - begin) * rate:
                name = "AB"[number % 2]
                view.environment_set(name, f"{name}:{number}" + "x" * (number % 50))
                number += 1
            else:
                time.sleep(0.0005)
        elapsed = time.monotonic() - begin
        view.environment_set("STOP", "STOP")

    _, err = running.communicate(timeout=60)

    assert ("", 0) == (err, running.returncode)
    assert elapsed < 4 * seconds, f"only {number / elapsed:.0f} sets a second"
    assert number + 1 == len(container.environment.history())
