"""What others confine processes with: each function confines the calling one, for good.

To be given to subprocess as `preexec_fn`. Of Docker's profile this has the facts that
matter to a process without privilege: it names what is allowed, and answers an errno to all
else, to calls that are younger than it among them.
"""
from __future__ import annotations

import platform
import resource
from typing import Callable, Tuple

from . import nopriv
from .nopriv import ALLOW, ENOSYS, EPERM, ERRNO, FIRST_ARGUMENT, NUMBER

Instruction = Tuple[int, int, int, int]

#: What Docker's default profile leaves out: number on x86-64, on aarch64.
NOT_ALLOWED = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "fanotify_init": (300, 262),
    "finit_module": (313, 273), "get_mempolicy": (239, 236), "init_module": (175, 105),
    "io_uring_setup": (425, 425), "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219),
    "lookup_dcookie": (212, 18), "mbind": (237, 235), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pivot_root": (155, 41),
    "quotactl": (179, 60), "reboot": (169, 142), "request_key": (249, 218),
    "set_mempolicy": (238, 237), "setns": (308, 268), "settimeofday": (164, 170),
    "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vhangup": (153, 58), "fsopen": (430, 430), "fsmount": (432, 432),
}
PERSONALITY = (135, 92)
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
STATX = (332, 291)

#: The first number that a profile does not know: one of today, one of when Linux 5.0 was new.
TODAY, YEARS_AGO = 452, 424


def docker(unknown: int = ENOSYS, known: int = TODAY) -> Callable[[], None]:
    """Docker's default profile, as it is (`unknown` EPERM: as before 2020), and no_new_privs."""
    def confine() -> None:
        nopriv.install(_docker(unknown, known))
    return confine


def _docker(unknown: int, known: int) -> list[Instruction]:
    column, audit = nopriv.ARCHITECTURES[platform.machine()]
    program = [(nopriv.LOAD, 0, 0, nopriv.ARCHITECTURE), (nopriv.JUMP_EQUAL, 1, 0, audit),
               (nopriv.RETURN, 0, 0, ERRNO | EPERM), (nopriv.LOAD, 0, 0, NUMBER)]

    def refuse(number: int, error: int) -> None:
        program.extend([(nopriv.JUMP_EQUAL, 0, 1, number), (nopriv.RETURN, 0, 0, ERRNO | error)])

    for numbers in NOT_ALLOWED.values():
        refuse(numbers[column], EPERM)
    # since then, whatever was known: new C libraries start no program where it is EPERM
    refuse(nopriv.CLONE3[column], ENOSYS)
    if known <= YEARS_AGO:
        refuse(STATX[column], unknown)
    program += [(nopriv.JUMP_GREATER_EQUAL, 0, 1, known), (nopriv.RETURN, 0, 0, ERRNO | unknown)]
    program += [(nopriv.JUMP_EQUAL, 0, 3, nopriv.CLONE[column]), (nopriv.LOAD, 0, 0, FIRST_ARGUMENT),
                (nopriv.JUMP_ANY_BIT, 0, 1, nopriv.NEW_NAMESPACES),
                (nopriv.RETURN, 0, 0, ERRNO | EPERM), (nopriv.LOAD, 0, 0, NUMBER)]
    program += [(nopriv.JUMP_EQUAL, 0, len(PERSONALITIES) + 2, PERSONALITY[column]),
                (nopriv.LOAD, 0, 0, FIRST_ARGUMENT)]
    program += [(nopriv.JUMP_EQUAL, len(PERSONALITIES) - n, 0, value)
                for n, value in enumerate(PERSONALITIES)]
    return program + [(nopriv.RETURN, 0, 0, ERRNO | EPERM), (nopriv.RETURN, 0, 0, ALLOW)]


def limits(**most: int) -> Callable[[], None]:
    """Resource limits as a batch system sets them: `limits(AS=1 << 30, NOFILE=64)`."""
    def confine() -> None:
        for name, value in most.items():
            number = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))
    return confine
