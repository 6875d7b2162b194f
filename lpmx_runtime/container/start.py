"""The start file: what lets `lpmx exec` become a program without Python (native/front).

It says what `launch.prepare` does for a command without options, and what that depends
upon: this installation, the container's record, the index, the driver of the GPUs. A call
so simple that still came to Python writes it for the next one. Nothing is decided here:
of each variable `environment.of_program` is asked where its value comes from.
"""
from __future__ import annotations

import os
import struct
import sys

from ..light import TYPE_CHECKING
from ..settings import SITE_FILE, user_file
from . import environment, launch, record

if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

MAGIC = b"lpmx-start 1"
#: What the content follows from: a change of it in an installation that is worked on counts.
_MADE_BY = (str(environment.__file__), str(launch.__file__), __file__)


def write(containers: str, name: str, front: str) -> None:
    """Have a start file in the container `name`, for the program `front` of this installation.

    There is none where it could not say all that counts, and where nothing can be written:
    then every call comes to Python, and nothing else differs. Raises what `record.read` does.
    """
    path = os.path.join(containers, name, record.START)
    # before anything is read, so that what changes meanwhile makes the file out of date
    stamps = [record.as_it_is(each) for each in
              (front, os.path.join(containers, name, record.FILE), *_MADE_BY, SITE_FILE, user_file())]
    directory, values = record.read(containers, name)
    if not os.access(directory, os.W_OK) or not record.is_current(directory, values):
        return
    if not values["live"]:
        stamps.append(values["index"])
    content = encode(directory, values, stamps)
    if content:
        try:
            record.replace(path, content)
        except OSError:
            pass


def encode(directory: str, values: Mapping[str, Any], stamps: "list[list[Any]]") -> bytes:
    """The bytes of a start file (native/include/lpmx_abi.h); b"" where one cannot say all.

    `stamps` has what `record.as_it_is` told of the front and of all else that must stay.
    """
    fields = [("directory", directory), ("front", *stamps[0]),
              *(("same" if len(stamp) == 3 else "absent", *stamp) for stamp in stamps[1:]),
              ("settings", user_file()), ("line", record.DRIVER, values["made"]["driver"]), ("loader", record.LOADER),
              *_beginning(values), *_variables(values)]
    if len(stamps[0]) != 3 or sys.getfilesystemencoding() != "utf-8":
        return b""
    words = [os.fsencode(str(word)) for field in fields for word in field]
    if any(b"\0" in word for word in words):
        return b""
    from ..store.index_format import fnv
    body = b"\0".join([MAGIC, *words]) + b"\0"
    return body + struct.pack("<Q", fnv(body))


def _beginning(values: Mapping[str, Any]) -> "Iterator[tuple[str, str]]":
    directory = launch.directory_of(values)
    if directory:
        yield "cwd", directory


def _variables(values: Mapping[str, Any]) -> "Iterator[tuple[str, ...]]":
    """What decides on the value of each variable."""
    def of_program(environ: Mapping[str, str]) -> "dict[str, environment.Variable]":
        return environment.of_program(values, environ, values["identity"])

    for name, variable in of_program({}).items():
        if name in launch.PRIVATE:
            continue
        theirs = of_program({name: variable.value or "x"})[name].origin == "host"
        yield "default" if theirs else "held", f"{name}={variable.value}"
        if name == "PATH" and theirs:
            yield "path-end", environment.OWN_PROGRAMS
    if values["live"]:
        yield ("keep-all",)
    else:
        yield from (("keep", name) for name in environment.KEPT)
        yield from (("prefix", text) for text in environment.KEPT_PREFIXES)
    yield from (("never", name) for name in (*environment.ABOUT_USER, *environment.SECRET,
                                             *launch.PRIVATE))
    yield from (("secret", name) for name in environment.SECRET)
