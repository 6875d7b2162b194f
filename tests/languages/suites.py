"""The suites: how each is built and run in a place that has the image of RECIPES."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

from . import outcomes

#: The preload library in use, or the trap alone.
WAYS = ("preload", "trap")


@dataclass(frozen=True)
class Suite:
    """A test suite. `build` is a script that makes it ready, `run` one that prints what
    `read` reads; `elsewhere` tells of each test that may fail or be skipped in the
    container alone, why."""

    name: str
    run: str
    read: outcomes.Reader
    build: str = "true"
    image: str = "languages-bookworm"
    ways: Sequence[str] = WAYS
    user: str = "root"  # who runs it
    confined: bool = True  # False: it asks for what the killing filter forbids
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    about: str = ""  # what its tests do, for docs/reference/programs.md


CPYTHON_FILES = """
test_bz2 test_compileall test_dbm test_dbm_dumb test_dbm_gnu test_dbm_ndbm test_file test_filecmp
test_fileinput test_fileio test_genericpath test_getpath test_glob test_grp test_gzip test_import
test_importlib test_io test_largefile test_lzma test_mailbox test_mmap test_netrc test_ntpath
test_pathlib test_pkg test_pkgutil test_posix test_posixpath test_pwd test_py_compile test_runpy
test_shelve test_shutil test_site test_spwd test_stat test_sysconfig test_tarfile test_tempfile
test_unicode_file test_unicode_file_functions test_uuid test_zipapp test_zipfile test_zipimport
test_zipimport_support
"""

CPYTHON_PROCESSES = """
test_asyncore test_atexit test_cmd_line test_cmd_line_script test_ensurepip test_epoll test_eintr
test_faulthandler test_fcntl test_fork1 test_httpservers test_ioctl test_multiprocessing_fork
test_openpty test_pipes test_poll test_popen test_pty test_regrtest test_repl test_resource
test_select test_selectors test_signal test_socket test_ssl test_subprocess test_support test_sys
test_syslog test_thread test_threading test_threadsignals test_tools test_tracemalloc test_unittest
test_urllib test_venv test_wait3 test_wait4
"""

#: What the release has no more.
NOT_IN_13 = ("test_asyncore", "test_pipes", "test_spwd")

#: Sockets to a machine's host: whether the other end answers hangs on the host.
REGRTEST = ("cd /tmp && python3 -m test --timeout 1800 -v -j2 -i '*VSOCK*' "
            "-u all,-network,-urlfetch,-largefile,-audio,-gui,-cpu ")

GO = "export HOME=/root GOFLAGS=-p=2; mkdir -p /tmp/go && cd /tmp/go && go test -v "

REDIS = """
unit/type/string unit/type/list unit/other unit/aofrw unit/introspection unit/shutdown
unit/oom-score-adj unit/latency-monitor unit/acl integration/aof integration/rdb
integration/replication-2 integration/redis-cli
"""


def unpack(name: str) -> str:
    """Unpack a source package, as an ordinary user's to be."""
    return (f"mkdir -p /srv/{name} && tar -C /srv/{name} --strip-components=1 "
            f"-xf /usr/src/{name}_*.orig.tar.?z && cd /srv/{name} && ")


#: What touches files, starts programs, or maps memory.
SCIENCE = """
numpy.core.tests.test_memmap numpy.core.tests.test_multiarray numpy.core.tests.test_longdouble
numpy.lib.tests.test_io numpy.lib.tests.test_format numpy.lib.tests.test__datasource
numpy.testing.tests numpy.tests numpy.random.tests.test_generator_mt19937
numpy.distutils.tests.test_exec_command numpy.distutils.tests.test_system_info
scipy.io.tests scipy.io.matlab scipy.io.arff scipy.io._harwell_boeing scipy.sparse.tests.test_matrix_io
scipy._lib.tests.test_tmpdirs scipy._lib.tests.test_import_cycles scipy._lib.tests.test__threadsafety
"""

#: Somebody who may not do everything, as whom suites run that mean to be refused something.
SOMEBODY = "5:60"
GIVE_AWAY = f" && chown -R {SOMEBODY} ."

SUITES = (
    *(Suite(f"CPython {release}: {what}",
            REGRTEST + " ".join(name for name in names.split()
                                if release == "3.11" or name not in NOT_IN_13),
            outcomes.regrtest, image=image, elsewhere={
                "test_shutil": "of this test",
                "test_copyxattr_symlinks (test.test_shutil.TestCopy.test_copyxattr_symlinks)":
                    "a link can carry no trusted attribute: docs/reference/differences.md",
                "test_posix": "of this test",
                "test_unshare_setns (test.test_posix.NamespacesTests.test_unshare_setns)":
                    "the killing filter ends who makes a name space"})
      for release, image in (("3.11", "languages-bookworm"), ("3.13", "languages-trixie"))
      for what, names in (("files", CPYTHON_FILES), ("processes, signals, sockets", CPYTHON_PROCESSES))),
    Suite("CPython 3.11, test_os", REGRTEST + "test_os", outcomes.regrtest, confined=False),
    Suite("Go 1.19: files, processes, sockets",
          # -short leaves out those that ask the internet
          GO + "-count=1 os os/exec os/user path/filepath io/fs io/ioutil internal/poll; "
          "go test -v -count=1 -short net",
          outcomes.go, elsewhere={
              "net": "of these tests",
              **dict.fromkeys(("TestIPConnLocalName", "TestIPConnRemoteName", "TestIPConnSpecificMethods"),
                              "raw sockets need a privilege, which Go takes root to have"),
              "TestReadError/ErrNotPollable": "/dev/net/tun is the machine's, and for its root alone"}),
    Suite("Go 1.19: signals, 20 times", GO + "-count=20 os/signal", outcomes.go),
    Suite("redis 7.0",
          "cd /srv/redis && ./runtest --clients 2 "
          + " ".join(f"--single {each}" for each in REDIS.split()),
          outcomes.redis, unpack("redis") + "make -j2 MALLOC=libc >build.log 2>&1",
          ways=("trap",)),
    Suite("SQLite 3.40",
          "cd /srv/sqlite3 && ./testfixture test/veryquick.test",
          outcomes.testfixture,
          unpack("sqlite3") + "./configure --with-tcl=/usr/lib/tcl8.6 >build.log 2>&1 && "
          "make -j2 testfixture >>build.log 2>&1" + GIVE_AWAY, ways=("preload",), user=SOMEBODY),
    Suite("git 2.39: basics, trees, plumbing, clone, gc, commit",
          "cd /srv/git/t && export HOME=/tmp && for file in t0*.sh t1*.sh t3*.sh t5601*.sh t650*.sh t750*.sh; do "
          'echo "# file $file"; ./$file --root=/tmp/git 2>&1; done',
          outcomes.tap,
          unpack("git") + "make -j2 NO_CURL=1 NO_GETTEXT=1 NO_TCLTK=1 >build.log 2>&1"
          + GIVE_AWAY, ways=("preload",), user=SOMEBODY),
    Suite("Perl 5.36",
          "cd /srv/perl/t && for file in io/*.t op/*.t ../lib/File/*.t; do "
          'echo "# file $file"; ./perl -I../lib $file 2>&1; done',
          outcomes.tap,
          unpack("perl") + "sh Configure -des >build.log 2>&1 && "
          "make -j2 test_prep >>build.log 2>&1", ways=("trap",)),
    Suite("Lua 5.4 from source, and LuaFileSystem",
          "cd /srv/lua-filesystem && export LUA_CPATH='./?.so' && "
          "if ../lua5.4/src/lua tests/test.lua; then echo PASS lfs; else echo FAIL lfs; fi",
          outcomes.marks,
          unpack("lua5.4") + "make -j2 linux >build.log 2>&1 && "
          + unpack("lua-filesystem") + "gcc -O2 -shared -fPIC -I ../lua5.4/src src/lfs.c -o lfs.so"),
    Suite("numpy 1.24 and scipy 1.10: files, processes, memory maps",
          # what they skip for want of memory must not hang on what else runs here
          "cd /tmp && export HOME=/tmp NPY_AVAILABLE_MEM=2GB SCIPY_AVAILABLE_MEM=2GB && "
          "python3 -m pytest -q -rA -p no:cacheprovider --tb=short --pyargs "
          + " ".join(SCIENCE.split()), outcomes.pytest),
)
