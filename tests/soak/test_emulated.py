"""On aarch64, emulated: the programs of tests/programs bare and in views, and `lpmx` from load to commit."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from integration.test_confined import WORK
from programs.test_programs import HERE, PROGRAMS, VIEWS
from support import emulated

from .conftest import Record

#: How programs are linked there -> what the compiler is told; there is no musl for it.
LINKINGS = {"dynamic": (), "static": ("-static",), "static-pie": ("-static-pie",), "fixed-address": ("-no-pie",)}

#: Not there: call sites are rewritten on x86-64 only.
CASES = {name: [each for each in linkings if each in LINKINGS] for name, linkings in PROGRAMS if name != "sites"}

SCRIPT = r"""
for view in container preload; do mkdir -p /tmp/$view/upper /tmp/$view/work; done
mkdir data; cd data; echo hello >present; ln -s present link; printf '\001\002\003 not a program\n' >junk
printf '#!/nonexistent/interpreter\n' >orphan; printf '#!/bin/echo the first\n' >script
printf '#!/bin/echo   one  argument \nx\n' >chain1; chmod 755 junk orphan script chain1
begin() {
    program=$1; shift
    env -i PATH=$PATH HOME=/nonexistent LC_ALL=C "$@" timeout 1500 \
        busybox sh -c 'exec -a "$0" "$@"' $program ${loader:-$program} one two </dev/null 2>&1
    echo "code $?"
}
for program in /programs/*; do
    begin $program | busybox sed 's,/proc/[0-9]*/,/proc/PID/,g' >/tmp/bare
    for view in host container preload; do
        loader=/lpmx/loader begin $program LPMX_VIEW=/lpmx/$view LPMX_PROGRAM=$program |
            busybox sed 's,/proc/[0-9]*/,/proc/PID/,g' >/tmp/got
        if cmp -s /tmp/bare /tmp/got; then echo "same $(wc -l </tmp/got)"
        else echo "differs: $program $view"; diff /tmp/bare /tmp/got | head -n 12; fi
    done
done
"""


@pytest.fixture(scope="module")
def machine(images: Any) -> emulated.Machine:
    return emulated.Machine(images.get("emulated").tar)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> emulated.Built:
    return emulated.Built(HERE.parent.parent, tmp_path_factory.mktemp("aarch64"))


def native(built: emulated.Built) -> Dict[str, Tuple[bytes, int]]:
    return {f"lpmx/{name}": (built.part(name), 0o755) for name in ("loader", "preload.so", "lpmx", "gdbinit")}


@pytest.mark.parametrize("name", CASES)
def test_program_prints_what_it_prints_bare(machine: emulated.Machine, built: emulated.Built, record: Record,
                                            name: str) -> None:
    """Of each kind of linking, with everything trapped, in a container, and with the preload library."""
    files = native(built)
    files.update({f"lpmx/{kind}": (emulated.view(kind, f"/tmp/{kind}"), 0o644)
                  for kind in ("host", "container")})
    files["lpmx/preload"] = (emulated.view("container", "/tmp/preload", preload="/lpmx/preload.so"), 0o644)
    for linking in CASES[name]:
        files[f"programs/{name}.{linking}"] = (built.program(HERE / f"{name}.c", *LINKINGS[linking]), 0o755)

    said = machine.run(SCRIPT, files)

    lengths = [int(each) for each in re.findall(r"^same (\d+)$", said, re.MULTILINE)]
    expected = len(CASES[name]) * len(VIEWS)
    record("aarch64", f"{name}, {' and '.join(CASES[name])}; host, trap and preload", len(lengths),
           "as bare, emulated" if _are_right(lengths, expected) else said[-300:])
    assert _are_right(lengths, expected), said


def _are_right(lengths: List[int], expected: int) -> bool:
    """All are there, and each has said something besides its exit code."""
    return expected == len(lengths) and min(lengths) > 1


@pytest.fixture(scope="module")
def installation(built: emulated.Built, installed: Any, tmp_path_factory: pytest.TempPathFactory
                 ) -> Iterator[Dict[str, Tuple[bytes, int]]]:
    """lpmx as a wheel would put it there."""
    from lpmx_runtime._native import build
    source = tmp_path_factory.mktemp("core") / "_core.c"
    build.ffibuilder.emit_c_code(str(source))
    at = "usr/lib/python3/dist-packages/lpmx_runtime"
    files = emulated.files_below(installed.package, at)
    for name, part in native(built).items():
        files[f"{at}/_native/{Path(name).name}"] = part
    files[f"{at}/_native/_core.abi3.so"] = (built.module(source), 0o755)
    files["usr/local/bin/lpmx"] = (built.part("front"), 0o755)
    script = (installed.bin / "lpmx-python").read_text().split("\n", 1)[1]
    files["usr/local/bin/lpmx-python"] = (f"#!/usr/bin/python3\n{script}".encode(), 0o755)
    yield files


IMAGE = """
mkdir -p root/bin root/etc root/tmp; cp /bin/busybox root/bin
for each in $(busybox --list); do [ $each = busybox ] || ln -s busybox root/bin/$each; done
echo root:x:0:0:root:/root:/bin/sh >root/etc/passwd; echo root:x:0: >root/etc/group
busybox tar -C root -cf tiny.tar .
lpmx load --name tiny tiny.tar
"""


def test_lpmx_from_load_to_commit(machine: emulated.Machine, installation: Dict[str, Tuple[bytes, int]],
                                  record: Record, loaded: Any, lpmx: Any) -> None:
    """An image is loaded, containers of it do their work, and what they made is an image again."""
    here = lpmx("run", loaded("tiny"), "sh", "-c", WORK, store=loaded.path, check=True).stdout
    files = {**installation, "work": (WORK.encode(), 0o644)}

    said = machine.run(IMAGE + """
lpmx check; echo "== work"; lpmx run tiny sh -c "$(cat /work)"; echo "== more"
lpmx create --name one tiny; lpmx exec one sh -c 'echo kept >/kept'; lpmx commit one two >/dev/null; lpmx rm one
lpmx run two cat /kept; lpmx run host python3 -c 'import os; print(os.uname().machine, os.getpid() > 1)'
lpmx run --no-preload host dash -c 'echo new >/etc/new; cat /etc/new; ls /etc/absent'; ls /etc/new; lpmx images
""", files)

    work = said.partition("== work\n")[2].partition("== more\n")[0]
    more = said.partition("== more\n")[2]
    right = [re.search(r"^ok +trap: ", said, re.MULTILINE), re.search(r"^ok +preload: ", said, re.MULTILINE),
             work == here, "\nkept\naarch64 True\nnew\n" in more, "cannot access '/etc/new'" in more]
    record("aarch64", "lpmx check, load, run, exec, commit", len(right),
           "right, emulated" if all(right) else said[-500:])
    assert all(right), said
