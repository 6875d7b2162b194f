"""A Slurm of one node with a munge of its own, all of it an ordinary user's.

Its daemons are children of ours and need no privilege: jobs are the same user's. Tasks are bound
to the CPUs that they asked for. Jobs run when `running` gives the variables that find it.
"""
from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Dict, Iterator

from .ports import free_ports

CONFIG = """
ClusterName=lpmx
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""
PATIENCE = 60


@contextmanager
def running(place: Path) -> Iterator[Dict[str, str]]:
    """Slurm with its files in `place`: the variables with which its commands find it."""
    for name in ("munge", "state", "spool"):
        (place / name).mkdir(mode=0o700)
    (place / "munge" / "key").write_bytes(os.urandom(1024))
    (place / "munge" / "key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    control, node = free_ports(2)
    (place / "slurm.conf").write_text(CONFIG.format(
        host=host, control=control, node=node, user=getpass.getuser(), place=place, cpus=os.cpu_count()))
    environ = {**os.environ, "SLURM_CONF": str(place / "slurm.conf"),
               "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    with ExitStack() as daemons, open(place / "log", "wb") as log:
        for words in (["munged", "--foreground", "--force", f"--socket={place}/munge.socket",
                       f"--key-file={place}/munge/key", f"--pid-file={place}/munge/pid",
                       f"--log-file={place}/munge/log", f"--seed-file={place}/munge/seed"],
                      ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            child = subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True)
            daemons.callback(_end, child)
        _wait_until_idle(environ, place / "log")
        yield environ


def _wait_until_idle(environ: Dict[str, str], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    said = ""
    while said != "idle":
        if time.monotonic() > deadline:
            raise AssertionError(f"the node is {said or 'not known'}:\n{log.read_text(errors='replace')}")
        said = subprocess.run(["sinfo", "-h", "-o", "%t"], env=environ, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout.strip()
        time.sleep(0.1)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
