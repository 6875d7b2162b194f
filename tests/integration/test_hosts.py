"""Hosts as others set them up: noexec and read-only file systems, a /proc of which parts are hidden,
or none. As root, in a name space of mounts of its own; lpmx in it is an ordinary user's.
"""
from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from support import images as images_module
from union.worlds import identity

pytestmark = pytest.mark.root

BEGIN = r"""
set -e
lpmx() { setpriv --reuid "$WHO" --regid "$WHOSE" --clear-groups "$LPMX" "$@"; }
again() { mount --bind "$1" "$1"; mount -o "remount,bind,$2" "$1"; }
"""


class Host:
    """A place for a user's store and home, and a way to run scripts where mounts are only theirs."""

    def __init__(self, top: Path, lpmx: Path, layout: Path) -> None:
        self.top = top
        user, group = identity()
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "WHO": str(user), "WHOSE": str(group),
            "LPMX": str(lpmx), "LPMX_STORE": str(top / "store"), "HOME": str(top / "home"),
            "TOP": str(top), "LAYOUT": str(layout), "SITE": str(lpmx.parent.parent)}
        for name in ("", "store", "home", "other"):
            (top / name).mkdir(exist_ok=True)
            os.chown(top / name, user, group)
        top.chmod(0o755)
        self("lpmx load --name tiny $LAYOUT", check=True)

    def __call__(self, script: str, check: bool = False) -> "subprocess.CompletedProcess[str]":
        """What `script` says where it can mount without anybody else seeing that."""
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                               BEGIN + script], env=self.environment, cwd="/", text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        assert not check or 0 == done.returncode, done.stdout
        return done


@pytest.fixture(scope="module")
def host(images, installed):
    top = Path(tempfile.mkdtemp(prefix="lpmx-hosts-", dir="/var/tmp"))
    try:
        yield Host(top, installed.lpmx, images.get("tiny").layout)
    finally:
        images_module.remove(top)


def test_store_on_a_noexec_file_system_is_told(host):
    """No program of an image can be mapped there: the message says so, and so does `lpmx check`."""
    done = host("again $TOP/store noexec; lpmx run tiny echo hi || lpmx check")

    assert 'cannot map it: operation not permitted' in done.stdout
    assert "hint: the file system it lies on is mounted noexec: point LPMX_STORE at another" in done.stdout
    assert "missing  programs in the store: they cannot be mapped to be executed" in done.stdout


def test_home_and_tmp_may_be_noexec(host):
    """Programs of the image run; what lies on such a file system is executed as little as outside."""
    done = host("mount -t tmpfs -o noexec,mode=1777 tmpfs $TOP/home; mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp\n"
                "cp /bin/busybox /tmp; printf '#!/bin/sh\\necho script\\n' >/tmp/script; chmod 755 /tmp/*\n"
                "lpmx run tiny sh -c \"cd $TOP/home; echo kept >file; sh /tmp/script; /tmp/script; /tmp/busybox; "
                "cp /tmp/busybox /own; exec -a busybox /own echo own\"; cat $TOP/home/file")

    assert ["script", "sh: /tmp/script: Permission denied", "sh: /tmp/busybox: Permission denied", "own",
            "kept"] == done.stdout.splitlines()


def test_installation_on_a_noexec_file_system_is_told(host):
    """Of what is installed there nothing can be loaded."""
    done = host("again $SITE noexec; LPMX_STORE=$TOP/other PYTHONPATH=$(echo $SITE/lib/python3*/site-packages) "
                "setpriv --reuid $WHO --regid $WHOSE --clear-groups /usr/bin/python3 -m lpmx_runtime run tiny true")

    assert 0 != done.returncode
    assert "hint: install it on a file system that is not mounted noexec" in done.stdout


def test_store_on_a_read_only_file_system(host):
    """It is told how to use it; its images run when it is a site's store below one's own."""
    done = host("again $TOP/store ro; lpmx images | grep -o ^tiny; lpmx run tiny echo hi || lpmx check || "
                "LPMX_SITE_STORES=$TOP/store LPMX_STORE=$TOP/other lpmx run tiny sh -c 'echo new >/file; cat /file'")

    lines = done.stdout.splitlines()
    assert ("tiny", "new") == (lines[0], lines[-1])
    assert "read-only file system" in lines[1] and "name this store in LPMX_SITE_STORES" in lines[2]
    assert 2 <= done.stdout.count("LPMX_SITE_STORES")


@pytest.mark.parametrize("setting", [
    "mount -o remount,bind,ro /proc; for each in /proc/key-users /proc/timer_list /proc/sysrq-trigger; do "
    "[ ! -e $each ] || mount --bind /dev/null $each; done; mount -t tmpfs -o ro tmpfs /sys/firmware; again /proc/sys ro",
    "mount -t proc -o hidepid=2 proc /proc", "mount -t proc -o subset=pid proc /proc",
], ids=["masked", "hidepid", "subset"])
def test_proc_of_which_parts_are_hidden(host, setting):
    """As Docker masks it, as batch nodes mount it: programs find themselves, each other and their files."""
    done = host(setting + "\nlpmx run tiny sh -c 'readlink /proc/self/exe; cd /etc; readlink /proc/self/cwd; "
                          "cat /proc/self/comm; (exec sh -c \"cat /proc/\\$PPID/comm\"); echo x >/new; cat /new'")

    assert ["/bin/busybox", "/etc", "cat", "sh", "x"] == done.stdout.splitlines()


def test_host_without_proc(host):
    """Programs run, and their changes are kept; what is missing `lpmx check` says."""
    done = host("umount -l /proc; lpmx run tiny sh -c 'echo one >/new; (cat /new); exec /bin/busybox id -u'\n"
                "lpmx create --name without tiny; lpmx exec without sh -c 'echo two >/new'; "
                "lpmx exec without cat /new; lpmx rm -f without; lpmx check")

    assert ["one", "0", "without", "two", "without"] == done.stdout.splitlines()[:5]
    assert "missing  /proc: no such file or directory" in done.stdout
    assert "ok       trap: " in done.stdout
