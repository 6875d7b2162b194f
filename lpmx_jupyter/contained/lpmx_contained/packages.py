"""`%pip` in a kernel view: packages go into the container, not into the host's Python.

The Python of a kernel view belongs to the host and is read-only here, and the shell
that IPython's own `%pip` starts does not even see it. So pip runs as a child of the
kernel, which stays in the kernel view, and installs into a directory of the container
that comes last in sys.path.
"""
import importlib
import shlex
import subprocess
import sys
from typing import Any, List

PLACE = f"/usr/local/lib/lpmx/python{sys.version_info[0]}.{sys.version_info[1]}"
_ELSEWHERE = ("--target", "-t", "--prefix", "--root", "--user", "--dry-run")


def set_up(shell: Any) -> None:
    """Find what was installed before, and have `%pip` install there."""
    if PLACE not in sys.path:
        sys.path.append(PLACE)
    shell.register_magic_function(pip, magic_kind="line", magic_name="pip")


def pip(line: str) -> None:
    """Run pip for this kernel; packages are installed into the container."""
    words = _with_place(shlex.split(line))
    process = subprocess.Popen([sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    assert process.stdout is not None
    try:
        for text in process.stdout:
            print(text, end="", flush=True)
    finally:
        process.stdout.close()
        code = process.wait()
    importlib.invalidate_caches()
    if code:
        print(f"pip ended with exit code {code}")


def _with_place(words: List[str]) -> List[str]:
    if words[:1] == ["install"] and not any(word.split("=")[0] in _ELSEWHERE for word in words):
        return [words[0], "--target", PLACE, "--upgrade", *words[1:]]
    if words[:1] in (["list"], ["freeze"]) and not any(word.startswith("--path") for word in words):
        return [words[0], *[f"--path={place}" for place in sys.path if place], *words[1:]]
    return words
