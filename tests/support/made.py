"""Images of tars that a test writes itself, put into a store without any file or registry,
and a container of one in which something of everything is done."""
from __future__ import annotations

import io
import json
import os
import stat
from typing import Any, Mapping

from lpmx_runtime._native import View
from lpmx_runtime.container import Container
from lpmx_runtime.image.found import make_manifest
from lpmx_runtime.image.record import all_or_nothing, record
from lpmx_runtime.oci.reference import Reference
from lpmx_runtime.store import Image, Store

from . import layers
from .layers import device, directory, file, link, symlink

BASE = layers.tar(
    directory(b"etc"), file(b"etc/motd", b"hello\n", mtime=5), file(b"etc/passwd", b"r\n", mtime=5),
    directory(b"old"), file(b"old/a", b"a"), directory(b"old/sub"), file(b"old/sub/b", b"b"),
    directory(b"tmp", mode=0o1777), file(b"suid", b"#!", mode=0o4755), file(b"mail", b"", gid=8),
    file(b"one", b"linked"), link(b"two", b"one"), symlink(b"way", b"etc/motd"), directory(b"kept"),
    file(b"kept/deep", b"deep"), device(b"null", b"3", 1, 3), directory(b"proc"),
    directory(b"sys"), directory(b"dev"), directory(b"usr"), directory(b"bin"))
CONFIG = {"Env": ["PATH=/bin", "KEPT=yes"], "Cmd": ["sh"], "Labels": {"old": "1"}}


def make_image(store: Store, name: str, *tars: bytes, config: Mapping[str, Any] = {},  # noqa: B006
               **fields: Any) -> Image:
    """Record an image of these layers; `config` is the part of that name, `fields` are
    further ones of the whole config."""
    with all_or_nothing(store):
        diff_ids = [store.layers.add(io.BytesIO(tar)) for tar in tars]
        whole = json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                            "rootfs": {"type": "layers", "diff_ids": diff_ids},
                            **fields}).encode()
        manifest = make_manifest(whole, [(diff_id, len(tar))
                                         for diff_id, tar in zip(diff_ids, tars)])
        return record(store, Reference.parse(name), manifest=manifest, config=whole,
                      origin="loaded")


def change(container: Container) -> None:
    """Something of everything."""
    with container.view() as view:
        change_view(view)


def change_view(view: View) -> None:
    """Something of everything that can be done over BASE."""
    view.write("/new", b"new\n", 0o640)
    view.write("/etc/motd", b"changed\n")
    view.unlink("/etc/passwd")
    view.unlink("/old/a")
    view.unlink("/old/sub/b")
    view.rmdir("/old/sub")
    view.rmdir("/old")
    view.mkdir("/old", 0o750)
    view.write("/old/only", b"only")
    view.unlink("/way")
    view.symlink("/new", "/way")
    view.mkdir("/dir", 0o2775)
    view.chown("/dir", 5, 6)
    view.write("/owned", b"x")
    view.chown("/owned", 33, 33)
    view.chmod("/owned", 0o4711)
    view.chmod("/mail", 0o2660)
    view.mknod("/disk", stat.S_IFBLK | 0o660, os.makedev(8, 1))
    view.mknod("/pipe", stat.S_IFIFO | 0o600)
    view.link("/new", "/dir/many")
    view.chmod("/one", 0o600)
    view.write("/locked", b"secret", 0o600)
    view.chmod("/locked", 0)
    view.write("/tagged", b"")
    view.setxattr("/tagged", "user.colour", b"gr\0en")
    view.write("/name\n with \u00e9 and \udcff", b"")
    view.write("/" + "long" * 60, b"")
    view.chmod("/", 0o751)
