"""What a container costs a program on the GPU: bare, and in containers, side by side.

    python benchmarks/gpu.py [--rounds N] [--image REFERENCE] [--write]

`tests/gpu/compute.py` goes to the GPU by the driver alone. What is `frameworks` below needs PyTorch
on this machine and is left out where there is none: it runs in this machine's own files, contained and not.
Rounds go through all columns in turn. A cell is the median of its ratios to bare in the same round,
and in brackets their quartiles. --image: one of the store with Python, whose column is the last of
the first table. Every result is compared with the bare one. --write puts the tables into
benchmarks/README.md.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
BEGIN, END = "<!-- gpu.py writes this -->\n", "<!-- to there, gpu.py -->\n"
COMPUTE = (HERE.parent / "tests" / "gpu" / "compute.py").read_text()

FRAMEWORKS = '''
import json, time
start = time.perf_counter()
import torch
seconds = {"import of PyTorch": time.perf_counter() - start}

def timed(name, times, work):
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        result = work()
    torch.cuda.synchronize()
    seconds[name] = time.perf_counter() - start
    return result

torch.manual_seed(1)
large = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
large @ large
timed("50 products of 4096 x 4096", 50, lambda: large @ large)
small = torch.zeros(16, device="cuda")
timed("5000 small kernels", 5000, lambda: small.add_(1))
model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1)).cuda()
optimizer = torch.optim.Adam(model.parameters())
given, wanted = torch.randn(4096, 64, device="cuda"), torch.randn(4096, 1, device="cuda")

def step():
    optimizer.zero_grad()
    loss = ((model(given) - wanted) ** 2).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())

step()
loss = timed("200 steps of training", 200, step)
numbers = torch.utils.data.TensorDataset(torch.arange(65536.))
loader = torch.utils.data.DataLoader(numbers, batch_size=64, num_workers=2)
total = timed("data from two processes", 1, lambda: sum(float(batch[0].sum().cuda()) for batch in loader))
print(json.dumps({"seconds": seconds, "result": [float(small.sum()), round(loss, 6), total]}))
'''

#: What compute.py calls its times, and what they are.
TIMES = {"launches": "1000 small kernels", "copies": "20 copies of 64 MiB there and back",
         "kernel": "one large kernel"}


def run(command: Sequence[str], program: str) -> Dict[str, Any]:
    """One run: `result`, which must be the same in every column, and `seconds` by row."""
    began = time.perf_counter()
    done = subprocess.run([*command, "python3", "-c", program], stdout=subprocess.PIPE, text=True)
    whole = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command) or 'bare'}: ended with {done.returncode}")
    printed = json.loads(done.stdout)
    if "seconds" not in printed:
        printed = {"seconds": {name: printed[key] for key, name in TIMES.items()},
                   "result": [printed["sum"], printed["wrong"], printed["device"]]}
    printed["seconds"]["all, with its start"] = whole
    return printed


def measured(columns: Dict[str, List[str]], program: str, rounds: int) -> List[str]:
    """The lines of a table. One round more goes before, for the caches, and does not count."""
    seconds: Dict[str, Dict[str, List[float]]] = {}
    for number in range(-1, rounds):
        results = set()
        for column, command in columns.items():
            one = run(command, program)
            results.add(json.dumps(one["result"]))
            for row, value in one["seconds"].items() if number >= 0 else ():
                seconds.setdefault(row, {}).setdefault(column, []).append(value)
        if len(results) != 1:
            raise SystemExit(f"results differ: {results}")
    lines = ["| | bare, s | " + " | ".join(list(columns)[1:]) + " |",
             "|---|--:|" + "--:|" * (len(columns) - 1)]
    for row, by_column in seconds.items():
        bare = by_column["bare"]
        cells = [_cell([value / other for value, other in zip(values, bare)])
                 for column, values in by_column.items() if column != "bare"]
        lines.append(f"| {row} | {statistics.median(bare):.4f} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(ratios: List[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _device() -> str:
    done = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                          stdout=subprocess.PIPE, text=True, check=True)
    name, driver = done.stdout.splitlines()[0].split(", ")
    return f"{name}, driver {driver}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", default="")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()

    ours = {"bare": [], "the machine's files, preload": ["lpmx", "run", "host"],
            "the machine's files, trap only": ["lpmx", "run", "--no-preload", "host"]}
    image = {given.image: ["lpmx", "run", given.image]} if given.image else {}
    lines = [f"{given.rounds} rounds, {time.strftime('%Y-%m-%d')}, {_device()}, Linux "
             f"{platform.release()}, glibc {platform.libc_ver()[1]}, {os.cpu_count()} cores, "
             f"as {'root' if os.getuid() == 0 else 'an ordinary user'}.", ""]
    lines += measured({**ours, **image}, COMPUTE, given.rounds)
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its table is left out", file=sys.stderr)
    else:
        lines += measured(ours, FRAMEWORKS, given.rounds)
    print("\n".join(lines))
    if given.write:
        before, _, rest = README.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        README.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


if __name__ == "__main__":
    main()
