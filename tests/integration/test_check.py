"""`lpmx check` tells what this host allows, and what follows where it allows less."""
from __future__ import annotations

import ctypes
import errno
import json
import os
import struct

import pytest

# of linux/seccomp.h, linux/filter.h, linux/prctl.h
LOAD, EQUAL, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
SECCOMP, PRCTL = {"x86_64": (317, 157), "aarch64": (277, 167)}[os.uname().machine]


def without_seccomp(error=errno.EINVAL):
    """In a child: a host that answers so from now on who asks for a seccomp filter."""
    program = [(LOAD, 0, 0, 0), (EQUAL, 4, 0, SECCOMP), (EQUAL, 0, 2, PRCTL), (LOAD, 0, 0, 16),
               (EQUAL, 1, 0, PR_SET_SECCOMP), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | error)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *one) for one in program))

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    libc, word = ctypes.CDLL(None), ctypes.c_ulong
    if libc.prctl(PR_SET_NO_NEW_PRIVS, word(1), word(0), word(0), word(0)):
        os._exit(99)
    if libc.prctl(PR_SET_SECCOMP, word(2),
                  ctypes.byref(Filter(len(program), ctypes.addressof(code))), word(0), word(0)):
        os._exit(99)


@pytest.fixture
def findings(lpmx):
    def check(**options):
        done = lpmx("check", "--json", **options)
        return done.returncode, {one["subject"]: one for one in json.loads(done.stdout)}
    return check


def test_check_finds_what_this_host_has(findings, store):
    """Everything that cannot be done without is there, on a host that runs these tests."""
    code, found = findings()

    assert 0 == code
    assert {"ok"} == {found[subject]["verdict"] for subject in
                      ("kernel", "/proc", "loader", "trap", "preload", "set-user-ID programs",
                       "programs in the store", "locks", "user attributes", "hard links")}
    assert "without the rights of their owners" in found["set-user-ID programs"]["found"]
    assert not store.exists(), "checking makes no store"


def test_check_reads_for_people(lpmx):
    """A line a finding, and below it what follows."""
    lines = lpmx("check", check=True).stdout.splitlines()

    assert any(line.startswith("ok       trap: ") for line in lines)


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EPERM, errno.ENOSYS], ids=errno.errorcode.get)
def test_without_seccomp_check_says_so_and_what_follows(findings, error):
    """The host is one where no program can be trapped: a kernel without filters, or an outer
    sandbox that refuses them, or does not have the call."""
    code, found = findings(preexec_fn=lambda: without_seccomp(error))

    assert 1 == code
    assert "missing" == found["trap"]["verdict"]
    assert "the kernel refuses the seccomp filter" == found["trap"]["found"]
    assert "it would see the host instead" in found["trap"]["follows"]
    assert "preload" not in found


def test_without_seccomp_nothing_is_run(loaded, lpmx):
    """Rather than on the host itself."""
    done = lpmx("run", loaded("tiny"), "/bin/touch", "/tmp/was-run", store=loaded.path,
                preexec_fn=without_seccomp)

    assert 125 == done.returncode
    assert 'in container "tiny-1-' in done.stderr
    assert "the kernel refuses the seccomp filter" in done.stderr
    assert 'hint: run "lpmx check"' in done.stderr
    assert not os.path.exists("/tmp/was-run")


def test_store_that_cannot_be_written_is_told(findings, tmp_path):
    """With the way to another."""
    (tmp_path / "locked").mkdir(mode=0o555)

    code, found = findings(store=tmp_path / "locked" / "store")

    assert 1 == code
    assert "missing" == found["store"]["verdict"]
    assert "LPMX_STORE" in found["store"]["follows"]


@pytest.mark.parametrize("size, verdict", [(4096, "ok"), (16384, "missing"), (65536, "missing")])
def test_kernel_with_larger_pages_is_told(monkeypatch, size, verdict):
    """Some of aarch64 have them, and do not start the loader."""
    from lpmx_runtime import check
    real = os.sysconf
    monkeypatch.setattr(check.os, "sysconf", lambda name: size if name == "SC_PAGE_SIZE" else real(name))

    found = check._kernel()

    assert verdict == found.verdict
    assert (f"pages of {size // 1024} KiB" in found.found) == (verdict == "missing")
