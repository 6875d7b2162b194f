"""In a cluster's jobs: a real Slurm, of an ordinary user, on one node."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator

import nbformat
import pytest
from lpmx_runtime.container import Container
from lpmx_runtime.store import Store
from support import slurm
from support.notebooks import Jupyter

from .conftest import Record

#: Number of CPUs, of open files; the job, as a variable and as the host's squeue has it.
ASK = "echo $(nproc) $(ulimit -n) $SLURM_JOB_ID $(lpmx host squeue -h --me -t R -o %i)"


@pytest.fixture
def cluster(tmp_path: Path, loaded: Any) -> Iterator[Dict[str, str]]:
    place = tmp_path / "slurm"
    place.mkdir()
    with slurm.running(place) as environ:
        yield {**environ, "LPMX_STORE": str(loaded.path)}


def limited(*words: str) -> "list[str]":
    """A job of one CPU and 300 open files."""
    return ["sh", "-c", 'ulimit -Sn 300; exec srun -n1 -c1 --mem=100 "$@"', "sh", *words]


def test_containers_in_jobs(jupyter: Jupyter, cluster: Dict[str, str], installed: Any,
                            record: Record) -> None:
    """A job's limits and variables hold in a run and in a notebook, and squeue of the host answers;
    what a cancelled job ran is gone, and its container."""
    run = subprocess.run(limited(str(installed.lpmx), "run", jupyter.loaded("tiny"), "sh", "-c", ASK),
                         env=cluster, stdout=subprocess.PIPE, text=True, timeout=120)
    notebook = jupyter.folder / "job.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell(f"!{ASK}"),
        nbformat.v4.new_code_cell("%lpmx host squeue -h --me -t R -o %i")]), notebook)
    execute = Path(installed.python).parent / "jupyter-execute"
    subprocess.run(limited(str(execute), "--inplace", f"--kernel_name={jupyter.install('tiny')}",
                           str(notebook)), env=cluster, check=True, timeout=300)
    said = ["".join(output["text"] for output in cell.outputs).split()
            for cell in nbformat.read(notebook, as_version=4).cells]
    cancelled = cancel(jupyter, cluster, installed)
    faults = [f"{what}: {words}" for what, words in (("run", run.stdout.split()), ("notebook", said[0]))
              if words[:2] != ["1", "300"] or len(words) != 4 or words[2] != words[3]]
    faults += [] if said[1] == said[0][2:3] else [f"%lpmx host: {said[1]}"]
    faults += cancelled
    record("cluster", "Slurm: a run, a notebook by `jupyter execute`, a cancelled job", 3,
           "; ".join(faults) or "1 CPU and 300 files as the job had; squeue by `lpmx host`; nothing left")

    assert [] == faults


def cancel(jupyter: Jupyter, cluster: Dict[str, str], installed: Any) -> "list[str]":
    """What a job leaves that is cancelled while a program runs in a container."""
    pipe = jupyter.root / "pipe"
    os.mkfifo(pipe)
    script = (f"#!/bin/sh\nexec {installed.lpmx} run --bind {jupyter.root} {jupyter.loaded('tiny')} "
              f"sh -c 'echo begun >{pipe}; exec sleep 1000'\n")
    job = subprocess.run(["sbatch", "--parsable", f"--output={jupyter.root}/job.out"], input=script,
                         env=cluster, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()
    with open(pipe) as reading:
        assert "begun\n" == reading.read()
    [container] = Container.list(Store.open())
    [process, *_] = container.processes()
    subprocess.run(["scancel", job], env=cluster, check=True)
    jupyter.wait_until_clean()
    ended = not Path(f"/proc/{process.pid}").exists()
    return [] if ended else ["a program outlived its job"]
