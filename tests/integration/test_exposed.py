"""Commands of the host that run programs of containers (`lpmx expose`)."""
from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest


@pytest.fixture
def exposed(make, shell, tmp_path, monkeypatch):
    """A container with `sh` exposed as `csh` in a directory of the PATH."""
    container = make()
    directory = tmp_path / "bin"
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    done = shell("expose", container.name, "sh", "--as", "csh", "--dir", directory, check=True)
    assert (f"{directory}/csh\n", "") == (done.stdout, done.stderr)
    return container, directory / "csh"


def call(command, *words, **options):
    return subprocess.run([command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, **options)


def test_exposed_program_is_a_command_of_the_host(exposed, shell, tmp_path):
    """Words, exit code, signals and the working directory are the program's own."""
    container, command = exposed

    done = call("csh", "-c", 'echo "$1|$2|$LPMX_CONTAINER"; pwd; exit 3', "sh", "a b", "'\n", cwd=tmp_path)

    assert (f"a b|'\n|{container.name}\n{tmp_path}\n", 3, "") == (done.stdout, done.returncode, done.stderr)
    assert -signal.SIGTERM == call(command, "-c", "kill $$").returncode
    [one] = json.loads(shell("exposed", "--json", container.name).stdout)
    assert {"name": "csh", "path": str(command), "container": container.name, "program": "/bin/sh",
            "whole": True} == one
    assert str(command) in shell("exposed").stdout


def test_exposed_command_needs_neither_a_shell_nor_python(exposed, installed, tmp_path):
    """`lpmx` is its interpreter; who gives it to a shell gets the same."""
    container, command = exposed
    script = ["-c", 'echo "$1|$2|$LPMX_CONTAINER"', "sh", "a b", "'\n"]
    first = call(command, *script, cwd=tmp_path)

    direct = call(command, *script, cwd=tmp_path, env={**os.environ, "PYTHONHOME": "/nonexistent"})
    by_shell = call("sh", command, *script, cwd=tmp_path)

    assert command.read_text().startswith(f"#!{installed.lpmx}\n")
    assert f"a b|'\n|{container.name}\n" == first.stdout == direct.stdout == by_shell.stdout


def test_directory_that_the_container_does_not_show_is_told(exposed):
    """It does not start somewhere else."""
    _, command = exposed

    done = call(command, "-c", "pwd", cwd="/usr")

    assert ("", 125) == (done.stdout, done.returncode)
    assert 'the caller\'s working directory "/usr" is not in it\nhint: ' in done.stderr


def test_command_goes_with_unexpose_and_with_the_container(exposed, shell):
    """Only what was made by us is removed."""
    container, command = exposed
    shell("expose", container.name, "/bin/ls", "--dir", command.parent, check=True)
    shell("unexpose", container.name, "csh", check=True)
    assert ["ls"] == os.listdir(command.parent)
    (command.parent / "mine").write_text("#!/bin/sh\n")

    container.remove()

    assert ["mine"] == os.listdir(command.parent)


def test_what_is_in_the_way_stays(exposed, shell):
    """A file of another's, a program that is not there, a name that is none."""
    container, command = exposed
    other = command.parent / "ls"
    other.write_text("mine")
    os.mkfifo(command.parent / "cat")

    for words, message in ((["ls"], "is there already"), (["cat"], "is there already"), (["nothing"], 'has no program "nothing"'),
                           (["ls", "--as", "a/b"], "cannot be the name of a command")):
        done = shell("expose", container.name, *words, "--dir", command.parent)
        assert 1 == done.returncode and message in done.stderr and "\nhint: " in done.stderr
    assert "mine" == other.read_text()


def test_directory_outside_the_path_is_noted(make, shell, tmp_path):
    """The command is made all the same."""
    container = make()

    done = shell("expose", container.name, "ls", "--dir", tmp_path / "elsewhere", check=True)

    assert "is not in your PATH" in done.stderr
    assert (tmp_path / "elsewhere" / "ls").exists()


def test_line_end_in_a_directory_of_the_path_is_no_line_of_the_command(make, shell, tmp_path):
    """An image cannot have the host's shell run something."""
    container = make(env={"PATH": "/a\ntouch ran #:/bin"})
    with container.view() as view:
        view.makedirs("/a\ntouch ran #")
        view.write("/a\ntouch ran #/tool", b"#!/bin/sh\n", 0o755)

    done = shell("expose", container.name, "tool", "--dir", tmp_path / "bin")

    assert 1 == done.returncode and "there is a line end in its path\nhint: " in done.stderr
    assert not (tmp_path / "bin").exists()
