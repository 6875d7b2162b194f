"""What the documents say is so: links, names, commands, and the README's own session."""
from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(path for path in [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"),
                                     *CHECKOUT.glob("native/*.md")])
#: Where a file that a document names may be.
PLACES = [CHECKOUT, CHECKOUT / "native", CHECKOUT / "lpmx_runtime", CHECKOUT / "lpmx_jupyter",
          CHECKOUT / "docs"]
#: Commands of the README's session that only a person runs.
BY_HAND = ("pip install", "jupyter lab")


def identify(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> List[str]:
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=identify)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link is a file of the repository, and a heading in it if it says so."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (heading and heading not in anchors(file)):
            broken.append(target)

    assert [] == broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=identify)
def test_files_that_are_named_exist(path: Path) -> None:
    """A source file in backquotes is where the document says."""
    names = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|c|h|S|md|list|cdef|ipynb))`", prose(path))

    assert [] == [name for name in names
                  if not any((place / name).exists() for place in [*PLACES, path.parent])
                  and "*" not in name]


def commands(path: Path) -> Iterator[str]:
    """Lines of code blocks, indented or fenced, and code spans."""
    for block in re.findall(r"^```\w*\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        yield from block.splitlines()
    for line in prose(path).splitlines():
        if line.startswith("    "):
            yield line
        else:
            yield from re.findall(r"`([^`]+)`", line)


def of_program(program: str, path: Path) -> Iterator[List[str]]:
    """The words after `program` in each command of the document that calls it."""
    for line in commands(path):
        line = line.strip().lstrip("$ ")
        if line.startswith(program + " "):
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&;<>")
            lexer.whitespace_split = True
            words = list(lexer)
            end = next((at for at, word in enumerate(words) if set(word) <= set("|&;<>")),
                       len(words))
            yield words[1:end]


#: Commands of the `lpmx` inside a container, which is another program.
INSIDE = {"host", "info"}


def understood(words: List[str]) -> bool:
    """Whether the command line takes it, or it is only the name of a command."""
    from lpmx_runtime.cli import parsing

    parser = parsing.parser_of(words[0])
    if parser is None:
        return False
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if len(words) == 1 or "..." in words:
        return True
    if inner and len(words) == 2:
        return words[1] in inner[0].choices
    try:
        parsing.parse(parser, words[1:])
    except SystemExit:
        return False
    return True


@pytest.mark.parametrize("path", DOCUMENTS, ids=identify)
def test_lpmx_commands_are_understood(path: Path) -> None:
    """Every `lpmx ...` in a document is one that the command line takes."""
    wrong = []
    for words in of_program("lpmx", path):
        if words[0] in INSIDE or words[0].startswith("-"):
            continue
        # "env set|unset|list" stands for three commands
        *first, last = words
        if not all(understood([*first, each]) for each in last.split("|")):
            wrong.append(" ".join(words))

    assert [] == wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=identify)
def test_make_targets_exist(path: Path) -> None:
    """Every `make ...` in a document is a target."""
    targets = set(re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))

    named = {word for words in of_program("make", path) if words[0] != "-C"
             for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")}

    assert named <= targets


def test_every_decision_is_in_the_list() -> None:
    """docs/decisions/README.md has each page, in order."""
    folder = CHECKOUT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())

    assert sorted(path.name for path in folder.glob("[0-9]*.md")) == listed


def test_every_setting_is_explained() -> None:
    """docs/reference/settings.md has each key of the configuration files, and each trait."""
    from lpmx_jupyter.provisioner import LpmxProvisioner
    from lpmx_runtime.settings import KEYS

    text = (CHECKOUT / "docs" / "reference" / "settings.md").read_text()
    traits = [name for name, trait in LpmxProvisioner.class_own_traits(config=True).items()]

    assert [] == [name for name in [*KEYS, *traits] if f"`{name}`" not in text]


def test_page_of_the_command_line_is_current() -> None:
    """docs/reference/cli.md is what the command line says now: `make docs` writes it."""
    made = subprocess.run([sys.executable, str(CHECKOUT / "docs" / "generate_cli.py")],
                          check=True, stdout=subprocess.PIPE, text=True).stdout

    assert made == (CHECKOUT / "docs" / "reference" / "cli.md").read_text()


def session(path: Path) -> List[Tuple[str, str]]:
    """The commands of a document's console blocks, each with the output it shows."""
    found: List[Tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], ""))
            else:
                command, output = found[-1]
                found[-1] = (command, f"{output}{line}\n")
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether the output is what is shown, "..." standing for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def test_session_of_the_readme_is_what_happens(
    confined: Callable[..., "subprocess.CompletedProcess[str]"], store: Path, installed: Any
) -> None:
    """The README's commands, run as an ordinary user, print what the README shows."""
    environment = {**os.environ, "LPMX_STORE": str(store),
                   "PATH": f"{installed.bin}:{os.environ['PATH']}",
                   "JUPYTER_DATA_DIR": str(store.parent / "jupyter")}
    ran = 0
    for command, shown in session(CHECKOUT / "README.md"):
        if command.startswith(BY_HAND):
            continue
        done = confined(["sh", "-c", command], env=environment)
        assert 0 == done.returncode, f"{command}: {done.stdout}{done.stderr}"
        assert matches(shown, done.stdout), f"{command} printed:\n{done.stdout}"
        ran += 1

    assert ran >= 4
