"""Suites about files, each built already in its image (tests/support/images.py)."""
from __future__ import annotations

from typing import Mapping, Sequence

from . import outcomes
from .suites import SOMEBODY, WAYS, Suite

#: stress-ng's stressors that are about files, each for itself, with what they write read back.
STRESSORS = """access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup
exec fallocate fanotify fault fcntl fiemap fifo file-ioctl filename flock fpunch fstat full getdent
handle hdd inode-flags inotify io iomix lease link locka lockf lockofd madvise mknod mmap mmapfork
mmapmany msync open pipe poll procfs readahead rename revio seek sendfile sock sockfd splice symlink
sync-file tee touch utime vm-splice xattr""".split()

STRESS = f"""
mkdir -p /root/stress
for each in {' '.join(STRESSORS)}; do
    if timeout 300 stress-ng --temp-path /root/stress --verify --$each 2 --$each-ops 400 -t 10 >/dev/null 2>&1
    then echo "PASS $each"; else echo "FAIL $each"; fi
done
"""

#: Each way that fio has of writing, and what it wrote compared when it is read back.
FIO = """
cd /srv/fio
for engine in sync psync vsync pvsync pvsync2 mmap posixaio libaio splice io_uring; do
    for order in write randwrite randrw; do
        if fio --name=job --filename=$engine --size=8m --bs=4k --ioengine=$engine --rw=$order --verify=crc32c \\
            --verify_fatal=1 --do_verify=1 --iodepth=8 --fsync=512 --thread --output=/tmp/fio 2>&1
        then echo "PASS $engine $order"; else echo "FAIL $engine $order"; cat /tmp/fio; fi
    done
done
if dbench -t 20 -D /tmp -c /usr/share/dbench/client.txt 4; then echo "PASS dbench"; else echo "FAIL dbench"; fi
"""

#: The parts of the Open POSIX Test Suite that ask the system, not the C library alone.
POSIX = """aio_* fork fsync kill killpg lio_listio mlock* mmap munmap mq_* *nanosleep pthread_atfork
pthread_cancel pthread_cleanup_* pthread_cond_*wait pthread_create pthread_exit pthread_join pthread_kill
pthread_setcancel* pthread_sigmask pthread_testcancel raise sched_* sem_* shm_* sig* timer_*"""

#: Tests of one directory have names of queues and memory in common, so they take turns.
OPEN_POSIX = f"""
cd /srv/posixtestsuite/conformance/interfaces; ls -d {' '.join(POSIX.split())} |
xargs -P4 -I{{}} sh -c 'find $1 -name "*.test" | sort | while read each; do
timeout 100 "$each" >/tmp/said-$$ 2>&1 </dev/null
case $? in 0) word=PASS;; 4|5) word=SKIP;; 2) word=ERROR;; *) word=FAIL;; esac
echo "$word $each"; [ $word = PASS ] || sed "s/^/    /" /tmp/said-$$; done; rm -f /tmp/said-$$' sh {{}}
"""

#: As Debian has built it.
BASH = """
cd /srv/bash/tests && export THIS_SH=/bin/bash BUILD_DIR=/srv/bash BASH_TSTOUT=/tmp/bash-out PATH=.:$PATH
for each in run-*; do
    case $each in run-all|run-minimal|run-gprof|*.orig|*~) continue;; esac
    printed=$(timeout 300 sh $each 2>&1 </dev/null | grep -v '^warning:'); rm -f $BASH_TSTOUT
    if [ "$printed" ]; then echo "FAIL $each"; echo "$printed" | sed 's/^/    /'; else echo "PASS $each"; fi
done
"""

#: Scripts that tell what the installed commands print.
SCRIPTS = """
cd /srv/{name} && for each in test/*.test test/root/*.test; do
    if perl test/run $each >/tmp/said 2>&1; then echo "PASS $each"; else
        echo "FAIL $each"; sed 's/^/    /' /tmp/said; fi
done
"""


#: libfuse's test of each call: a number, what it is about, and OK or what is wrong.
CALLS = r"""
mkdir -p /root/calls; /srv/fuse3/test/test_syscalls /root/calls 2>&1 |
sed -E 's/^ *[0-9]+ \[(.*)\] OK$/PASS \1/; t; s/^ *[0-9]+ \[([^]]*)\].*/FAIL \1/'
"""


def suite(name: str, run: str, read: outcomes.Reader = outcomes.marks, *, ways: Sequence[str] = WAYS,
          image: str = "suites-bookworm", somebody: str = "", confined: bool = True,
          elsewhere: Mapping[str, str] = {}) -> Suite:
    """`somebody`: the directory is given to a user who may not do everything, who runs it.
    What calls chroot the killing filter would end: it is not `confined`."""
    return Suite(f"{name}, as somebody" if somebody else name, run, read, image=image,
                 build=f"chown -R {SOMEBODY} {somebody}" if somebody else "true", ways=ways,
                 user=SOMEBODY if somebody else "root", confined=confined, elsewhere=elsewhere)


COMPILED = "suites-compiled-bookworm"
#: Each test once: what fails is listed again, in other words, together with what is skipped.
COREUTILS = r"""cd /srv/coreutils; export HOME=/tmp
make -k -j2 {} 2>&1 | sed -En 's/^([A-Z]+: tests\/[^ ]+)\.[a-z]+$/\1/p'"""

FILE_SYSTEMS = (
    suite("attr 2.5", SCRIPTS.format(name="attr"), elsewhere={
        "test/root/getfattr.test": "a link can carry no trusted attribute: docs/reference/differences.md"}),
    suite("acl 2.3", SCRIPTS.format(name="acl")),
    suite("libfuse 3.14: calls", CALLS),
    suite("rsync 3.2", "cd /srv/rsync && ./runtests.sh"),
    suite("bash 5.2", BASH, elsewhere={
        "run-nameref": "it asks who is quicker, a coprocess or its shell, in the chroot, too"}),
    suite("fio and dbench", FIO, elsewhere={
        f"io_uring {order}": "io_uring is refused: docs/reference/differences.md"
        for order in ("write", "randwrite", "randrw")}),
    suite("stress-ng 0.15", STRESS),
    suite("tar 1.34", "cd /srv/tar/tests && sh ./testsuite -j2", outcomes.numbered, image=COMPILED, elsewhere={
        "119 --listed-incremental and remounted directories": "nothing can be mounted"}),
    suite("coreutils 9.1: what needs root", COREUTILS.format(
        "check-root NON_ROOT_USERNAME=games NON_ROOT_GID=60"), image=COMPILED, confined=False, elsewhere={
            **{f"tests/{name}": "nothing can be mounted" for name in (
                "cp/cross-dev-symlink", "df/over-mount-device", "df/problematic-chars",
                "du/bind-mount-dir-cycle", "du/bind-mount-dir-cycle-v2", "rm/one-file-system",
                "rm/read-only")},
            **{f"tests/{name}": "chattr +i and +a need a privilege" for name in (
                "rm/empty-immutable-skip", "tail-2/append-only")}}),
    suite("coreutils 9.1", COREUTILS.format("check SUBDIRS=."), image=COMPILED, confined=False,
          somebody="/srv/coreutils", elsewhere={
              "tests/misc/timeout-group": "skipped where the machine is slow, in the chroot, too",
              "tests/misc/sort-NaN-infloop": "sort 9.1 compares the padding of numbers: what a call has left on the "
                                             "stack decides, of any preloaded library"}),
    suite("Open POSIX Test Suite 1.5", OPEN_POSIX, image=COMPILED, elsewhere={
        **{f"{name}.test": "SIGSYS is never blocked: docs/reference/differences.md" for name in (
            "pthread_sigmask/7-1", "sigprocmask/7-1", "sigaction/8-22", "sigaction/23-21",
            "sigaction/25-21")},
        **{f"mlockall/{name}.test": "an ordinary user may lock little memory" for name in (
            "3-6", "8-1")},
        "mq_open/speculative/26-1.test": "and open few queues",
        **{f"{name}.test": "in /dev/shm and for queues, the machine's, all users of a container are one, "
           "and not root" for name in ("fork/1-1", "fork/19-1", "sem_unlink/3-1", "shm_open/26-2",
                                       "shm_unlink/8-1", "shm_unlink/9-1")},
        **{f"{name}.test": "it asks who is quicker, in the chroot, too" for name in (
            "mq_receive/13-1", "mq_timedreceive/5-3", "sigpause/3-1")}}),
)
