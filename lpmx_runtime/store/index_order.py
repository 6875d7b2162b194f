"""Which entries of an index come first.

Every start of a program looks for the same few names, in a process that has touched no page of
the index. The kernel maps 64 KB of a file at once: what is together there costs one page fault.
"""
from __future__ import annotations

import re

from ..light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Callable, Optional

FIRST, COMMON, PROGRAMS, OTHERS = range(4)

_PROGRAMS = re.compile(rb"(/usr(/local)?)?/s?bin")
_LIBRARIES = re.compile(rb"(/usr(/local)?)?/lib(32|64)?(/[^/]*-linux-[^/]*)?")
#: Of a directory of programs: what shells, scripts and builds start most.
_COMMON = frozenset(rb"""
    ar as awk basename bash busybox bzip2 c++ cat cc chmod chown cmp comm cp cut dash date dd df diff
    dirname dpkg du echo egrep env expr false fgrep file find g++ gawk gcc getconf git grep gunzip gzip head
    hostname id install ld ldd less ln locale ls make mawk mkdir mktemp mv nproc od paste perl pip pip3
    printf ps pwd python python3 R readlink realpath rm rmdir Rscript sed seq sh sleep sort ssh stat strip
    stty tail tar tee test touch tput tr true tty uname uniq vi vim wc which whoami xargs xz yes zsh
""".split())
#: Of a directory of libraries: the linkers, libc, and what most programs are linked to.
_LINKED = re.compile(rb"ld-|[^/]*-linux-[^/]*$|lib(c|c\.musl-[^/]*|m|dl|pthread|rt|tinfo|z|gcc_s|stdc\+\+|selinux|pcre2-8|crypto|ssl)[.-]")


def ranking(directory: bytes) -> "Optional[Callable[[bytes], int]]":
    """What says the rank of a name of `directory` (`FIRST` to `OTHERS`); None: all are
    `OTHERS`. A directory's rank is not above that of what is in it."""
    if directory in (b"", b"/usr", b"/usr/local"):
        return _first
    if _PROGRAMS.fullmatch(directory):
        return _program
    if _LIBRARIES.fullmatch(directory):
        return _library
    return _setting if directory == b"/etc" else None


def _first(name: bytes) -> int:
    return FIRST


def _program(name: bytes) -> int:
    return COMMON if name in _COMMON else PROGRAMS


def _library(name: bytes) -> int:
    return FIRST if _LINKED.match(name) else OTHERS


def _setting(name: bytes) -> int:
    return FIRST if name in (b"ld.so.cache", b"ld.so.preload", b"passwd", b"nsswitch.conf") else OTHERS
