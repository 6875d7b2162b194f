"""Free ports of loopback, for servers that are told where to listen."""
from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import List


def free_ports(count: int) -> List[int]:
    """Ports that nobody is given by chance (ip(7), ip_local_port_range) before, or while, no server
    listens there."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: List[int] = []
    for port in random.sample(range(first - 8192, first), 100 + count):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"there are no {count} free ports")


def free_port() -> int:
    return free_ports(1)[0]
