"""A container's directory, and its record: what about a container does not change.

    <store>/containers/<name>/
        container.json      the record
        view                what its programs see (native/include/lpmx_abi.h)
        view.UID.GID        the same for another user, made when one is asked for
        control             the control page: live variables, exec map
        upper/  work/       what was changed
        host.view host.env  what host calls see, and their variables
        start               what `lpmx exec` needs to do without Python (start.py)
        lpmx                the command of this installation, for those inside
        links/              for each linked name how its program is called
        exposed.json        commands of the host that run programs in here
        live.json           live variables, while it is being reset
        gpu/                links to the host's driver libraries, where there are any
        icd/                how OpenCL, Vulkan and EGL find these, where the host's own files
                            say so by their place on the host

Everything here is light to import: `lpmx exec` needs no more than this and launch.py.
"""
from __future__ import annotations

import json
import os
import re
import struct

from ..errors import ContainerUnknown, InvalidSetting, StoreDamaged
from ..light import TYPE_CHECKING
from ..settings import call_log, call_rules

if TYPE_CHECKING:
    from typing import Any, Optional, Union

VERSION = 1
FILE, VIEW, CONTROL, UPPER, WORK = "container.json", "view", "control", "upper", "work"
GPU, ICDS = "gpu", "icd"
HOST_VIEW, HOST_ENVIRONMENT = "host.view", "host.env"
START = "start"
#: Live variables that are to be set again, while a container is being reset.
LIVE = "live.json"

#: Where the kernel tells which driver of NVIDIA's GPUs it has.
DRIVER = "/proc/driver/nvidia/version"
COMMAND, LINKS, EXPOSED = "lpmx", "links", "exposed.json"

_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}"

#: Where the loader is, without the compiled core that `_native` loads.
LOADER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                      "_native", "loader")

# The control page, as lpmx_abi.h lays it out.
_CONTROL_HEAD = struct.Struct("<8sIIQQ40s")
_CONTROL_MAGIC, _CONTROL_VERSION = b"LPMXCTL\0", 3
_LIVE_USED = struct.Struct("<QI")
LIVE_OFFSET = 512 + 2 * (1 << 15) // 8
#: The set of paths that the upper may have or hide.
TOUCHED_OFFSET, TOUCHED_SIZE = LIVE_OFFSET + 2 * (16 + 16 * 1024), (1 << 20) // 8


def is_name(name: str) -> bool:
    """Whether `name` can be a container's."""
    return re.fullmatch(_NAME, name) is not None


def check_name(name: str) -> None:
    """Raise `InvalidSetting` unless `name` can be a container's."""
    if not is_name(name):
        raise InvalidSetting(f'cannot use "{name}" as the name of a container: '
                             "it is not one word of letters, digits, _ . and -",
                             hint="begin with a letter or digit; 64 characters at most")


def read(containers: "Union[str, os.PathLike[str]]", name: str) -> "tuple[str, dict[str, Any]]":
    """The directory and the record of the container `name`."""
    directory = os.path.join(containers, name)
    try:
        if not is_name(name):
            raise FileNotFoundError
        with open(os.path.join(directory, FILE), "rb") as file:
            record = json.loads(file.read())
        version = record["version"]
    except (FileNotFoundError, NotADirectoryError):
        raise ContainerUnknown(f'cannot find container "{name}": there is none of this name',
                               hint='run "lpmx ps" to see what there is') from None
    except OSError as error:
        raise StoreDamaged(f'cannot read container "{name}": '
                           f"{os.strerror(error.errno or 0).lower()}",
                           hint="check who owns the store") from error
    except (ValueError, KeyError, TypeError):
        raise StoreDamaged(f'cannot read container "{name}": its record is damaged',
                           hint=f'what it changed is in "{directory}/{UPPER}"; '
                                f'"lpmx rm -f {name}" removes it') from None
    if version != VERSION:
        raise StoreDamaged(f'cannot use container "{name}": its record has version {version}, '
                           f"and we read version {VERSION}",
                           hint="use the version of lpmx that made it") from None
    return directory, record


def made(directory: str) -> "dict[str, Any]":
    """What a view file depends on: where the container and the installation are, the driver
    of this node's GPUs, and what the site says of calls."""
    try:
        with open(DRIVER, encoding="utf-8") as file:
            driver = file.readline().strip()
    except OSError:
        driver = ""
    rules = call_rules()
    return {"directory": directory, "loader": LOADER, "driver": driver,
            "calls": [list(rules) if rules else None, call_log()]}


def as_it_is(path: "Union[str, os.PathLike[str]]") -> "list[Any]":
    """What tells a file from one that was touched since, by whatever."""
    try:
        status = os.stat(path)
    except OSError:
        return [os.fspath(path)]
    return [os.fspath(path), status.st_size, status.st_mtime_ns]


def is_current(directory: str, record: "dict[str, Any]") -> bool:
    """Whether the view file fits what it depends on, the index is the one that was checked,
    and the control page is one."""
    if record.get("made") != made(directory):
        return False
    if not record["live"]:
        index = record.get("index")
        if not index or index != as_it_is(index[0]):
            return False
    return (control_is_sound(os.path.join(directory, CONTROL))
            and os.path.exists(os.path.join(directory, VIEW)))


def control_is_sound(path: str) -> bool:
    """Whether there is a control page of our version at `path`, as far as its head tells,
    and one that was filled since the machine was booted: after a power loss the upper may
    be younger than the page."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(_CONTROL_HEAD.size)
            size = os.fstat(file.fileno()).st_size
        magic, version, _, stated, _, boot = _CONTROL_HEAD.unpack(head)
        if (magic, version, stated) != (_CONTROL_MAGIC, _CONTROL_VERSION, size):
            return False
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            return bool(boot.rstrip(b"\0") == file.read(36))
    except (OSError, struct.error):
        return False


def has_live_variables(path: str) -> bool:
    """Whether anybody ever set a variable in this control page."""
    with open(path, "rb", buffering=0) as file:
        _, used = _LIVE_USED.unpack(os.pread(file.fileno(), _LIVE_USED.size, LIVE_OFFSET))
        return bool(used)


def live_generation(path: "Union[str, os.PathLike[str]]") -> "Optional[int]":
    """A number that grows with each change of a live variable; None without a control page."""
    try:
        with open(path, "rb", buffering=0) as file:
            generation, _ = _LIVE_USED.unpack(os.pread(file.fileno(), _LIVE_USED.size, LIVE_OFFSET))
            return int(generation)
    except (OSError, struct.error):
        return None


def replace(path: str, content: bytes, *, mode: int = 0o644, sync: bool = False) -> None:
    """Have `content` at `path`, replaced whole and only when it differs; with `sync` it is on
    the disk before it has its name.

    Programs that run have the old file mapped; a new one leaves it to them.
    """
    try:
        with open(path, "rb") as file:
            if file.read() == content:
                return
    except OSError:
        pass
    # nobody can have it already, another thread or node, and it is as short as it may be
    aside = os.path.join(os.path.dirname(path), f".lpmx-{os.urandom(8).hex()}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode),
              "wb") as file:
        try:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
