"""Who a contained program is: the image's USER, or what was asked for."""
from __future__ import annotations

import os

from .. import _native
from ..errors import RunFailed
from ..light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Optional


class Identity(NamedTuple):
    """`uid` and `gid` as shown; None: the caller's own, without any illusion."""

    uid: Optional[int]
    gid: Optional[int]
    name: str
    home: str


def _table(view: _native.View, path: str) -> list[list[str]]:
    try:
        text = view.read(path, 4 << 20).decode("utf-8", "surrogateescape")
    except OSError:
        return []
    return [line.split(":") for line in text.splitlines() if line.count(":") >= 2]


def resolve(view: _native.View, user: str, image: str) -> Identity:
    """The identity of `user`: "", "host", NAME, UID, each with an optional :GROUP.

    Raises `RunFailed` for a name that the image's /etc/passwd or /etc/group does
    not have; numbers need not be there (OCI image spec, config.User).
    """
    if user == "host":
        import pwd
        try:
            ours = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            ours = str(os.getuid())  # a cluster may give out numbers that no table has
        return Identity(None, None, ours, os.path.expanduser("~"))
    name, _, group = (user or "0").partition(":")
    accounts = [row for row in _table(view, "/etc/passwd") if len(row) >= 7]
    row = next((r for r in accounts if r[0] == name), None)
    if row is None and name.isdigit():
        row = next((r for r in accounts if r[2] == name), None)
    if row is None and not name.isdigit():
        raise RunFailed(f'cannot run as "{name}": image "{image}" has no such user',
                        hint="name a user of its /etc/passwd, a number, or \"host\"")
    try:
        uid = int(row[2]) if row else int(name)
        gid = int(row[3]) if row else 0
    except ValueError:
        raise RunFailed(f'cannot run as "{name}": its line in /etc/passwd of image "{image}" '
                        "is malformed", hint="use a number instead") from None
    if group:
        entry = next((r for r in _table(view, "/etc/group") if r[0] == group), None)
        if entry is None and not group.isdigit():
            raise RunFailed(f'cannot run with group "{group}": image "{image}" has no such group',
                            hint="name a group of its /etc/group, or a number")
        gid = int(entry[2]) if entry else int(group)
    default = ("root", "/root") if uid == 0 else (name, "/")
    return Identity(uid, gid, row[0] if row else default[0], (row[5] if row else "") or default[1])
