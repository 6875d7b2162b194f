"""Many layers, long paths, deep directories, another user than root."""
from __future__ import annotations

import errno
import os
from typing import Dict, Iterator, List

import pytest
from lpmx_runtime._native import View

from .bare import Bare
from .layers import WHITEOUT, Layer, directory, link, opaque, regular


def _layers(count: int) -> List[Layer]:
    """Each changes one file that all have, takes away the last one's own and adds its own."""
    layers: List[Layer] = [{"": directory(), "proc": directory(0o555), "d": directory(),
                            "d/all": regular(b"0"), "d/own0": regular(b"own0"),
                            "bottom": regular(b"bottom")}]
    for number in range(1, count):
        layers.append({"d": directory(), "d/all": regular(b"%d" % number),
                       f"d/own{number - 1}": WHITEOUT, f"d/own{number}": regular(b"own%d" % number),
                       f"d/kept{number}": regular(b"kept")})
    layers[count // 2]["o"] = opaque()
    return layers


@pytest.mark.parametrize("count", [1, 2, 16, 128])
def test_as_many_layers_as_docker_allows(count: int) -> None:
    """128 layers show what the last of them says."""
    with Bare(_layers(count)) as bare, bare.view() as view:
        assert b"%d" % (count - 1) == view.read("/d/all")
        wanted = {"all", f"own{count - 1}"} | {f"kept{n}" for n in range(1, count)}
        assert wanted == set(view.listdir("/d"))
        assert b"bottom" == view.read("/bottom")
        view.write("/d/own0", b"mine")
        view.unlink("/d/all")
        view.rename("/d", "/e")
        assert (wanted | {"own0"}) - {"all"} == set(view.listdir("/e"))


@pytest.fixture
def bare() -> Iterator[Bare]:
    deep = "deep"
    layer: Layer = {"": directory(), "proc": directory(0o555), "deep": directory(),
                    "short": link("deep"), "home": directory(0o755, uid=1000, gid=1000),
                    "home/own": regular(b"own", 0o644, uid=1000, gid=1000),
                    "home/theirs": regular(b"theirs", 0o600),
                    "root": directory(0o700), "root/secret": regular(b"secret", 0o644),
                    "group": directory(0o770, uid=0, gid=50), "group/file": regular(b"g", 0o664, gid=50),
                    "tmp": directory(0o1777), "tmp/roots": regular(b"r", 0o666),
                    "bin": directory(), "bin/tool": regular(b"#!/bin/sh\n", 0o755)}
    for number in range(15):
        deep += f"/{number:02}" + "x" * 200
        layer[deep] = directory()
    layer[deep + "/leaf"] = regular(b"leaf")
    with Bare([layer]) as bare:
        yield bare


def _deepest(view: View) -> str:
    path = "/deep"
    while True:
        names = view.listdir(path)
        if "leaf" in names:
            return path
        path += "/" + names[0]


def test_paths_of_three_thousand_bytes(bare: Bare) -> None:
    """A path may be as long as the kernel takes it, though the host's is longer."""
    with bare.view() as view:
        path = _deepest(view)
        assert 3000 < len(path)
        view.write(path + "/" + "n" * 255, b"new")
        view.chmod(path + "/leaf", 0o600)
        view.link(path + "/leaf", path + "/other")
        view.symlink("leaf", path + "/link")
        assert b"leaf" == view.read(path + "/link")
        assert 4 == len(view.listdir(path))
        view.rename("/deep", "/moved")
        assert b"new" == view.read(path.replace("/deep", "/moved", 1) + "/" + "n" * 255)
        assert not view.exists("/deep")


def test_five_hundred_levels(bare: Bare) -> None:
    """Deep directories are made, renamed, copied up and removed, and no stack overflows."""
    with bare.view() as view:
        paths = ["/d"]
        view.mkdir("/d")
        while len(paths) < 500:
            paths.append(paths[-1] + "/d")
            view.mkdir(paths[-1])
        view.rename("/d", "/e")
        last = "/e" + paths[-1][2:]
        view.write(last + "/f", b"f")
        assert b"f" == view.read(last + "/f")
        view.unlink(last + "/f")
        for path in reversed(paths):
            view.rmdir("/e" + path[2:])
        assert not view.exists("/e")


def test_names_that_are_too_long(bare: Bare) -> None:
    """ENAMETOOLONG, and nothing else."""
    with bare.view() as view:
        for path in ("/" + "n" * 256, "/deep/" + "x/" * 2045 + "y", "/short/" * 700):
            with pytest.raises(OSError) as raised:
                view.lstat(path)
            assert raised.value.errno in (errno.ENAMETOOLONG, errno.ENOENT)


def _call(view: View, function: str, *args: object) -> str:
    try:
        result = getattr(view, function)(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return errno.errorcode[-result] if isinstance(result, int) and result < 0 else "ok"


def test_an_emulated_user_may_do_what_its_modes_allow(bare: Bare) -> None:
    """After setuid the modes that are shown decide, as they would for a real user."""
    setuid, setgid, utimensat = 105, 106, 280
    with bare.view() as view:
        assert 0 == view.call(setgid, 1000) == view.call(setuid, 1000)
        told: Dict[str, str] = {
            "read own": _call(view, "read", "/home/own"),
            "write own": _call(view, "write", "/home/own", b"x"),
            "new in own": _call(view, "write", "/home/new", b"x"),
            "read another's": _call(view, "read", "/home/theirs"),
            "write another's": _call(view, "write", "/home/theirs", b"x"),
            "remove another's from own": _call(view, "unlink", "/home/theirs"),
            "search closed": _call(view, "read", "/root/secret"),
            "list closed": _call(view, "listdir", "/root"),
            "new in closed": _call(view, "write", "/root/new", b"x"),
            "new in root's": _call(view, "mkdir", "/bin/new"),
            "remove root's": _call(view, "unlink", "/bin/tool"),
            "rename root's": _call(view, "rename", "/bin/tool", "/home/tool"),
            "write root's open to all": _call(view, "write", "/tmp/roots", b"x"),
            "remove from sticky": _call(view, "unlink", "/tmp/roots"),
            "rename from sticky": _call(view, "rename", "/tmp/roots", "/tmp/mine"),
            "new in sticky": _call(view, "write", "/tmp/new", b"x"),
            "remove own from sticky": _call(view, "unlink", "/tmp/new"),
            "group's": _call(view, "read", "/group/file"),
            "chmod another's": _call(view, "chmod", "/bin/tool", 0o777),
            "chown own": _call(view, "chown", "/home/own", 0, 0),
            "chmod own": _call(view, "chmod", "/home/own", 0o600),
            "cut another's": _call(view, "truncate", "/bin/tool", 0),
            "cut what is open to all": _call(view, "truncate", "/tmp/roots", 0),
            "date another's": _call(view, "utime", "/bin/tool", 1, 1),
            "date what is open to all": _call(view, "utime", "/tmp/roots", 1, 1),
            "date own": _call(view, "utime", "/home/own", 1, 1),
            "touch another's": _call(view, "call", utimensat, -100, b"/bin/tool", 0, 0),
            "touch what is open to all": _call(view, "call", utimensat, -100, b"/tmp/roots", 0, 0),
            "attribute of another's": _call(view, "setxattr", "/bin/tool", "user.x", b"1"),
        }

    assert told == {
        "read own": "ok", "write own": "ok", "new in own": "ok", "read another's": "EACCES",
        "write another's": "EACCES", "remove another's from own": "ok", "search closed": "EACCES",
        "list closed": "EACCES", "new in closed": "EACCES", "new in root's": "EACCES",
        "remove root's": "EACCES", "rename root's": "EACCES", "write root's open to all": "ok",
        "remove from sticky": "EPERM", "rename from sticky": "EPERM", "new in sticky": "ok",
        "remove own from sticky": "ok", "group's": "EACCES", "chmod another's": "EPERM",
        "chown own": "EPERM", "chmod own": "ok", "cut another's": "EACCES",
        "cut what is open to all": "ok", "date another's": "EPERM",
        "date what is open to all": "EPERM", "date own": "ok", "touch another's": "EACCES",
        "touch what is open to all": "ok", "attribute of another's": "EACCES"}
    with bare.view() as view:
        assert (1000, 1000) == (view.stat("/home/new").st_uid, view.stat("/home/new").st_gid)


def test_an_emulated_member_of_a_group(bare: Bare) -> None:
    """Supplementary groups count."""
    import struct
    setgroups, setuid = 116, 105
    with bare.view() as view:
        assert 0 == view.call(setgroups, 1, bytearray(struct.pack("<I", 50)))
        assert 0 == view.call(setuid, 1000)
        assert b"g" == view.read("/group/file")
        assert "ok" == _call(view, "write", "/group/file", b"x")
        assert "ok" == _call(view, "write", "/group/new", b"x")


def test_nothing_of_ours_shows_in_a_listing_of_attributes(bare: Bare) -> None:
    """The records in the upper are not the program's."""
    with bare.view() as view:
        view.chown("/bin/tool", 7, 7)
        view.setxattr("/bin/tool", "user.mine", b"1")
        assert ["user.mine"] == view.listxattr("/bin/tool")
        assert ["user.mine"] != os.listxattr(bare.upper / "bin" / "tool")
        assert "ENODATA" == _call(view, "getxattr", "/bin/tool", "user.lpmx.inode")
