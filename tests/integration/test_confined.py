"""Containers where something else confines whoever makes them: Docker's filter, the limits of a batch
system. What works outside works there, and what does not says why."""
from __future__ import annotations

import errno
import json

import pytest
from support import confinement

#: Files are made, changed, moved and removed, programs started, in one of an image and what it shows.
WORK = r"""
cd /; id -u; ls -d bin etc; echo new >/etc/new; mkdir -p /a/b; mv /etc/new /a/b/moved; chown 5:6 /a/b/moved
stat -c "%u:%g %s" /a/b/moved; ln -s b /a/link; cat /a/link/moved; chmod 600 /a/b/moved; ls -l /a/b | tail -n 1 | cut -c1-10
rm -r /bin/true; ls /bin/true 2>/dev/null || echo gone; (exec sh -c 'echo started $0' sub); echo x | cat; touch -d 2001-01-01 /a
for i in 1 2 3; do sleep 0 & done; wait; find /a | sort; kill -0 $$ && echo alive
"""

PROFILES = {"today's": confinement.docker(),
            "today's, EPERM": confinement.docker(unknown=errno.EPERM),
            "years ago": confinement.docker(unknown=errno.EPERM, known=confinement.YEARS_AGO)}


@pytest.fixture(scope="module")
def expected():
    """What WORK prints where nothing confines."""
    return {}


def told(run, expected, **options):
    if not expected:
        expected["free"] = run("run", run.image, "sh", "-c", WORK, check=True).stdout
    done = run("run", run.image, "sh", "-c", WORK, **options)
    assert 10 < expected["free"].count("\n")
    return done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_work_is_done_under_the_filter_of_docker(tiny, expected, profile):
    """Ours is put above it; what both answer, ours answers, by the order of the kernel's."""
    assert told(tiny, expected, preexec_fn=profile) == expected["free"]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_check_finds_nothing_missing_under_the_filter_of_docker(tiny, profile):
    """Each thing is tried for real."""
    done = tiny("check", "--json", preexec_fn=profile)

    verdicts = {one["subject"]: one["verdict"] for one in json.loads(done.stdout)}
    assert 0 == done.returncode
    assert ("ok", "ok") == (verdicts["trap"], verdicts["preload"])


LIMITS = {"Slurm's": dict(CORE=0, MEMLOCK=65536, STACK=8 << 20, NPROC=4096, NOFILE=1024),
          "64 descriptors": dict(NOFILE=64),
          "1 GB of addresses": dict(AS=1 << 30), "100 MB of data": dict(DATA=100 << 20),
          "files of 16 MB": dict(FSIZE=16 << 20), "a stack of 256 KB": dict(STACK=256 << 10)}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_work_is_done_within_limits(tiny, expected, limits):
    """A container costs its programs no memory, descriptors or processes to speak of."""
    assert told(tiny, expected, preexec_fn=confinement.limits(**limits)) == expected["free"]


def test_limit_that_is_reached_is_told_as_outside(tiny):
    """A file that is too large to be copied up within the limit stays as it is, and the program is told."""
    script = ("trap '' XFSZ; ulimit -f 512; wc -c </bin/busybox >/tmp/was; echo more >>/bin/busybox; "
              "wc -c </bin/busybox | cmp - /tmp/was && echo unchanged; dd if=/dev/zero of=/big bs=1000000 count=1")

    done = tiny("run", "--contain", tiny.image, "sh", "-c", script)

    assert "unchanged\n" == done.stdout
    assert 2 <= done.stderr.count("File too large"), done.stderr


def test_limit_below_what_a_container_needs_is_named(tiny):
    """Before anything of the container is there."""
    done = tiny("run", "--name", "limited", tiny.image, "true", preexec_fn=confinement.limits(FSIZE=65536))

    assert 125 == done.returncode
    assert 'cannot store container "limited": file too large' in done.stderr
    assert 'look at "ulimit -f", of which a container needs 16 MiB' in done.stderr
    assert "limited" not in tiny("ps", "-q").stdout
