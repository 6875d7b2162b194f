"""Real packages in a container, made an image, saved, loaded elsewhere and run: nothing is lost."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lpmx_runtime.container import Container, process
from lpmx_runtime.image.commit import commit
from lpmx_runtime.store import Store
from lpmx_runtime.store.verify import verify

SUITES = ("bullseye", "bookworm", "trixie", "forky")
#: set-user-ID and set-group-ID programs, users of their own, directories with odd modes.
PACKAGES = "cron at sudo iputils-ping dbus man-db openssh-client"
INSTALL = ("export DEBIAN_FRONTEND=noninteractive; apt-get -q update; "
           f"apt-get -q -y --no-install-recommends install {PACKAGES}")
CHANGES = """cd /srv
echo x > f; chown 1234:5678 f; chmod 6751 f; ln -s f l; chown -h 11:12 l; mkfifo -m 620 p
chown 13:14 p; mknod b b 8 1; chown 0:6 b; mknod c c 1 3; mkdir -m 3775 dir; chown 15:16 dir
ln f dir/hard; truncate -s 5M sparse; echo end >> sparse
rm -rf /usr/share/doc/sudo; mv /etc/cron.daily /etc/cron.moved; mkdir -m 700 /etc/cron.daily
"""
#: Without what is bound or belongs to the moment.
LISTING = ("cd / && tar --numeric-owner --full-time --sort=name --one-file-system -cf - "
           "--exclude=./proc --exclude=./sys --exclude=./dev --exclude=./tmp --exclude=./run . "
           "2>/dev/null | tar --numeric-owner --full-time -tvf -")

Shell = Callable[..., str]


@pytest.fixture(params=SUITES)
def debian(request: Any, images: Any, store: Path, lpmx: Any) -> Iterator[tuple[str, Shell]]:
    """The suite's name, and a shell in a container of it."""
    built = images.get(request.param)
    lpmx("load", "-q", "--name", f"{request.param}:1", built.layout, check=True)
    lpmx("create", "--contain", "--name", "work", f"{request.param}:1", check=True)
    yield request.param, lambda script: lpmx("exec", "work", "sh", "-ec", script,
                                             check=True, timeout=1800).stdout


def listing(text: str) -> list[str]:
    """Times in whole seconds, as layers have them; those of directories in which places of
    binds were made left out."""
    lines = [re.sub(r"(:\d\d)\.\d+ +", r"\1 ", line) for line in text.splitlines()]
    return [re.sub(r" +", " ", line) for line in lines if not re.search(r" \./(etc/)?$", line)]


def test_packages_survive_commit_save_and_load(debian: tuple[str, Shell], lpmx: Any,
                                               tmp_path: Path, record: Any) -> None:
    """Owners, set-ID bits, devices, links and the package database are the same elsewhere."""
    suite, shell = debian
    shell(INSTALL)
    shell(CHANGES)
    lpmx("commit", "-q", "work", "result:1", check=True, timeout=600)
    lpmx("save", "-q", "-o", tmp_path / "file", "result:1", check=True, timeout=600)
    other = tmp_path / "other"
    lpmx("load", "-q", tmp_path / "file", store=other, check=True, timeout=600)
    lpmx("create", "--contain", "--name", "again", "result:1", store=other, check=True)

    def there(script: str) -> str:
        return str(lpmx("exec", "again", "sh", "-c", script, store=other, timeout=600).stdout)

    before, after = listing(shell(LISTING)), listing(there(LISTING))
    missing = [one for one in there("dpkg -V").splitlines() if "/usr/share/doc/sudo" not in one]
    record("images", f"{suite}: packages, commit, save, load elsewhere", len(before),
           "identical" if before == after else "different")
    assert before == after and len(before) > 5000
    assert [] == [one for one in missing if "/etc/cron.daily/" not in one]


def test_commit_while_packages_are_installed(debian: tuple[str, Shell], store: Path,
                                             record: Any) -> None:
    """Each image is whole: its database can be read, and what was there before is unharmed."""
    suite, shell = debian
    opened = Store.open(store)
    container = Container.open(opened, "work")
    child = process.popen(container.launch(["sh", "-ec", INSTALL], entrypoint=False),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    count = 0
    while child.poll() is None:
        image = commit(opened, container, f"during:{count}")
        check = Container.create(opened, image, name=f"during-{count}")
        query = check.launch(["dpkg-query", "-W", "base-files"], entrypoint=False)
        assert 0 == process.popen(query, stdout=subprocess.DEVNULL).wait()
        count += 1
    record("images", f"{suite}: commits while apt-get installs", count, "whole")
    assert child.returncode == 0 and count > 2
    assert [] == list(verify(opened, content=True))
