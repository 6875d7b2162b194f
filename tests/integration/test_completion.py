"""Shells complete commands, options, names and digests."""
from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any, List, Optional

import pytest
from support import layers
from support.made import make_image

from lpmx_runtime.cli.completion import words
from lpmx_runtime.container import Container
from lpmx_runtime.store import Image, Store


@pytest.fixture
def filled(store: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """A store with images and a container in it."""
    monkeypatch.setenv("LPMX_STORE", str(store))
    opened = Store.open(store)
    image = make_image(opened, "base:1", layers.tar(layers.file(b"f", b"1")))
    make_image(opened, "reg.site:5000/team/solver:2.4", layers.tar(layers.file(b"f", b"2")))
    Container.create(opened, image, name="work")
    return image


@pytest.mark.parametrize("line, expected", [
    ("lpmx comm", ["commit"]), ("lpmx co", ["commit", "completion", "compose"]), ("lpmx nothing ", []),
    ("lpmx run b", ["base:1"]), ("lpmx run --name x ba", ["base:1"]),
    ("lpmx run base:1 ba", []), ("lpmx run base:1 -- --n", []), ("lpmx exec ", ["work"]),
    ("lpmx exec work ", []), ("lpmx rm work w", ["work"]), ("lpmx commit ", ["work"]),
    ("lpmx inspect w", ["work"]), ("lpmx inspect reg", ["reg.site:5000/team/solver:2.4"]),
    ("lpmx save --form", ["--format"]), ("lpmx save --format d", ["docker-archive"]),
    ("lpmx run --entry", ["--entrypoint"]), ("lpmx export wo", ["work"]), ("lpmx load ", []),
    ("lpmx push base:1 ", []), ("lpmx completion z", ["zsh"]), ("lpmx run h", ["host"]),
])
def test_words_that_fit(filled: Image, line: str, expected: List[str]) -> None:
    """At each place those that can stand there."""
    assert expected == words(line)


def test_digests(filled: Image) -> None:
    """In full and as tables show them, once the first digit is typed."""
    short = filled.digest[7:19]

    assert short in words(f"lpmx rmi {short[:4]}")
    assert [filled.digest] == words(f"lpmx rmi {filled.digest[:20]}")


@pytest.mark.parametrize("line, expected", [
    ("lpmx run ba", ["base:1"]), ("lpmx run base:", ["1"]),
    ("lpmx inspect reg.site:5000/team/so", ["5000/team/solver:2.4"]), ("lpmx cp no", []),
])
def test_bash_itself(filled: Image, installed: Any, line: str, expected: List[str]) -> None:
    """With its own idea of where words end."""
    script = ('PATH="$1:$PATH"; source <(lpmx completion bash); COMP_LINE=$2; '
              'COMP_POINT=${#COMP_LINE}; _lpmx; printf "%s\\n" "${COMPREPLY[@]}"')
    said = subprocess.run(["bash", "-c", script, "_", str(installed.bin), line], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()

    assert expected == said


@pytest.mark.parametrize("line, expected", [
    ("lpmx run ba", "lpmx run base:1 "), ("lpmx run base:", "lpmx run base:1 "),
    ("lpmx inspect reg.site:5000/team/so", "lpmx inspect reg.site:5000/team/solver:2.4 "),
    ("lpmx exec w", "lpmx exec work "), ("lpmx comm", "lpmx commit "),
])
def test_zsh_itself(filled: Image, installed: Any, tmp_path: Path, line: str,
                    expected: str) -> None:
    """On a terminal: what stands in the line after the tabulator key."""
    script = (f"PATH={installed.bin}:$PATH; autoload -Uz compinit; compinit -u -D; "
              "source <(lpmx completion zsh); "
              f"show() {{ print -rn -- $BUFFER >{tmp_path}/line }}; zle -N show; bindkey '^T' show; "
              "PS1='rea''dy'\n")
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "PS1": "",
                                                "HOME": str(tmp_path)})
    os.write(terminal, script.encode())
    _read(terminal, b"ready")   # from here on keys are the line editor's
    os.write(terminal, line.encode() + b"\t\x14\x15exit\n")
    _read(terminal)
    os.waitpid(pid, 0)

    assert expected == (tmp_path / "line").read_text()


def _read(terminal: int, until: Optional[bytes] = None) -> None:
    """Up to some words, or until nobody has the other end any more."""
    said = b""
    try:
        while until is None or until not in said:
            said += os.read(terminal, 4096)
    except OSError:
        pass


@pytest.mark.parametrize("line, expected", [
    ("lpmx run ba", ["base:1"]), ("lpmx exec w", ["work"]), ("lpmx comm", ["commit"]),
    ("lpmx inspect reg.site:5000/team/so", ["reg.site:5000/team/solver:2.4"]),
])
def test_fish_itself(filled: Image, installed: Any, tmp_path: Path, line: str,
                     expected: List[str]) -> None:
    """As it asks itself for what fits."""
    script = "set PATH $argv[1] $PATH; lpmx completion fish | source; complete -C $argv[2]"
    said = subprocess.run(["fish", "--no-config", "-c", script, str(installed.bin), line],
                          check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "HOME": str(tmp_path)}).stdout.split("\n")

    assert expected == [word.partition("\t")[0] for word in said if word]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_lines(lpmx: Any, shell: str) -> None:
    """Which ask the command for the words."""
    assert "lpmx completion words" in lpmx("completion", shell, check=True).stdout
