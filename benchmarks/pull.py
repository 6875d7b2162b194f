"""Pulling, side by side: ours, and skopeo with umoci, from one registry on loopback.

    python benchmarks/pull.py [--image NAME] [--count N]

NAME is one of the test images. Each way ends with a root file system that a
program can be started in; the order changes from round to round, and the table
has the best round of each, in seconds. Ratios mean something, seconds little.
"""
from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import images  # noqa: E402
from support.registry import Registry  # noqa: E402


class Times(NamedTuple):
    wall: float
    processor: float


def measure(work: Callable[[str, Path], None], reference: str, scratch: Path) -> Times:
    """Wall and processor seconds of the children that `work` runs."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work(reference, scratch)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Times(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def run(*command: object, **environment: str) -> None:
    subprocess.run([str(word) for word in command], check=True, env={**os.environ, **environment},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lpmx(reference: str, scratch: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / "lpmx"
    run(program, "pull", "-q", reference, LPMX_STORE=str(scratch / "store"))


def skopeo_and_umoci(reference: str, scratch: Path) -> None:
    run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{reference}",
        f"oci:{scratch}/layout:1")
    run("umoci", "unpack", "--rootless", "--image", f"{scratch}/layout:1", scratch / "bundle")


WAYS: Dict[str, Callable[[str, Path], None]] = {
    "lpmx pull": lpmx, "skopeo copy, umoci unpack": skopeo_and_umoci}


def main() -> None:
    parser = argparse.ArgumentParser(description="compare ways to pull an image")
    parser.add_argument("--image", default="layered", choices=sorted(images.RECIPES))
    parser.add_argument("--count", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    built = images.Cache().get(arguments.image)
    results: Dict[str, List[Times]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(prefix="lpmx-bench-") as directory:
        registry = Registry(Path(directory) / "registry")
        try:
            reference = registry.push(f"oci:{built.layout}:{built.reference}", "bench/image")
            for number in range(arguments.count):
                for name in list(WAYS) if number % 2 else list(WAYS)[::-1]:
                    scratch = Path(directory) / "scratch"
                    scratch.mkdir()
                    results[name].append(measure(WAYS[name], reference, scratch))
                    images.remove(scratch)
        finally:
            registry.close()
    print(f"{'':28}{'wall':>8}{'processor':>12}")
    for name, times in results.items():
        print(f"{name:28}{min(t.wall for t in times):8.2f}{min(t.processor for t in times):12.2f}")


if __name__ == "__main__":
    main()
