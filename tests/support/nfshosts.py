"""Hosts with kernels of their own that work in one directory on NFS: `nfshosts.py TOP PROCESSES ROUNDS`.

The hosts are user-mode Linux. One serves the file system in TOP/disk, by version 4.2 of NFS, and the others
mount that, with locks that go to the server. They share this machine's programs, and run as whoever
owns TOP/disk. To be started by root in a network name space of its own, which is all the network there
is: a crowd (crowd.py) on each host uses one store, and TOP/NUMBER has what it said.
"""
from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import List

from support import crowd
from support.small_registry import SmallRegistry

SERVER, HOSTS = 0, (1, 2)
MODULES = Path("/usr/lib/uml/modules")
TUNSETIFF, TAP, NO_HEADER = 0x400454CA, 0x0002, 0x1000

#: What every host does first: its mounts and its network, in which this machine is between them.
BEGIN = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONPATH={tests} PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for each in tmp run var/lib/nfs; do mount -t tmpfs $each /$each; done
number=$(sed -n 's/.*host=\\([0-9]*\\).*/\\1/p' /proc/cmdline)
cd {top}/$number; exec >log 2>&1
hostname node$number; ip link set lo up; ip addr add 192.168.7$number.2/24 dev vec0
ip link set vec0 up; ip route add default via 192.168.7$number.1
"""

SERVE = """
modprobe -d {top} nfsd; mount -t nfsd nfsd /proc/fs/nfsd; mount -t rpc_pipefs rpc /run
mkdir -p /var/lib/nfs/v4recovery /tmp/served; touch /var/lib/nfs/etab /var/lib/nfs/rmtab
echo 10 >/proc/fs/nfsd/nfsv4gracetime; echo 10 >/proc/fs/nfsd/nfsv4leasetime
mount /dev/ubda /tmp/served; mkdir -p /tmp/served/store; chown {uid}:{gid} /tmp/served /tmp/served/store
rpc.mountd -N 3; exportfs -o rw,fsid=0,no_root_squash,no_subtree_check,sec=sys '*:/tmp/served'
rpc.nfsd -N 3 -V 4.2 8 && echo serving >serving
until [ -e {top}/stop ]; do sleep 1; done
rpc.nfsd 0; umount /tmp/served
"""

#: The crowd as an ordinary user.
WORK = """
until [ -e {top}/{server}/serving ]; do sleep 1; done
modprobe -d {top} nfsv4
mount -t nfs4 -o vers=4.2,retry=1 192.168.7{server}.2:/ {top}/mounted && grep nfs4 /proc/mounts >mount
socat TCP-LISTEN:{port},bind=127.0.0.1,fork,backlog=100 TCP:192.168.7$number.1:{port} &
first=$(((number - 1) * {processes}))
for one in $(seq $first $((first + {processes} - 1))); do
    setpriv --reuid {uid} --regid {gid} --clear-groups {python} {crowd} {top}/mounted/store \\
        127.0.0.1:{port} $one {rounds} >$one.json 2>$one.error & waited="$waited $!"
done
for one in $waited; do wait $one || echo "one failed"; done
if [ $number = 2 ]; then
    until [ -e {top}/1/ended ]; do sleep 1; done
    setpriv --reuid {uid} --regid {gid} --clear-groups {python} {crowd} {top}/mounted/store >faults 2>&1
fi
umount {top}/mounted; echo ended >ended
"""

END = """
sync; echo o >/proc/sysrq-trigger; sleep 60
"""


def prepare(top: Path, port: int, processes: int, rounds: int) -> None:
    owner = (top / "disk").stat()
    (top / "lib/modules").mkdir(parents=True)
    for version in MODULES.iterdir():
        (top / "lib/modules" / version.name).symlink_to(version)
    for name in ("mounted", *map(str, (SERVER, *HOSTS))):
        (top / name).mkdir()
        os.chown(top / name, owner.st_uid, owner.st_gid)
    for number in (SERVER, *HOSTS):
        script = top / f"host{number}"
        script.write_text((BEGIN + (WORK if number else SERVE) + END).format(
            top=top, port=port, processes=processes, rounds=rounds, uid=owner.st_uid,
            gid=owner.st_gid, python=sys.executable, crowd=crowd.__file__, server=SERVER,
            tests=Path(__file__).parent.parent))
        script.chmod(0o755)


def start_host(top: Path, number: int, port: int) -> "List[subprocess.Popen[bytes]]":
    """A host, at the other end of a network device, and what leads it to the registry."""
    owner = (top / "disk").stat()
    device, name = os.open("/dev/net/tun", os.O_RDWR), f"tap{number}"
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP | NO_HEADER))
    subprocess.run(["ip", "addr", "add", f"192.168.7{number}.1/24", "dev", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    with open(top / f"console{number}", "wb") as console:
        host = subprocess.Popen(
            ["linux.uml", "mem=2G", "rootfstype=hostfs", "rootflags=/", "rw", f"init={top}/host{number}",
             *([f"ubd0={top}/disk"] if number == SERVER else []), f"vec0:transport=fd,fd={device},vec=0", "con=null", "con0=null,fd:1", f"host={number}"],
            pass_fds=[device], user=owner.st_uid, group=owner.st_gid, extra_groups=[],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": "/dev/shm", "HOME": str(top / str(number))})
    os.close(device)
    relay = subprocess.Popen(
        ["socat", f"TCP-LISTEN:{port},bind=192.168.7{number}.1,fork,backlog=100",
         f"TCP:127.0.0.1:{port}"])
    return [host, relay]


def main() -> None:
    top, processes, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    with SmallRegistry() as small:
        crowd.fill(small)
        prepare(top, small.port, processes, rounds)
        server, *hosts = [start_host(top, number, small.port) for number in (SERVER, *HOSTS)]
        for host, _ in hosts:
            host.wait()
        (top / "stop").touch()
        server[0].wait()
        for _, relay in (server, *hosts):
            relay.terminate()
            relay.wait()


if __name__ == "__main__":
    main()
