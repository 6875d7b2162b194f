"""The tests' own tools hold what the other tests rely on."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import leftovers, matrix, nopriv, soak, trees
from support.registry import Registry

UNSHARE = 'import ctypes; print(ctypes.CDLL(None, use_errno=True).unshare({flags}), flush=True)'
SETGROUPS = "import os\ntry: os.setgroups([])\nexcept PermissionError: print('refused')"
FORK_THREAD = (
    "import subprocess, threading, multiprocessing\n"
    "threading.Thread(target=print, args=('thread',)).start()\n"
    "process = multiprocessing.get_context('spawn').Process(target=print, args=('process',))\n"
    "if __name__ == '__main__': process.start(); process.join()\n"
    "subprocess.run(['true'], check=True)\n")


def under_filter(code: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, nopriv.__file__, *options, sys.executable, "-c", code]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("flags", [0, 0x10000000])
def test_killing_filter_kills_who_asks_for_a_namespace(flags: int) -> None:
    """Even asking for nothing new is the end."""
    done = under_filter(UNSHARE.format(flags=flags), "--kill")

    assert (-signal.SIGSYS, "") == (done.returncode, done.stdout)


@pytest.mark.unconfined
def test_plain_filter_refuses_a_namespace() -> None:
    """Without --kill the program is told EPERM and goes on."""
    done = under_filter(UNSHARE.format(flags=0x10000000))

    assert (0, "-1\n") == (done.returncode, done.stdout)


def test_changing_identity_is_refused_but_does_not_kill() -> None:
    """A contained program's setgroups is answered by the trap, which a kill would forestall."""
    done = under_filter(SETGROUPS, "--kill")

    assert (0, "refused\n") == (done.returncode, done.stdout)


def test_keeping_ones_identity_is_let_through() -> None:
    """make asks for its own user before each command."""
    code = ("import os\nos.setresuid(-1, os.getuid(), -1)\nos.setresgid(os.getgid(), -1, -1)\n"
            "try: os.setresuid(-1, 0, -1)\nexcept PermissionError: print('refused')")

    done = under_filter(code, "--kill")

    assert (0, "refused\n") == (done.returncode, done.stdout)


def test_killing_filter_lets_ordinary_work_through() -> None:
    """Threads, child processes and pipes are nobody's privilege."""
    done = under_filter(FORK_THREAD, "--kill")

    assert (0, "thread\nprocess\n") == (done.returncode, done.stdout)


def test_leftover_process_and_socket_are_found(tmp_path: Path) -> None:
    """A process that stands in a place, and a socket bound there, are reported until they end."""
    process = subprocess.Popen(["sh", "-c", "echo ready; exec sleep 60"], cwd=tmp_path,
                               stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline()
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "s"))

    found = leftovers.wait_for_none([tmp_path], patience=0)
    process.kill()
    process.communicate()
    bound.close()

    assert [f"process {process.pid}: ", f"socket {tmp_path}/s"] == [
        line.replace("sh -c echo ready; exec sleep 60", "").replace("sleep 60", "")
        for line in found]
    assert [] == leftovers.wait_for_none([tmp_path])


def test_digest_of_a_tree_sees_every_kind_of_change(tmp_path: Path) -> None:
    """Content, mode, name, link, attribute, time: each one alone changes the digest."""
    top = tmp_path / "top"
    (top / "d").mkdir(parents=True)
    file = top / "d" / "f"
    file.write_text("one")
    os.symlink("f", top / "d" / "l")
    os.utime(file, ns=(0, 0))
    seen = [trees.digest(top)]

    def changed() -> bool:
        seen.append(trees.digest(top))
        return len(set(seen)) == len(seen)

    assert trees.digest(top) == seen[0]
    file.write_text("two")
    os.utime(file, ns=(0, 0))
    assert changed()
    file.chmod(0o600)
    assert changed()
    os.setxattr(file, "user.x", b"y")
    assert changed()
    os.utime(file, ns=(0, 1))
    assert changed()
    os.rename(file, top / "d" / "g")
    assert changed()
    os.unlink(top / "d" / "l")
    os.symlink("g", top / "d" / "l")
    assert changed()


def test_real_registry_answers_on_loopback(registry: Registry) -> None:
    """What registry tests talk to is Debian's docker-registry."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=10)
    connection.request("GET", "/v2/")
    answer = connection.getresponse()

    assert (200, "registry/2.0") == (answer.status,
                                     answer.getheader("Docker-Distribution-Api-Version"))


def test_results_of_a_part_replace_only_their_own_rows(tmp_path: Path) -> None:
    """A row that was recorded anew is the newest one's; what was not run stays as it was."""
    old = [{**soak.row("a", "first", 1, "passed", 1), "commit": "old"},
           {**soak.row("b", "other", 2, "passed", 1), "commit": "old"}]
    soak.add(soak.row("a", "first", 3_000, "2 differences", 3_725.4), tmp_path)

    new = [{**row, "commit": "new"} for row in soak.take([tmp_path, tmp_path / "absent"])]
    rows = soak.merged(old, new)

    assert [("a", 3_000, "new"), ("b", 2, "old")] == [(r["subject"], r["count"], r["commit"])
                                                      for r in rows]
    assert "| a | first | 3,000 | 2 differences | 1:02:05 |" in soak.page(rows)
    assert [] == soak.take([tmp_path])


def test_page_of_programs_tells_each_check_and_where_it_differs() -> None:
    """A row for each program, a column for each way; rows without checks are not on the page."""
    ways = {"preload": {"gcc": ["PASS", "PASS"], "zig": ["FAIL", "FAIL"]},
            "trap": {"gcc": ["PASS", "FAIL"], "zig": ["FAIL", "FAIL"]}}
    rows = [{**soak.row("programs", f"C ({way})", 2, "", 1, about="Compiled.", each=each),
             "commit": "new"} for way, each in ways.items()]

    text = matrix.page([*rows, {**soak.row("stress", "rounds", 1, "right", 1), "commit": "new"}])

    assert "## C\n\nCompiled.\n\n| | chroot | preload | trap |\n" in text
    assert "| gcc | right | right | wrong |\n| zig | wrong | wrong | wrong |\n" in text
    assert "rounds" not in text


@pytest.mark.root
def test_rows_that_root_records_belong_to_the_checkout(tmp_path: Path) -> None:
    """Root's session comes first, and the user's writes the same file."""
    os.chown(tmp_path, 1234, 1235)

    soak.add(soak.row("a", "first", 1, "passed", 1), tmp_path)

    for path in (tmp_path / soak.RECORDED, (tmp_path / soak.RECORDED).parent):
        assert (1234, 1235) == (path.stat().st_uid, path.stat().st_gid)
