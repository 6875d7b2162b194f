"""What one getenv of libc costs in a container, by a variable's place among others.

    python benchmarks/variables.py [--rounds N] [--write]

Bare and contained take turns; figures are the least of the rounds, CPU time. --write puts the
table into benchmarks/README.md. Needs gcc.
"""
from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List

from lpmx_runtime.container import Container
from lpmx_runtime.container.launch import PRIVATE
from lpmx_runtime.store import Store

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
BEGIN, END = "<!-- variables.py writes this -->\n", "<!-- up to here -->\n"
COUNT = 2_000_000
#: As a user of a cluster has them.
VARIABLES = dict.fromkeys(
    ("FIRST LANG LOGNAME MAIL MODULEPATH EDITOR HISTSIZE HOSTNAME KRB5CCNAME LESSOPEN LS_COLORS MANPATH "
     "CONDA_EXE CONDA_PREFIX CPATH DISPLAY JUPYTER_PATH LD_LIBRARY_PATH MKL_NUM_THREADS NLTK_DATA "
     "OLDPWD PKG_CONFIG_PATH PWD SCRATCH SHLVL SSH_AUTH_SOCK SSH_CLIENT SSH_CONNECTION SSH_TTY TMPDIR "
     "WORK XDG_DATA_DIRS XDG_RUNTIME_DIR XDG_SESSION_ID _ModuleTable001_ SLURM_JOB_ID SLURM_JOB_NAME "
     "SLURM_NTASKS SLURM_NODELIST OMP_NUM_THREADS").split(), "some value or other")
#: What is asked for, and who asks.
NAMES = {"the first": "FIRST", "the last": "OMP_NUM_THREADS", "one that is not there": "OMP_PROC_BIND"}
WAYS = ("bare", "contained, nothing changed", "contained, another changed", "contained, this one changed")


def cost(program: Path, name: str, container: Container, way: str) -> float:
    """Nanoseconds for one call."""
    words = [str(program), name, str(COUNT)] + (["wait"] if way.endswith(" changed")
                                                and "nothing" not in way else [])
    launch = container.launch(words, env=VARIABLES, entrypoint=False)
    if way == "bare":
        plain = {key: value for key, value in launch.env.items() if key not in PRIVATE}
        return float(subprocess.check_output(words, env=plain))
    with subprocess.Popen(launch.argv, executable=launch.executable, env=launch.env, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        if "wait" in words:
            child.stdout.readline()
            changed = name if "this" in way else "ANOTHER"
            container.environment.set(changed, f"changed {os.urandom(4).hex()}")
        return float(child.communicate("\n")[0])


def measure(rounds: int) -> Dict[str, List[float]]:
    """For each name the least of each way."""
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "variables"
        subprocess.run(["gcc", "-O2", "-o", program, HERE / "variables.c"], check=True)
        store = Store.open(Path(scratch) / "store")
        image = store.images.find("host")
        found: Dict[str, List[float]] = {}
        for what, name in NAMES.items():
            least = [float("inf")] * len(WAYS)
            for _ in range(rounds):
                for at, way in enumerate(WAYS):
                    container = Container.create(store, image)
                    least[at] = min(least[at], cost(program, name, container, way))
                    container.remove(force=True)
            found[what] = least
        return found


def table(found: Dict[str, List[float]]) -> str:
    lines = [f"| getenv, ns | {' | '.join(WAYS)} |", "|---" + "|--:" * len(WAYS) + "|"]
    lines += [f"| {what} | {' | '.join(f'{value:.1f}' for value in values)} |"
              for what, values in found.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text = table(measure(arguments.rounds))
    print(text, end="")
    if arguments.write:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
