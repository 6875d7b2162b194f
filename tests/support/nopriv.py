#!/usr/bin/python3
"""Run a command with nothing privileged left to it, and proof of that.

    nopriv.py [--kill] [--user NAME] COMMAND [ARG...]

The command gets no_new_privs and a seccomp filter. Namespaces, mounts, chroot,
ptrace and their kin fail with EPERM; with --kill, whoever tries is killed by
SIGSYS (exit status 159 in a shell), so that a silent fallback cannot hide.

Changing one's identity fails with EPERM in both modes; "changing" it to what it is
already, as make does before each command, is let through. Filters stack and the
strictest answer wins: EPERM gives way to the trap of a contained program, which
answers `setgroups` and the like itself, while a kill would come before it.

No privilege is needed but for --user, and nothing but Python itself: x86-64 and
aarch64. As a module, `confine` does the same to the calling process.
"""
from __future__ import annotations

import ctypes
import os
import platform
import pwd
import struct
import sys
from typing import NoReturn

# name: number on x86-64, on aarch64
FORBIDDEN = {
    "bpf": (321, 280), "chroot": (161, 51), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "kexec_load": (246, 104), "keyctl": (250, 219),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "open_tree": (428, 428), "pivot_root": (155, 41), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "setns": (308, 268),
    "umount2": (166, 39), "unshare": (272, 97),
}
IDENTITY = {
    "capset": (126, 91), "setfsgid": (123, 152), "setfsuid": (122, 151), "setgid": (106, 144),
    "setgroups": (116, 159), "setregid": (114, 143), "setreuid": (113, 145), "setuid": (105, 146),
}
SETRESUID = (117, 147)
SETRESGID = (119, 149)
UNCHANGED = 0xFFFFFFFF
CLONE = (56, 220)
CLONE3 = (435, 435)
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32 = 0x40000000

#: Every CLONE_NEW* that clone takes: mount, cgroup, uts, ipc, user, pid, network.
NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 \
    | 0x40000000

# of linux/bpf_common.h and linux/seccomp.h
LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def _only(number: int, own: int) -> list[tuple[int, int, int, int]]:
    """setresuid or setresgid: allowed if each argument is one's own, or leaves things as they are."""
    program: list[tuple[int, int, int, int]] = [(RETURN, 0, 0, ALLOW)]
    refuse = (RETURN, 0, 0, ERRNO | EPERM)
    for argument in (2, 1, 0):
        program = [(LOAD, 0, 0, FIRST_ARGUMENT + 8 * argument), (JUMP_EQUAL, 2, 0, own),
                   (JUMP_EQUAL, 1, 0, UNCHANGED), refuse, *program]
    return [(JUMP_EQUAL, 0, len(program), number), *program]


def _instructions(kill: bool) -> list[tuple[int, int, int, int]]:
    """The filter: (code, skip if true, skip if false, operand)."""
    column, audit = ARCHITECTURES[platform.machine()]
    refused = KILL_PROCESS if kill else ERRNO | EPERM
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, audit),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
    ]
    if platform.machine() == "x86_64":
        program += [(JUMP_GREATER_EQUAL, 0, 1, X32), (RETURN, 0, 0, KILL_PROCESS)]
    for table, answer in ((FORBIDDEN, refused), (IDENTITY, ERRNO | EPERM)):
        for numbers in table.values():
            program += [(JUMP_EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, answer)]
    program += _only(SETRESUID[column], os.getuid()) + _only(SETRESGID[column], os.getgid())
    # clone3 hides its flags from filters; C libraries fall back to clone
    program += [(JUMP_EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, ERRNO | ENOSYS)]
    program += [
        (JUMP_EQUAL, 0, 3, CLONE[column]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_ANY_BIT, 0, 1, NEW_NAMESPACES),
        (RETURN, 0, 0, refused),
        (RETURN, 0, 0, ALLOW),
    ]
    return program


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def confine(*, kill: bool = True) -> None:
    """Put the calling process, and all it starts, under the filter for good."""
    install(_instructions(kill))


def install(instructions: list[tuple[int, int, int, int]]) -> None:
    """The same with any other filter."""
    code = b"".join(struct.pack("HBBI", *each) for each in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(instructions), ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = ctypes.c_ulong
    nothing = number(0)
    if prctl(PR_SET_NO_NEW_PRIVS, number(1), nothing, nothing, nothing) \
            or prctl(PR_SET_SECCOMP, number(SECCOMP_MODE_FILTER), ctypes.byref(program),
                     nothing, nothing):
        raise OSError(ctypes.get_errno(), "cannot install the seccomp filter")


def become(name: str) -> None:
    """Turn root into the user `name`, its groups and its home."""
    account = pwd.getpwnam(name)
    os.initgroups(name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=name, LOGNAME=name)
    for variable in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(variable, None)


def main(arguments: list[str]) -> NoReturn:
    kill = False
    user = None
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--kill":
            kill = True
        elif option == "--user" and arguments:
            user = arguments.pop(0)
        elif option == "--":
            break
        else:
            sys.exit(f'nopriv: there is no option "{option}"')
    if not arguments:
        sys.exit(__doc__)
    if user is not None:
        become(user)
    confine(kill=kill)
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        sys.exit(f'nopriv: cannot run "{arguments[0]}": {error.strerror}')


if __name__ == "__main__":
    main(sys.argv[1:])
