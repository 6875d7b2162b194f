"""Imports and includes point one way (ARCHITECTURE.md, "Code map")."""
from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Dict, Iterator, Set, Tuple

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent

#: part -> the other parts that it may import; errors, light, progress and settings are everybody's.
MAY_IMPORT: Dict[str, Set[str]] = {
    "lpmx_runtime": set(),
    "lpmx_runtime.errors": set(),
    "lpmx_runtime.light": set(),
    "lpmx_runtime.progress": set(),
    "lpmx_runtime.settings": {"lpmx_runtime.errors"},
    "lpmx_runtime._native": set(),
    "lpmx_runtime.oci": set(),
    "lpmx_runtime.registry": {"lpmx_runtime.oci"},
    "lpmx_runtime.store": {"lpmx_runtime.oci"},
    "lpmx_runtime.container": {"lpmx_runtime.oci", "lpmx_runtime.store", "lpmx_runtime._native"},
    "lpmx_runtime.image": {"lpmx_runtime.oci", "lpmx_runtime.registry", "lpmx_runtime.store",
                           "lpmx_runtime.container", "lpmx_runtime._native"},
    "lpmx_runtime.environment": set(),
    "lpmx_runtime.compose": {"lpmx_runtime.store", "lpmx_runtime.container",
                             "lpmx_runtime.image"},
    "lpmx_runtime.check": {"lpmx_runtime.container", "lpmx_runtime.store",
                           "lpmx_runtime._native"},
    "lpmx_runtime.cli": {"lpmx_runtime.*"},
    "lpmx_runtime.__main__": {"lpmx_runtime.cli"},
    "lpmx_jupyter": {"lpmx_runtime.*"},
}
EVERYBODYS = {"lpmx_runtime", "lpmx_runtime.errors", "lpmx_runtime.light", "lpmx_runtime.progress",
              "lpmx_runtime.settings"}

#: What runs inside containers: any Python from 3.6 on, and nothing but it.
CONTAINED = CHECKOUT / "lpmx_jupyter" / "contained"
CONTAINED_MAY_IMPORT = {"IPython", "ipykernel", "lpmx_contained", "traitlets"}

CONNECTING = {"http", "requests", "socket", "ssl", "urllib", "urllib3"}
DOING_IO = CONNECTING | {"glob", "io", "mmap", "os", "shutil", "subprocess", "sys", "tempfile"}


def part_of(module: str) -> str:
    """The part a module belongs to: a package or module right below lpmx_runtime, or a package."""
    words = module.split(".")
    if words[0] == "lpmx_runtime":
        return ".".join(words[:2])
    return words[0]


def python_files(top: str) -> Iterator[Path]:
    for path in sorted((CHECKOUT / top).rglob("*.py")):
        if CONTAINED not in path.parents:
            yield path


def module_of(path: Path) -> Tuple[str, ...]:
    names = path.relative_to(CHECKOUT).with_suffix("").parts
    return names[:-1] if names[-1] == "__init__" else names


def imports(path: Path) -> Iterator[Tuple[str, int]]:
    """Absolute names of what a file imports, wherever in it, with the line."""
    package = path.relative_to(CHECKOUT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[:len(package) - node.level]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            for name in node.names:
                inner = CHECKOUT.joinpath(*module.split("."), name.name)
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                yield f"{module}.{name.name}" if is_module else module, node.lineno


FILES = [*python_files("lpmx_runtime"), *python_files("lpmx_jupyter")]


def identify(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_import_points_the_right_way(path: Path) -> None:
    """A part imports only what lies below it, so each can be read, and tested, without the rest."""
    own = part_of(".".join(module_of(path)))
    assert own in MAY_IMPORT, f"{own} is new: say in MAY_IMPORT what it may import"
    allowed = MAY_IMPORT[own] | {own} | (EVERYBODYS if own.count(".") or own == "lpmx_jupyter"
                                         else set())
    if "lpmx_runtime.*" in allowed:
        allowed |= {part for part in MAY_IMPORT if part.startswith("lpmx_runtime")}

    wrong = [f"line {line}: {name}" for name, line in imports(path)
             if name.split(".")[0] in ("lpmx_runtime", "lpmx_jupyter")
             and part_of(name) not in allowed]

    assert [] == wrong


@pytest.mark.parametrize("path", [*python_files("lpmx_runtime/oci")], ids=identify)
def test_oci_is_pure(path: Path) -> None:
    """The rules of names and documents open no file and no socket."""
    assert [] == [name for name, _ in imports(path) if name.split(".")[0] in DOING_IO]


def test_only_the_registry_opens_connections() -> None:
    """Being offline is a property of one directory."""
    connecting = {path.relative_to(CHECKOUT).parts[1] for path in FILES
                  for name, _ in imports(path)
                  if name.split(".")[0] in CONNECTING and path.parts[-2] != "oci"
                  and not name.startswith("urllib.parse")
                  and path.relative_to(CHECKOUT).parts[0] == "lpmx_runtime"
                  and not only_needs_the_host_name(path, name)}

    assert connecting == {"registry"}


def only_needs_the_host_name(path: Path, name: str) -> bool:
    """`socket.gethostname` asks nobody but the kernel."""
    used = set(re.findall(r"\bsocket\.(\w+)", path.read_text()))
    return name == "socket" and used == {"gethostname"}


@pytest.mark.parametrize("path", sorted(CONTAINED.rglob("*.py")), ids=identify)
def test_what_runs_in_containers_needs_only_their_python(path: Path) -> None:
    """An image has no packages of ours, and may have Python 3.6."""
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    names = {name.split(".")[0] for node in ast.walk(tree)
             for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                          else [node.module or ""] if isinstance(node, ast.ImportFrom)
                          and not node.level else [])}

    assert names <= set(sys.stdlib_module_names) - {"__future__"} | CONTAINED_MAY_IMPORT


#: directory of native/ -> others whose headers it may include; include/ and sys/ are everybody's.
MAY_INCLUDE = {
    "core": set(),
    "trap": {"core", "loader"},
    "loader": {"core", "trap"},
    "preload": {"core"},
    "tool": {"core"},
    "front": {"core"},
    "sys": set(),
    "include": set(),
}
FREESTANDING = {"stdarg.h", "stddef.h", "stdint.h"}
KERNELS = ("asm/", "asm-generic/", "linux/")
NATIVE_FILES = sorted(path for path in (CHECKOUT / "native").glob("*/*.[chS]")
                      if path.parent.name != "build")


@pytest.mark.parametrize("path", NATIVE_FILES, ids=identify)
def test_include_points_the_right_way(path: Path) -> None:
    """The core knows none of its callers, and no header of a C library is used anywhere."""
    place = path.parent.name
    for kind, name in re.findall(r'^#\s*include\s*([<"])([^>"]+)', path.read_text(), re.MULTILINE):
        if kind == "<":
            assert name in FREESTANDING or name.startswith(KERNELS), f"{name} is a C library's"
        elif "/" in name:
            other = name.split("/")[-2]
            assert other in MAY_INCLUDE[place] | {"include", "sys"}, f"{place} includes {name}"
        else:
            there = [path.parent / name, CHECKOUT / "native" / "include" / name]
            assert any(each.exists() for each in there), f"{name} is neither here nor in include/"


def test_only_sys_holds_system_call_instructions() -> None:
    """Another architecture is another file of sys/ and another entry of each program."""
    holding = {identify(path) for path in NATIVE_FILES
               if re.search(r"\bsyscall\b|\bsvc\s+#0", re.sub(r"/\*.*?\*/|//[^\n]*", "",
                                                             path.read_text(), flags=re.DOTALL))}

    assert holding <= {"native/sys/sys_x86_64.h", "native/sys/sys_aarch64.h",
                       "native/trap/entry_x86_64.S", "native/trap/entry_aarch64.S",
                       "native/loader/start_x86_64.S", "native/sys/start_x86_64.S",
                       "native/sys/start_aarch64.S"}
    assert "native/sys/sys_x86_64.h" in holding


def constants(path: Path) -> Dict[str, int]:
    """The numbers that a module gives names to."""
    found: Dict[str, int] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            [target] = node.targets
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            found.update((name.id, value.value) for name, value in zip(names, values)
                         if isinstance(name, ast.Name) and isinstance(value, ast.Constant))
    return found


def test_numbers_by_which_python_asks_the_core_are_those_of_its_header() -> None:
    """A kernel that knew another version of the core would follow no variable any more."""
    header = (CHECKOUT / "native" / "include" / "lpmx_abi.h").read_text()
    defined = {name: int(value, 0) for name, value in
               re.findall(r"(?:#define )?LPMX_(\w+)(?: =)? (0x[0-9a-f]+|[0-9]+)\b", header)}

    kernels = constants(CONTAINED / "lpmx_contained" / "core.py")
    programs = constants(CHECKOUT / "lpmx_runtime" / "environment.py")

    operations = {f"_{name[3:]}": value for name, value in defined.items() if name.startswith("OP_")}
    assert {"_CALL": defined["SYSCALL"], "_ABI_VERSION": defined["ABI_VERSION"]}.items() <= kernels.items()
    assert {name: operations[name] for name in ("_ENTRY", "_ENV_SET", "_ENV_UNSET", "_ENV_LIST", "_NAME",
                                                "_HOST_PATH", "_DIRECTORY")}.items() <= kernels.items()
    assert (defined["SYSCALL"], operations["_ENV_LIST"]) == (programs["_CALL"], programs["_LIST"])
