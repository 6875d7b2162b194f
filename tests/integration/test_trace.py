"""`LPMX_TRACE`: each intercepted call, its paths, and the way it came."""
from __future__ import annotations

import os
import re

import pytest

LINE = re.compile(r"(\d+\.\d{6}) (\d+) (preload|trap|path|loader) (.+)")


@pytest.fixture
def traced(loaded, lpmx, tmp_path):
    """Run a command in a new container of an image, traced: the lines, each as (process, way, text)."""
    file = tmp_path / "trace"

    def run(image, *command, env=None):
        done = lpmx("run", "--contain", loaded(image), "--", *command, store=loaded.path,
                    env={**os.environ, "LPMX_TRACE": str(file), **(env or {})}, check=True)
        lines = file.read_text().splitlines()
        found = [LINE.fullmatch(line) for line in lines]
        assert all(found), [line for line, match in zip(lines, found) if not match]
        run.output = done.stdout
        return [(int(match[2]), match[3], match[4]) for match in found]

    run.file = file
    return run


def test_a_line_tells_the_call_its_result_and_what_its_path_came_to(traced):
    """A file of a layer, one that is made, and one that is not there."""
    lines = traced("bookworm", "sh", "-c", "cat /etc/hostname /etc/none; echo x >/etc/made; true")
    said = [text for _, _, text in lines]

    assert [text for text in said if re.fullmatch(
        r'openat\(AT_FDCWD, "/etc/none", 0x0\) = -2 ENOENT', text)]
    assert [text for text in said if re.fullmatch(
        r'"/etc/made" is "/.+/upper/etc/made" absent', text)]
    assert [text for text in said if re.fullmatch(
        r'openat\(AT_FDCWD, "/etc/made", 0x[0-9a-f]+, 0666\) = \d+', text)]
    assert [text for text in said if re.fullmatch(
        r'"/etc/hostname" is "/.+/etc/hostname" lower \d', text)]


def test_a_line_tells_the_way(traced):
    """Those of a dynamic program come by the library where it has them, those of a static one by the trap."""
    dynamic = {way for _, way, _ in traced("bookworm", "ls", "/etc")}
    traced.file.unlink()
    static = {way for _, way, _ in traced("tiny", "ls", "/")}

    assert {"loader", "path", "trap", "preload"} == dynamic
    assert {"loader", "path", "trap"} == static


def test_programs_that_it_starts_are_traced_too(traced):
    """Whatever becomes of the environment; none of them sees the variable."""
    lines = traced("bookworm", "sh", "-c", "env -i /usr/bin/env; /usr/bin/env")

    programs = [text for _, way, text in lines if way == "loader"]
    assert [re.fullmatch(r'program "(/.+)" is "/.+"', text)[1] for text in programs] == [
        "/usr/bin/dash", "/usr/bin/env", "/usr/bin/env", "/usr/bin/env"]
    assert "LPMX_TRACE" not in traced.output


def test_lines_of_many_processes_do_not_mix(traced):
    """Eight at once, each line whole."""
    lines = traced("bookworm", "sh", "-c",
                   'for i in 1 2 3 4 5 6 7 8; do ls -lR /etc >/dev/null & done; wait')

    assert 8 == len({process for process, way, text in lines if '"/usr/bin/ls"' in text and way == "loader"})


def test_a_name_with_odd_bytes_stays_on_its_line(traced):
    """As C would have it in quotes."""
    lines = traced("bookworm", "sh", "-c", '[ -e "$1" ]; true', "sh", "/a\nb\"\\c\t\x7f")

    assert [text for _, _, text in lines if r'"/a\nb\"\\c\x09\x7f"' in text]


def test_trace_that_cannot_be_written_is_told_before_anything_runs(loaded, lpmx, tmp_path):
    """With its name, the cause, and what to do."""
    done = lpmx("run", loaded("tiny"), "echo", "hello", store=loaded.path,
                env={**os.environ, "LPMX_TRACE": str(tmp_path)})

    assert 125 == done.returncode and "" == done.stdout
    assert f'cannot trace into "{tmp_path}": is a directory' in done.stderr
    assert "hint: " in done.stderr
