"""Where our arguments end and a program's begin; commands of other packages."""
from __future__ import annotations

import argparse

import pytest
from lpmx_runtime import cli
from lpmx_runtime.cli import parsing
from lpmx_runtime.errors import LpmxError


@pytest.fixture
def parser():
    parser = parsing.Parser(prog="lpmx run")
    parser.add_argument("-e", "--env", action="append", default=[])
    parser.add_argument("-i", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("image")
    return parser


@pytest.mark.parametrize("words, ours, command", [
    ("image", "image", ""),
    ("image ls -l", "image", "ls -l"),
    ("image -- ls -l", "image", "ls -l"),
    ("image -- -- x", "image", "-- x"),
    ("-- image ls", "-- image", "ls"),
    ("-- image -- ls", "-- image", "ls"),
    ("--rm image --rm", "--rm image", "--rm"),
    ("--name n image sh", "--name n image", "sh"),
    ("--name=n image sh", "--name=n image", "sh"),
    ("-e A=1 image -e B=2", "-e A=1 image", "-e B=2"),
    ("-eA=1 image sh", "-eA=1 image", "sh"),
    ("-ie A=1 image sh", "-ie A=1 image", "sh"),
    ("-i image -i", "-i image", "-i"),
    ("- sh", "-", "sh"),
    ("--name", "--name", ""),
    ("--nosuch image sh", "--nosuch image", "sh"),
    ("", "", ""),
])
def test_line_is_divided_behind_the_image(parser, words, ours, command):
    """Whatever the program's arguments look like."""
    assert (ours.split(), command.split()) == parsing.divide(parser, words.split(), 1)


def test_every_command_can_be_described():
    """Each has a parser, a line of help, and a usage that names it."""
    for name in parsing.names():
        parser = parsing.parser_of(name)
        assert parser is not None and parser.description
        assert parser.format_help().startswith(f"usage: lpmx {name}")
        assert parser.get_default("run") or any(
            isinstance(action, argparse._SubParsersAction) for action in parser._actions)


def test_command_of_another_package_is_found(monkeypatch, capsys):
    """By its entry point: parsed, run, its exit code returned, its help listed."""
    def register(parser):
        """Do something else.

        More that help does not show.
        """
        parser.add_argument("--times", type=int, default=1)
        parser.add_argument("word")
        parser.set_defaults(run=lambda arguments: print(arguments.word * arguments.times) or 7)

    class Point:
        name = "other"

        def load(self):
            return register

    monkeypatch.setattr(parsing, "found_elsewhere", lambda group: {"other": Point()})

    assert 7 == cli.main(["other", "--times", "2", "ab"])
    assert "abab\n" == capsys.readouterr().out
    assert "  other      Do something else\n" in parsing.overview()


def test_package_that_cannot_be_loaded_does_not_take_help_away(monkeypatch):
    """Its command is shown with the reason."""
    class Point:
        name = "broken"

        def load(self):
            raise ImportError("no module named x")

    monkeypatch.setattr(parsing, "found_elsewhere", lambda group: {"broken": Point()})

    assert "  broken     (cannot be loaded: no module named x)\n" in parsing.overview()


@pytest.mark.parametrize("error, code, lines", [
    (LpmxError("cannot do it: because", hint="do that"), 1,
     ["lpmx: cannot do it: because", "hint: do that"]),
    (LpmxError("cannot do it: because"), 1, ["lpmx: cannot do it: because"]),
    (FileNotFoundError(2, "x", "/a/b"), 125,
     ['lpmx: cannot go on "/a/b": no such file or directory', 'hint: run "lpmx check"']),
    (KeyboardInterrupt(), 130, []),
])
def test_failures_are_told_without_a_traceback(monkeypatch, capsys, error, code, lines):
    """What, why and what to do, on standard error."""
    def fail(words):
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)

    assert code == cli.main(["ps"])
    printed = capsys.readouterr()
    assert (lines, "") == (printed.err.splitlines(), printed.out)
