"""What goes through descriptors: sockets with names, watches, locks, mappings, handles."""
from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import socket
import struct
from pathlib import Path
from typing import Callable, Iterator, List

import pytest
from lpmx_runtime._native import AT_FDCWD, View

from .bare import Bare
from .cases import CAPABILITY
from .layers import Layer, directory, link, regular

NR_BIND, NR_CONNECT, NR_SENDTO, NR_WATCH, NR_STATFS, NR_TRUNCATE = 49, 42, 44, 254, 137, 76
NR_FCHMOD, NR_UTIMENSAT, NR_FSTATFS = 91, 280, 138


@pytest.fixture
def bare() -> Iterator[Bare]:
    layer: Layer = {"": directory(), "proc": directory(0o555), "run": directory(),
                    "var": directory(), "var/run": link("/run"), "etc": directory(),
                    "etc/conf": regular(b"conf" * 2000),
                    "etc/ping": regular(b"", 0o755, xattrs={"security.capability": CAPABILITY}), "run/old": regular(b"old"),
                    "run/" + "l" * 90: directory(), "run/" + "l" * 90 + "/deeper": directory()}
    with Bare([layer]) as bare:
        yield bare


@pytest.fixture
def view(bare: Bare) -> Iterator[View]:
    with bare.view() as view:
        yield view


def _address(path: str) -> bytes:
    return struct.pack("<H", socket.AF_UNIX) + path.encode()


def _bind(view: View, sock: socket.socket, path: str) -> int:
    address = _address(path)
    return view.call(NR_BIND, sock.fileno(), address, len(address))


def _connect(view: View, sock: socket.socket, path: str) -> int:
    address = _address(path)
    return view.call(NR_CONNECT, sock.fileno(), address, len(address))


def _named(view: View, sock: socket.socket) -> str:
    """What getsockname says."""
    address, size = bytearray(110), bytearray(struct.pack("<I", 110))
    assert 0 == view.call(51, sock.fileno(), address, size)
    length, = struct.unpack("<I", size)
    return bytes(address[2:length]).split(b"\0", 1)[0].decode()


@pytest.mark.parametrize("path", ["/run/s", "/var/run/s", "/run/" + "l" * 90 + "/s",
                                  "/run/" + "l" * 90 + "/deeper/../s"])
def test_sockets_with_names_meet(view: View, path: str) -> None:
    """Bound under a name of the view, through links and with all 107 bytes of it."""
    server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with server, client:
        assert 0 == _bind(view, server, path)
        server.listen(1)
        assert 0o140000 == view.lstat(path).st_mode & 0o170000
        assert path == _named(view, server)
        assert 0 == _connect(view, client, path)
        client.send(b"hello")
        assert b"hello" == server.accept()[0].recv(9)
    view.unlink(path)
    assert not view.exists(path)


def test_a_socket_takes_no_name_that_is_there(view: View) -> None:
    """EADDRINUSE over any object; over a removed one it works and does not bring it back."""
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        assert -errno.EADDRINUSE == _bind(view, one, "/run/old")
        view.unlink("/run/old")
        assert 0 == _bind(view, one, "/run/old")
        assert -errno.EADDRINUSE == _bind(view, two, "/run/old")
        assert -errno.ENOENT == _bind(view, two, "/absent/s")
        assert 0o140000 == view.lstat("/run/old").st_mode & 0o170000
        view.unlink("/run/old")
        assert not view.exists("/run/old")


def test_a_bind_that_fails_brings_nothing_back(view: View) -> None:
    """The name of a removed file stays removed when the kernel refuses the socket."""
    view.unlink("/run/old")
    with socket.socket(socket.AF_UNIX) as sock:
        assert 0 == _bind(view, sock, "/run/other")
        assert 0 > _bind(view, sock, "/run/old")
    assert not view.exists("/run/old")


def test_datagrams_are_sent_to_a_name(view: View) -> None:
    """sendto with an address of the view."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        assert 0 == _bind(view, server, "/run/log")
        address = _address("/var/run/log")
        assert 5 == view.call(NR_SENDTO, client.fileno(), b"hello", 5, 0, address, len(address))
        assert b"hello" == server.recv(9)


def test_abstract_and_other_addresses_are_the_kernels(view: View) -> None:
    """What is no path is not translated."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_INET) as other:
        name = struct.pack("<H", socket.AF_UNIX) + b"\0lpmx-test-%d" % os.getpid()
        assert 0 == view.call(NR_BIND, server.fileno(), bytearray(name), len(name))
        address = struct.pack(">HH4s8x", 0, 0, b"\x7f\0\0\1")
        address = struct.pack("<H", socket.AF_INET) + address[2:]
        assert 0 == view.call(NR_BIND, other.fileno(), bytearray(address), len(address))


def _watch(view: View, path: str, mask: int) -> int:
    fd = ctypes.CDLL(None).inotify_init1(os.O_NONBLOCK)
    assert 0 <= view.call(NR_WATCH, fd, path.encode(), mask)
    return fd


def _events(fd: int) -> List[tuple]:
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return []
    found, at = [], 0
    while at < len(data):
        _, mask, _, length = struct.unpack_from("<iIII", data, at)
        found.append((mask & 0xfff, data[at + 16:at + 16 + length].rstrip(b"\0").decode()))
        at += 16 + length
    return found


def test_a_watched_lower_file_tells_of_its_changes(view: View) -> None:
    """A file that is only in a layer is watched where it will be changed."""
    modify = 2
    fd = _watch(view, "/etc/conf", modify)
    file = view.open("/etc/conf", os.O_WRONLY)
    os.write(file, b"x")
    os.close(file)
    assert (modify, "") in _events(fd)
    os.close(fd)


def test_a_watched_lower_directory_tells_of_names(view: View) -> None:
    """Names that come, go and move."""
    create, delete, moved_from, moved_to = 0x100, 0x200, 0x40, 0x80
    fd = _watch(view, "/run", create | delete | moved_from | moved_to)
    view.write("/run/new", b"")
    view.rename("/run/new", "/run/newer")
    view.unlink("/run/newer")
    assert [(create, "new"), (moved_from, "new"), (moved_to, "newer"), (delete, "newer")] == \
        _events(fd)
    os.close(fd)


def test_what_a_watched_directory_tells_of_lower_names(view: View) -> None:
    """Every change is told by its name; how, differs (docs/reference/differences.md)."""
    create, delete, moved_to, modify = 0x100, 0x200, 0x80, 2
    fd = _watch(view, "/etc", create | delete | moved_to | modify)
    file = view.open("/etc/conf", os.O_WRONLY)
    os.write(file, b"x")
    os.close(file)
    assert [(moved_to, "conf"), (modify, "conf")] == _events(fd)
    view.unlink("/etc/conf")
    assert [(moved_to, "conf")] == _events(fd)
    os.close(fd)
    fd = _watch(view, "/run", create | delete | moved_to)
    view.unlink("/run/old")
    assert [(create, "old")] == _events(fd)
    os.close(fd)


def test_locks_are_of_one_file_whoever_opened_it_first(view: View) -> None:
    """Two that open a lower file for writing lock the same copy."""
    one, two = view.open("/etc/conf", os.O_RDWR), view.open("/etc/conf", os.O_RDWR)
    fcntl.flock(one, fcntl.LOCK_EX)
    with pytest.raises(BlockingIOError):
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(one)
    fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(two)


def test_shared_mappings_are_of_the_copy(view: View) -> None:
    """What is written through a mapping is in the file for everybody."""
    fd = view.open("/etc/conf", os.O_RDWR)
    with mmap.mmap(fd, 8000) as one:
        one[0:4] = b"CONF"
        other = view.open("/etc/conf", os.O_RDONLY)
        with mmap.mmap(other, 8000, prot=mmap.PROT_READ) as two:
            assert b"CONF" == two[0:4]
        os.close(other)
    os.close(fd)
    assert b"CONFconf" == view.read("/etc/conf", 8)


def test_inode_numbers_last_over_copy_up_rename_and_session(bare: Bare) -> None:
    """stat, fstat and the listing agree about them, before and after."""
    def numbers(view: View, path: str) -> set:
        fd = view.open(path, os.O_RDONLY)
        found = {view.stat(path).st_ino, view.fstat(fd).st_ino}
        os.close(fd)
        return found

    with bare.view() as view:
        before = numbers(view, "/etc/conf")
        directories = numbers(view, "/etc"), numbers(view, "/run"), numbers(view, "/")
        assert 1 == len(before)
        view.chmod("/etc/conf", 0o600)
        assert before == numbers(view, "/etc/conf")
        view.rename("/etc/conf", "/run/conf")
        assert before == numbers(view, "/run/conf")
        view.link("/run/conf", "/etc/again")
    with bare.view() as view:
        assert before == numbers(view, "/etc/again") == numbers(view, "/run/conf")
        assert directories == (numbers(view, "/etc"), numbers(view, "/run"), numbers(view, "/"))
        devices = {view.stat(path).st_dev for path in ("/", "/etc", "/run/conf", "/run/old")}
        assert 1 == len(devices)


def test_a_removed_file_of_a_bind_is_changed_through_its_descriptor(bare: Bare) -> None:
    """It has no name that the change could be made under; a read-only bind refuses it."""
    outside, still = bare.root / "outside", bare.root / "still"
    outside.mkdir()
    still.mkdir()
    (still / "kept").touch(0o644)
    fields = bare.fields
    bare.fields = lambda: [*fields(), ("bind", f"rw\0/mnt\0{outside}"),  # type: ignore[method-assign]
                           ("bind", f"ro\0/still\0{still}")]
    bare.write_view()
    with bare.view() as view:
        fd = view.open("/mnt/made", os.O_RDWR | os.O_CREAT, 0o644)
        view.unlink("/mnt/made")
        assert 0 == view.call(NR_FCHMOD, fd, 0o600)
        assert 0 == view.call(NR_UTIMENSAT, fd, None, struct.pack("<qqqq", 5, 0, 5, 0), 0)
        assert (0o600, 5) == (os.fstat(fd).st_mode & 0o777, os.fstat(fd).st_mtime)
        os.close(fd)
        fd = view.open("/still/kept", os.O_RDONLY)
        assert -errno.EROFS == view.call(NR_FCHMOD, fd, 0o600)
        os.close(fd)
    assert 0o644 == (still / "kept").stat().st_mode & 0o777


def test_a_bind_around_the_store_hides_nothing_of_it(bare: Bare) -> None:
    """Where a home is bound that the container lies in, its layers are layers all the same."""
    fields = bare.fields
    bare.fields = lambda: [*fields(), ("bind", f"rw\0/home\0{bare.root}")]  # type: ignore[method-assign]
    bare.write_view()
    with bare.view() as view:
        directory_, file = view.open("/run", os.O_RDONLY | os.O_DIRECTORY), view.open("/etc/conf", os.O_RDONLY)
        view.rename("/run", "/moved")
        view.write("/moved/new", b"")
        data = bytearray(4096)
        size = view.call(217, directory_, data, len(data))
        assert b"new" in _names(bytes(data[:size]))
        assert "/moved" == view.readlink(f"/proc/self/fd/{directory_}")
        view.unlink("/etc/conf")
        assert "/etc/conf (deleted)" == view.readlink(f"/proc/self/fd/{file}")
        with pytest.raises(OSError) as refused:
            view.open(f"/proc/self/fd/{file}", os.O_RDWR)
        assert errno.EROFS == refused.value.errno
        os.close(directory_)
        os.close(file)


def _names(block: bytes) -> List[bytes]:
    found, at = [], 0
    while at < len(block):
        size, = struct.unpack_from("<H", block, at + 16)
        found.append(block[at + 19:at + size].split(b"\0", 1)[0])
        at += size
    return found


def test_positions_in_a_directory_can_be_gone_back_to(view: View) -> None:
    """seekdir to what telldir said gives the same names again."""
    for number in range(50):
        view.write(f"/run/{number}", b"")
    fd = view.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    data = bytearray(300)
    seen: List[tuple] = []
    while True:
        at = os.lseek(fd, 0, os.SEEK_CUR)
        length = view.call(217, fd, data, len(data))
        if length <= 0:
            break
        seen.append((at, bytes(data[:length])))
    for at, block in reversed(seen):
        os.lseek(fd, at, os.SEEK_SET)
        length = view.call(217, fd, data, len(data))
        assert _names(block) == _names(bytes(data[:length]))
    os.close(fd)


def test_room_on_the_file_system_is_the_uppers(bare: Bare, view: View) -> None:
    """statfs of anything in the union tells of the place that is written to."""
    data = bytearray(120)
    assert 0 == view.call(NR_STATFS, b"/etc/conf", data)
    kind, size, blocks = struct.unpack_from("<QQQ", data)
    here = os.statvfs(bare.upper)
    assert (here.f_bsize, here.f_blocks) == (size, blocks)
    fd = view.open("/etc/conf", os.O_RDONLY)
    assert 0 == view.call(NR_FSTATFS, fd, data)
    assert (kind, size, blocks) == struct.unpack_from("<QQQ", data)
    os.close(fd)


def test_handles_are_of_the_file_behind(view: View) -> None:
    """name_to_handle_at of a path of the view works where the file system has handles."""
    handle, mount = bytearray(struct.pack("<Ii", 128, 0) + bytes(128)), bytearray(4)
    result = view.call(303, AT_FDCWD, b"/etc/conf", handle, mount, 0)
    assert result in (0, -errno.EOPNOTSUPP)


def test_a_directory_is_listed_where_no_further_descriptor_may_be_had(view: View) -> None:
    """The program's own descriptor is enough, and stays where the program left it."""
    view.write("/run/new", b"")
    fd = view.open("/run", os.O_RDONLY | os.O_DIRECTORY)  # has the lowest number that was free
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    parts = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, hard))
    try:
        while (n := view.call(217, fd, part := bytearray(128), 128)) > 0:  # getdents64
            parts.append(bytes(part[:n]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(fd)

    assert 0 == n
    assert 1 == sum(part.count(b"new\0") for part in parts)
    assert 1 == sum(part.count(b"old\0") for part in parts)


def test_capabilities_of_an_images_programs_are_shown(view: View) -> None:
    """As its layer says, before and after the program is copied up; and listed."""
    for _ in range(2):
        assert CAPABILITY == view.getxattr("/etc/ping", "security.capability")
        assert ["security.capability"] == view.listxattr("/etc/ping")
        view.utime("/etc/ping", 5, 5)
    view.chown("/etc/ping", 1, 1)
    assert [] == view.listxattr("/etc/ping")


def test_what_one_view_learned_means_nothing_to_the_next() -> None:
    """A directory that a closed view knew in a layer may be the next one's upper, as inode
    numbers are given anew; where its index lies in memory tells nothing."""
    with Bare([{"": directory(), "d": directory(), "d/inside": regular(b"x")}]) as bare:
        with bare.view() as view:
            assert ["inside"] == view.listdir("/d")
        bare.upper = bare.trees[0] / "d"
        bare.write_view()
        with bare.view() as view:
            assert {"d", "inside"} <= set(view.listdir("/"))


def test_a_directory_of_one_layer_does_not_show_what_another_hides() -> None:
    """Whoever comes with a descriptor of a layer's own directory, or works in it, sees what the view
    has there: not the file that an upper layer replaced, even of the same size and time."""
    old: Layer = {"": directory(), "d": directory(), "d/f": regular(b"old"), "d/low": regular(b"low")}
    new: Layer = {"": directory(), "d": directory(), "d/f": regular(b"new"), "d/high": regular(b"high")}
    before = os.open(".", os.O_RDONLY)
    with Bare([old, new]) as bare, bare.view() as view:
        fds = [os.open(bare.trees[0] / "d", os.O_RDONLY), os.open(bare.trees[1] / "d", os.O_RDONLY),
               view.open("/d", os.O_RDONLY)]
        try:
            for dirfd in [*fds, *fds]:
                for name, content in (("f", b"new"), ("low", b"low"), ("high", b"high")):
                    assert content == _content(view.open(name, os.O_RDONLY, dirfd=dirfd))
                os.fchdir(dirfd)
                for name, content in (("f", b"new"), ("low", b"low"), ("high", b"high")):
                    assert content == _content(view.open(name, os.O_RDONLY))
                    assert len(content) == view.stat(name).st_size
        finally:
            os.fchdir(before)
            for fd in (before, *fds):
                os.close(fd)


def _content(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_links_of_the_layers_lead_where_they_lead_in_a_plain_directory(tmp_path: Path) -> None:
    """Up, through each other, to nothing and in circles; before and after what is on the way is in
    the upper. And from the root, above which nothing is."""
    layer: Layer = {
        "": directory(), "usr": directory(), "usr/lib": directory(), "usr/lib/x": directory(),
        "usr/lib/x/f": regular(b"f"), "lib": link("usr/lib"), "usr/up": link("../lib/x"),
        "usr/lib/x/far": link("../../../lib/x/f"), "usr/dot": link("./lib/x"), "usr/slash": link("lib/"),
        "usr/nothing": link("lib/absent"), "a": link("b"), "b": link("a"), "usr/file": link("lib/x/f"),
        "usr/double": link("lib//x"), "usr/back": link("lib/x/.."),
        "root": link("/usr/lib"), "usr/lib/over": link("../../../../usr/lib/x")}
    plain_root = tmp_path / "plain"
    for path, thing in layer.items():
        if thing.kind == "directory":
            (plain_root / path).mkdir()
        elif thing.kind == "symlink":
            (plain_root / path).symlink_to(thing.target)
        else:
            (plain_root / path).write_bytes(thing.content)
    names = ["lib/x/f", "usr/up/f", "usr/up/far", "usr/dot/f", "usr/slash/x/f", "usr/nothing",
             "usr/nothing/f", "a", "a/f", "usr/file", "usr/file/f", "usr/double/f", "usr/back/x/f",
             "usr/back", "lib/absent", "lib/absent/f", "lib/x/f/g", "absent/f", f"lib/x/{'n' * 256}",
             f"lib/{'n' * 256}/f", f"lib/absent/{'n' * 256}", "lib/new", "lib/x/new", "usr/slash/new"]
    with Bare([layer]) as bare, bare.view() as view:
        for change in ("", "usr/lib/x/new", "usr/new", "lib/new", "lib/x/f"):
            if change:
                view.write(f"/{change}", b"changed")
                (plain_root / change).write_bytes(b"changed")
            for name in names:
                plain, contained = plain_root / name, f"/{name}"
                assert (_told(lambda place: _content(os.open(place, os.O_RDONLY)), plain) ==
                        _told(lambda place: _content(view.open(place, os.O_RDONLY)), contained)), name
                size = _told(lambda place: os.stat(place).st_size, plain)
                if isinstance(size, str) or not plain.is_dir():
                    assert size == _told(lambda place: view.stat(place).st_size, contained), name
            for name in ("/root/x/f", "/root/over/f", "/lib/over/far"):
                assert view.read("/usr/lib/x/f") == view.read(name)


def _told(ask: Callable[..., object], *arguments: object) -> object:
    """What comes of it, or the name of the error."""
    try:
        return ask(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
