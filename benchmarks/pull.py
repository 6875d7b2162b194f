"""From a name to the first command, side by side: ours and others, from one registry on loopback.

    python benchmarks/pull.py [--image NAME] [--rounds N] [--write]

NAME is one of the test images. Of the others those take part that are installed; what
they need beside (namespaces) is theirs. Three times of each: pulled and unpacked, the first
command ended, and once the image is there, a container made, `true` run, and all removed. The order
changes from round to round; the table has the least of each, in seconds, and what the most was
of it, in brackets: how noisy the machine is. Ratios mean something, seconds little.
"""
from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import images  # noqa: E402
from support.registry import Registry  # noqa: E402

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- pull.py writes this -->\n", "<!-- to here too -->\n"


class Times(NamedTuple):
    wall: float
    processor: float


class Failed(Exception):
    """A tool did not do it; the text is what it said last."""


def measure(work: Callable[[], None]) -> Times:
    """Wall and processor seconds of the children that `work` runs."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work()
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Times(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


class Way:
    """One way; `reference` is the image's name, `scratch` an empty directory that is removed."""

    name: str
    #: What must be installed.
    programs: "tuple[str, ...]" = ()

    def __init__(self, reference: str, scratch: Path) -> None:
        self.reference, self.scratch = reference, scratch

    def run(self, *command: object) -> None:
        done = subprocess.run([str(word) for word in command], env={
            **os.environ, "HOME": str(self.scratch), "XDG_RUNTIME_DIR": str(self.scratch),
            "LPMX_STORE": str(self.scratch / "store")}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode:
            raise Failed(f"{command[0]}: {(done.stdout.strip() or 'failed').splitlines()[-1]}")

    def pull(self) -> None:
        """Until programs could run."""
        raise NotImplementedError

    def first(self) -> None:
        """The first command."""
        raise NotImplementedError

    def again(self) -> None:
        """A container made, `true` run, all removed; `pull` is done."""
        raise NotImplementedError


class Lpmx(Way):
    name = "lpmx"

    def pull(self) -> None:
        self.lpmx("pull", "-q", self.reference)

    def first(self) -> None:
        self.again()

    def again(self) -> None:
        self.lpmx("run", "--entrypoint", "", self.reference, "--", "true")

    def lpmx(self, *words: object) -> None:
        self.run(Path(sysconfig.get_path("scripts")) / "lpmx", *words)


class Buildah(Way):
    """As Podman pulls and stores, overlay in a namespace; run without a runtime, which a machine
    may not have."""

    name = "buildah, rootless, overlay"
    programs = ("buildah",)

    def pull(self) -> None:
        self.buildah("from", "-q", "--tls-verify=false", "--name", "first", self.reference)

    def first(self) -> None:
        self.buildah("run", "--isolation", "chroot", "first", "--", "true")

    def again(self) -> None:
        self.buildah("from", "-q", "--pull-never", "--name", "again", self.reference)
        self.buildah("run", "--isolation", "chroot", "again", "--", "true")
        self.buildah("rm", "again")

    def buildah(self, *words: object) -> None:
        self.run("buildah", "--storage-driver", "overlay", "--root", self.scratch / "root",
                 "--runroot", self.scratch / "run", *words)

    def close(self) -> None:
        self.run("buildah", "unshare", "rm", "-rf", self.scratch / "root", self.scratch / "run")


class Podman(Way):
    name = "podman, rootless, overlay"
    programs = ("podman",)

    def pull(self) -> None:
        self.podman("pull", "-q", "--tls-verify=false", self.reference)

    def first(self) -> None:
        self.again()

    def again(self) -> None:
        self.podman("run", "--rm", "--network", "none", "--cgroups", "disabled", self.reference,
                    "true")

    def podman(self, *words: object) -> None:
        self.run("podman", "--storage-driver", "overlay", "--root", self.scratch / "root",
                 "--runroot", self.scratch / "run", "--cgroup-manager", "cgroupfs", *words)

    def close(self) -> None:
        self.podman("system", "migrate")   # ends the process that keeps its namespace
        self.run("unshare", "--user", "--map-root-user", "--map-auto", "rm", "-rf",
                 self.scratch / "root", self.scratch / "run")


class Apptainer(Way):
    """That of the test image with it, in namespaces: Debian's stable releases have none."""

    name = "apptainer, build and exec"
    programs = ("unshare",)
    machine: Path

    def pull(self) -> None:
        self.apptainer("build", "--no-https", "/w/image.sif", f"docker://{self.reference}")

    def first(self) -> None:
        self.again()

    def again(self) -> None:
        self.apptainer("exec", "/w/image.sif", "true")

    def apptainer(self, *words: object) -> None:
        self.run("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", ENTER, "sh",
                 self.machine, self.scratch, "apptainer", *words)

    @classmethod
    def set_up(cls, place: Path) -> None:
        cls.machine = place
        place.mkdir()
        subprocess.run(["tar", "-C", place, "--no-same-owner", "--exclude=./dev/*", "-xf",
                        images.Cache().get("apptainer").tar], check=True)
        for name in ("w", ".old"):
            (place / name).mkdir()
        (place / "etc/hosts").write_text("127.0.0.1 localhost\n")


#: As root of a user namespace, with the directory as its root and the scratch one as /w.
ENTER = """
root=$1; scratch=$2; shift 2; mount --rbind "$root" "$root"
for each in proc sys dev; do mount --rbind /$each "$root/$each"; done
mount --bind "$scratch" "$root/w"; cd "$root"; pivot_root . .old; umount -l /.old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/w TMPDIR=/w LC_ALL=C "$@"
"""


class Umoci(Way):
    name = "skopeo, umoci unpack --rootless, bwrap"
    programs = ("skopeo", "umoci", "bwrap")

    def pull(self) -> None:
        self.run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{self.reference}",
                 f"oci:{self.scratch}/layout:1")
        self.unpack("bundle")

    def unpack(self, name: str) -> None:
        self.run("umoci", "unpack", "--rootless", "--image", f"{self.scratch}/layout:1",
                 self.scratch / name)

    def first(self) -> None:
        self.start("bundle")

    def start(self, name: str) -> None:
        self.run("bwrap", "--unshare-user", "--uid", "0", "--bind", self.scratch / name / "rootfs",
                 "/", "--dev", "/dev", "--proc", "/proc", "true")

    def again(self) -> None:
        self.unpack("again")
        self.start("again")
        images.remove(self.scratch / "again")


class Udocker(Way):
    """Its own programs cannot be had from a package registry: without them it does not run any."""

    name = "udocker, pull and create"
    programs = ("udocker",)

    def pull(self) -> None:
        address, _, rest = self.reference.partition("/")
        (self.scratch / ".udocker/lib").mkdir(parents=True)
        (self.scratch / ".udocker/lib/VERSION").write_text("1.2.11")
        self.run("udocker", "--insecure", "pull", f"--registry=http://{address}", rest)
        self.run("udocker", "create", "--name=first", rest)

    def first(self) -> None:
        raise Failed("its own programs are not here")


WAYS = (Lpmx, Buildah, Podman, Apptainer, Umoci, Udocker)
STEPS = ("pull", "first", "again")


def one_round(kind: "type[Way]", reference: str, scratch: Path) -> "Dict[str, Times | str]":
    """The times of the steps, or why one was not taken, and then none behind it."""
    scratch.mkdir()
    way = kind(reference, scratch)
    found: "Dict[str, Times | str]" = {}
    try:
        for step in STEPS:
            found[step] = measure(getattr(way, step))
    except Failed as error:
        found[step] = str(error)
    finally:
        if isinstance(way, (Buildah, Podman)):
            way.close()
        images.remove(scratch)
    return found


def cell(values: "List[Times | str]", index: int) -> str:
    times = [each[index] for each in values if isinstance(each, Times)]
    if times:
        return f"{min(times):.2f} ({max(times):.2f})"
    return next((f"fails: {each}" for each in values if isinstance(each, str)), "")


def table(results: "Dict[str, List[Dict[str, Times | str]]]") -> str:
    lines = ["| | pulled, wall | CPU | and first command, wall | CPU | create, `true`, remove, wall | CPU |",
             "|---|--:|--:|--:|--:|--:|--:|"]
    for name, rounds in results.items():
        cells = []
        for step in STEPS:
            values: "List[Times | str]" = []
            for each in rounds:
                value = each.get(step, "")
                if step == "first" and isinstance(value, Times) and isinstance(each["pull"], Times):
                    value = Times(*(sum(pair) for pair in zip(each["pull"], value)))
                if value:
                    values.append(value)
            wall, processor = cell(values, 0), cell(values, 1)
            cells += [wall, "" if wall.startswith("fails") else processor]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="compare ways from an image's name to a command")
    parser.add_argument("--image", default="layered", choices=sorted(images.RECIPES))
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    arguments = parser.parse_args()
    built = images.Cache().get(arguments.image)
    ways = [way for way in WAYS if all(shutil.which(program) for program in way.programs)
            and (way is not Apptainer or images.Cache().has("apptainer"))]
    results: "Dict[str, List[Dict[str, Times | str]]]" = {way.name: [] for way in ways}
    registry: Optional[Registry] = None
    with tempfile.TemporaryDirectory(prefix="lpmx-bench-") as directory:
        try:
            if Apptainer in ways:
                Apptainer.set_up(Path(directory) / "machine")
            registry = Registry(Path(directory) / "registry")
            reference = registry.push(f"oci:{built.layout}:{built.reference}", "bench/image")
            for number in range(arguments.rounds):
                for way in ways if number % 2 else ways[::-1]:
                    results[way.name].append(
                        one_round(way, reference, Path(directory) / "scratch"))
        finally:
            if registry is not None:
                registry.close()
    text = table(results)
    print(text)
    if arguments.write:
        before, _, rest = README.read_text().partition(BEGIN)
        README.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
