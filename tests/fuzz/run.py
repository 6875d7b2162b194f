"""Whatever reads bytes that others may have made, fuzzed: `run.py [SECONDS [TARGET...]]`.

Each target runs for SECONDS (60) and begins with seeds that a small container and a small
image give, and with tests/fuzz/corpus/TARGET, what was found once: the core (core.c) under
libFuzzer, AddressSanitizer and UBSan; the readers in Python (readers.py) under Atheris. What
is found stays in the directory that is named. `make fuzz` sets up what this needs.
"""
from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Dict, List

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from lpmx_runtime.container import Container, Options  # noqa: E402
from lpmx_runtime.errors import ContainerUnknown  # noqa: E402
from lpmx_runtime.image.build_sif import build_sif  # noqa: E402
from lpmx_runtime.image.bundle import bundle  # noqa: E402
from lpmx_runtime.image.save import FORMS, save  # noqa: E402
from lpmx_runtime.image.squashfs_writer import write_squashfs  # noqa: E402
from lpmx_runtime.store import Image  # noqa: E402
from support import layers  # noqa: E402
from support.made import make_image  # noqa: E402
from support.sif import SQUASHFS, oci_sif  # noqa: E402
from union.bare import Bare  # noqa: E402
from union.hosted import HERE as UNION  # noqa: E402
from union.hosted import hosted  # noqa: E402
from union.scenes import image  # noqa: E402

CORE = ["INDEX", "CONTROL", "VIEW", "PATHS"]
READERS = ["reference", "manifest", "config", "challenge", "said", "logins", "compressed",
           "archive", "singularity", "overlay", "layer", "entry_list", "index", "tar_recipe"]

PATHS = ["/etc/../etc/./hosts", "/links/loop1/x", "links/up/links/chain", "/tmp/link/hosts",
         "/moved/a/b/c/leaf", "//./..//data/h1/", "/proc/self/cwd/etc", "/proc/self/root/../etc"]
CHALLENGES = ['Bearer realm="https://auth.docker.io/token",service="x",scope="repository:a/b:pull"',
              'Negotiate YWJjZA==, Basic realm="a \\"b\\", c" , charset="UTF-8"']
REFERENCES = ["ubuntu:18.04", "ghcr.io/acme/solver:2.4", "localhost:5000/a/b_c--d@sha256:" + "1" * 64]
LOGINS = {"auths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}, "ghcr.io/a": {"identitytoken": "t"}},
          "credHelpers": {"docker.io": "none"}, "credsStore": "none"}


def live_in(bare: Bare) -> None:
    """Some changes, so that the upper has whatever it can have."""
    with bare.view() as view:
        view.unlink("/etc/conf.d/a")
        view.symlink("../etc", "/tmp/link")
        view.rename("/deep", "/moved")
        view.write("/etc/hosts", b"changed")
        view.environment_set("A", "live")
        view.exec_map_set("/usr/bin/x", "host:/bin/true")


def seeds_of(bare: Bare) -> Dict[str, List[bytes]]:
    """For each target something of what it reads."""
    tar = layers.tar(layers.directory(b"etc"), layers.file(b"etc/hosts", b"hosts"),
                     layers.link(b"etc/names", b"etc/hosts"))
    made = make_image(bare.store, "seed:1", tar, config={"Cmd": ["sh"], "Env": ["A=1"]})
    manifest = b"".join(bare.store.blobs.open(made.digest))
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    index = {"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
                            "digest": made.digest, "platform": each} for each in platforms]}
    small = b"lpmx-view 1\0kind\0container\0layer\0/\0uid\0" + b"0\0bind\0rw\0/proc\0/proc\0"
    lists = [bare.store.layers.entries(diff_id) for diff_id in (*bare.diff_ids, *made.diff_ids)]
    return {
        "INDEX": [bare.index.read_bytes()],
        "CONTROL": [b"\1\0\0\0" + bytes(8), b"\x21\0\0\0\xff\xff\x7f\0\0\0\0\0" * 2],
        "VIEW": [bare.file.read_bytes(), small],
        "PATHS": [path.encode() for path in PATHS],
        "reference": [name.encode() for name in REFERENCES],
        "manifest": [manifest, json.dumps(index).encode()],
        "config": [b"".join(bare.store.blobs.open(made.config_digest))],
        "challenge": [header.encode() for header in CHALLENGES],
        "said": [b'{"errors": [{"code": "DENIED", "message": "no \\u001b[1m", "detail": {}}]}'],
        "logins": [json.dumps(LOGINS).encode()],
        "compressed": [gzip.compress(tar), tar],
        "archive": [tar, *(b"".join(save(bare.store, ["seed:1"], form=form)) for form in FORMS),
                    b"".join(bundle(bare.store, [_container(bare, made)]))],
        "singularity": [b"".join(build_sif(bare.store, made)), _oci_sif(tar)],
        "overlay": [_overlay()],
        "layer": [tar, _layer()],
        "entry_list": [path.read_bytes() for path in lists],
        "index": [bare.index.read_bytes()],
        "tar_recipe": [path.with_name("recipe").read_bytes() for path in lists],
    }


def _container(bare: Bare, made: Image) -> Container:
    try:
        return Container.open(bare.store, "seed")
    except ContainerUnknown:
        container = Container.create(bare.store, made, name="seed", options=Options(contain=True))
        with container.view() as view:
            view.unlink("/etc/names")
        return container


def _layer() -> bytes:
    """Something of everything that a layer may say."""
    return layers.tar(
        layers.file(b"usr/lib/.wh..wh..opq"), layers.file(b"usr/.wh.gone"),
        layers.symlink(b"lib", b"usr/lib"), layers.file(b"lib/x", b"x"),
        layers.link(b"y", b"lib/x"), layers.file(b"y", b"again"), layers.directory(b"lib/x"),
        layers.header(b"null", kind=tarfile.CHRTYPE, major=1, minor=3),
        layers.gnu_long(b"n" * 150), layers.file(b"n", b"long"))


def _oci_sif(tar: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        file = io.BytesIO()
        write_squashfs(file, io.BytesIO(tar))
        return oci_sif(Path(place, "sif"), [
            (SQUASHFS, file.getvalue()), ("application/vnd.oci.image.layer.v1.tar", tar),
            ("application/vnd.sylabs.image.layer.v1.ext3", _overlay())], {"Cmd": ["sh"]}).read_bytes()


def _overlay() -> bytes:
    """A small ext3 file system with something of each kind."""
    with tempfile.TemporaryDirectory() as place:
        upper = Path(place, "tree/upper")
        (upper / "etc").mkdir(parents=True)
        (upper / "etc/new").write_bytes(b"new" * 1000)
        (upper / "link").symlink_to("etc/" + "x" * 70)
        os.mknod(upper / "gone", stat.S_IFCHR | 0o600, 0)
        os.setxattr(upper / "etc", "user.overlay.opaque", b"y")
        path = Path(place, "system")
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-N", "16", "-O",
                        "^has_journal", "-d", f"{place}/tree", path, "96K"], check=True,
                       stdout=subprocess.DEVNULL,
                       env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
        return path.read_bytes()


def variables(bare: Bare) -> Dict[str, str]:
    """What the core's targets are told."""
    return {"LPMX_FUZZ_VIEW": str(bare.file), "LPMX_FUZZ_CONTROL": str(bare.control)}


def _program(target: str) -> List[str]:
    if target in READERS:
        return [sys.executable, str(HERE / "readers.py"), target]
    return [str(hosted(os.path.relpath(HERE / "core.c", UNION), compiler="clang",
                       sanitize="address,undefined,fuzzer-no-link",
                       options=[f"-DTARGET={target}", "-fsanitize=fuzzer", "-w"]))]


def fuzz(bare: Bare, target: str, seeds: List[bytes], seconds: int) -> bool:
    """Whether nothing was found; says so."""
    found = Path(tempfile.mkdtemp(prefix=f"lpmx-fuzz-{target}-"))
    corpus = found / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    for known in (HERE / "corpus" / target).glob("*"):
        shutil.copy(known, corpus)
    with (found / "log").open("w") as log:
        code = subprocess.run(
            [*_program(target), f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=10",
             "-rss_limit_mb=4096", f"-artifact_prefix={found}/", str(corpus)],
            stdout=log, stderr=log, cwd=found,
            env={**os.environ, **variables(bare), "UBSAN_OPTIONS": "print_stacktrace=1"}).returncode
    runs = re.search(r"number_of_executed_units: (\d+)",
                     (found / "log").read_text(errors="replace"))
    done = int(runs.group(1)) if runs else 0
    good = not code and done > 0
    print(f"{target}: {done:,} executions: {'nothing found' if good else found}", flush=True)
    if good:
        shutil.rmtree(found)
    return good


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with Bare(image()) as bare:
        seeds = seeds_of(bare)
        live_in(bare)
        good = [fuzz(bare, target, seeds[target], seconds)
                for target in sys.argv[2:] or [*CORE, *READERS]]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
