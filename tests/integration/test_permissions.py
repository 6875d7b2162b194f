"""What modes and owners forbid to an ordinary user, they forbid in a container.

On the disk all of a container is its user's own, so the kernel would allow everything.
"""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("permissions.py").read_text()


@pytest.fixture(scope="module")
def on_the_machine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What an ordinary user is allowed by the kernel."""
    return subprocess.run(
        ["/usr/bin/python3", "-c", PROGRAM], check=True, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("bare"))}).stdout


@pytest.mark.parametrize("way", [[], ["--no-preload"]], ids=["preload", "trap"])
@pytest.mark.parametrize("user", ["host", f"{os.getuid()}:{os.getgid()}"], ids=["host", "image"])
def test_an_ordinary_user_is_forbidden_what_the_kernel_forbids(
        loaded, lpmx, on_the_machine, user, way):
    """Also the order of errors is the kernel's."""
    done = lpmx("run", "--contain", "--user", user, *way, loaded("bookworm"), "python3", "-c",
                PROGRAM, store=loaded.path)

    assert (0, "") == (done.returncode, done.stderr)
    assert on_the_machine.splitlines() == done.stdout.splitlines()


def test_a_copy_of_the_machine_may_be_changed_by_who_made_it(loaded, lpmx):
    """But for what is the user's own, which modes protect as ever."""
    script = ("echo mine >/etc/issue && cat /etc/issue; cd $(mktemp -d) && echo 1 >a && chmod 444 a "
              "&& { echo 2 >a; } 2>/dev/null; cat a")

    done = lpmx("run", "host", "sh", "-c", script, store=loaded.path)

    assert "mine\n1\n" == done.stdout
