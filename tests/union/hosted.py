"""Programs around the hosted core: the same core in an ordinary program (native/Makefile)."""
from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Sequence, Tuple

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parent.parent / "native"

_BUILT: Dict[Tuple[str, ...], Path] = {}
_PLACE: Dict[str, Path] = {}


def _place() -> Path:
    """Where everything is built in this session."""
    if not _PLACE:
        place = Path(tempfile.mkdtemp(prefix="lpmx-hosted-", dir=os.environ.get(
            "LPMX_TEST_SCRATCH", "/var/tmp")))
        place.chmod(0o755)
        atexit.register(shutil.rmtree, place, True)
        _PLACE[""] = place
    return _PLACE[""]


def hosted(source: str, *, sanitize: str = "", compiler: str = "gcc",
           options: Sequence[str] = ()) -> Path:
    """`source` of this directory, linked with the core, both under the same sanitizers."""
    key = (source, sanitize, compiler, *options)
    if key not in _BUILT:
        place = _place() / compiler
        subprocess.run(["make", "-s", "-C", str(NATIVE), "hosted", f"CC={compiler}",
                        f"BUILD={place}", f"SANITIZE={sanitize}"], check=True)
        objects = place / "-".join(["hosted", *[s for s in sanitize.split(",") if s]])
        program = place / f"{Path(source).stem}-{len(_BUILT)}"
        checks = [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"] if sanitize else []
        subprocess.run([compiler, "-O1", "-g", "-pthread", f"-I{NATIVE}/include",
                        "-D_GNU_SOURCE", "-DLPMX_SYS_HOOK", *checks, *options, "-o", str(program),
                        str(HERE / source), str(objects / "core.a")], check=True)
        _BUILT[key] = program
    return _BUILT[key]
