"""Binds, variables, commands and records of containers, each by itself."""
from __future__ import annotations

import errno
import os
import signal

import pytest
from lpmx_runtime.container import binds, environment, launch, processes, record
from lpmx_runtime.container.spec import Bind, ViewSpec
from lpmx_runtime.errors import ContainerUnknown, InvalidSetting, RunFailed, StoreDamaged

# -- binds


def test_later_bind_of_a_place_wins():
    """What the user says comes after our defaults."""
    merged = binds.merge([Bind("/tmp", "/tmp")], [Bind("/scratch/tmp", "/tmp")])

    assert [Bind("/scratch/tmp", "/tmp")] == merged


def test_bind_that_another_shows_anyway_is_dropped():
    """But not where it differs: another place of the host, or read-only."""
    home = Bind("/home/me", "/home/me")

    assert [home] == binds.merge([home, Bind("/home/me/work", "/home/me/work")])
    for different in (Bind("/scratch", "/home/me/work"),
                      Bind("/home/me/work", "/home/me/work", True)):
        assert [home, different] == binds.merge([home, different])
    # the nearest one above counts
    between = Bind("/scratch", "/home/me/a")
    inner = Bind("/home/me/a/b", "/home/me/a/b")
    assert [home, between, inner] == binds.merge([home, between, inner])


@pytest.mark.parametrize("text, expected", [
    ("{0}", ("{0}", "{0}", False)),
    ("{0}:/x", ("{0}", "/x", False)),
    ("{0}:/x/../y/", ("{0}", "/y", False)),
    ("{0}:/x:ro", ("{0}", "/x", True)),
    ("{0}:/x:rw", ("{0}", "/x", False)),
    ("src={0},dst=/a:b", ("{0}", "/a:b", False)),
    ("source={0},target=/x,readonly", ("{0}", "/x", True)),
])
def test_bind_is_read_as_docker_reads_it(tmp_path, text, expected):
    """SRC[:DST[:ro]], or named parts for names with colons."""
    host, at, read_only = expected

    assert (Bind(host.format(tmp_path), at.format(tmp_path), read_only)
            == binds.parse(text.format(tmp_path)))


def test_default_binds_show_kernel_home_and_tmp(home, monkeypatch):
    """`contain` leaves out what is personal, a copy of the host needs none of it."""
    monkeypatch.chdir(home)

    open_ = {bind.at for bind in binds.default(live=False, contain=False)}
    closed = {bind.at for bind in binds.default(live=False, contain=True)}
    live = {bind.at for bind in binds.default(live=True, contain=False)}

    assert {"/proc", "/sys", "/dev", "/tmp", str(home)} <= open_
    assert {"/proc", "/sys", "/dev"} <= closed and not {"/tmp", str(home)} & closed
    assert {"/proc", "/sys", "/dev"} <= live and not {"/tmp", str(home), "/etc/hosts"} & live


@pytest.mark.parametrize("directory", ["/usr/share", "/etc", "/"])
def test_working_directory_of_the_system_is_not_bound(monkeypatch, directory):
    """It is the image's."""
    monkeypatch.chdir(directory)

    assert directory not in {bind.at for bind in binds.default(live=False, contain=False)}


# -- variables


def of_program(environ, image=None, container=None, live=False, **more):
    values = {"name": "c", "live": live, "config": {"env": image or {}},
              "options": {"env": container or {}}, **more}
    identity = {"uid": 0, "gid": 0, "name": "root", "home": "/root"}
    found = environment.of_program(values, environ, identity)
    return {name: (variable.value, variable.origin) for name, variable in found.items()}


def test_origin_of_each_variable_is_known():
    """Host, image, container, and what every program has."""
    found = of_program({"TERM": "xterm", "SECRET": "x", "LANG": "de_DE.UTF-8"},
                       {"A": "1", "LANG": "C.UTF-8", "TERM": "dumb"}, {"B": "2"})

    assert ("xterm", "host") == found["TERM"], "a terminal is the host's"
    assert ("C.UTF-8", "image") == found["LANG"], "what locales there are, the image knows"
    assert ("1", "image") == found["A"] and ("2", "container") == found["B"]
    assert ("/root", "default") == found["HOME"] and ("root", "default") == found["USER"]
    assert "SECRET" not in found


def test_path_ends_with_our_commands_once():
    """So that `lpmx host` is found, and nothing of the image's is hidden."""
    assert f"{environment.DEFAULT_PATH}:/.lpmx/bin" == of_program({})["PATH"][0]
    assert "/x:/.lpmx/bin" == of_program({}, {"PATH": "/x"})["PATH"][0]
    assert "/.lpmx/bin:/x" == of_program({}, {"PATH": "/.lpmx/bin:/x"})["PATH"][0]
    assert "/.lpmx/bin" == of_program({}, {"PATH": ""})["PATH"][0]


def test_copy_of_the_host_has_its_variables_but_for_secrets():
    """One's own PATH and modules, and no token."""
    found = of_program({"PATH": "/me", "MODULES": "x", "JUPYTERHUB_API_TOKEN": "t"}, live=True)

    assert ("/me:/.lpmx/bin", "host") == found["PATH"]
    assert ("x", "host") == found["MODULES"]
    assert "JUPYTERHUB_API_TOKEN" not in found


def test_driver_libraries_come_first():
    """Before what the image has in LD_LIBRARY_PATH."""
    gpu = {"library_path": "/.lpmx/gpu"}

    assert "/.lpmx/gpu:/x" == of_program({}, {"LD_LIBRARY_PATH": "/x"}, gpu=gpu)["LD_LIBRARY_PATH"][0]
    assert "/.lpmx/gpu" == of_program({}, gpu=gpu)["LD_LIBRARY_PATH"][0]
    assert "LD_LIBRARY_PATH" not in of_program({}, gpu={})


def test_env_file_that_is_not_text_is_told(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidSetting, match="it is not text"):
        environment.read_file(str(tmp_path / "binary"))


# -- commands


def values_of(entrypoint=(), cmd=()):
    return {"name": "c", "familiar": "image:1",
            "config": {"entrypoint": list(entrypoint), "cmd": list(cmd)}}


@pytest.mark.parametrize("entrypoint, cmd, argv, override, expected", [
    ((), ("sh",), (), None, "sh"),
    ((), ("sh",), ("ls", "-l"), None, "ls -l"),
    (("e", "1"), ("2",), (), None, "e 1 2"),
    (("e", "1"), ("2",), ("3",), None, "e 1 3"),
    (("e",), ("2",), ("3",), False, "3"),
    (("e",), ("2",), (), ["o"], "o"),
    (("e",), ("2",), ("3",), ["o"], "o 3"),
    (("e",), ("2",), ("3",), [], "3"),
])
def test_words_to_execute(entrypoint, cmd, argv, override, expected):
    """As Docker combines them."""
    assert tuple(expected.split()) == launch.command(values_of(entrypoint, cmd), argv, override)


def test_nothing_to_execute_is_told():
    with pytest.raises(RunFailed, match='image "image:1" has no default one'):
        launch.command(values_of(), (), None)


# -- records and view files


def test_records_that_cannot_be_read_are_told_apart(tmp_path):
    """None of the name, a damaged one, one of another version."""
    for name, text in (("damaged", "["), ("other", '{"version": 99}'), ("empty", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / record.FILE).write_text(text)

    for name in ("missing", "../x", "", "."):
        with pytest.raises(ContainerUnknown):
            record.read(tmp_path, name)
    with pytest.raises(StoreDamaged, match="its record is damaged"):
        record.read(tmp_path, "damaged")
    with pytest.raises(StoreDamaged, match="its record is damaged"):
        record.read(tmp_path, "empty")
    with pytest.raises(StoreDamaged, match="version 99, and we read version 1"):
        record.read(tmp_path, "other")


def test_file_is_replaced_only_if_it_differs(tmp_path):
    """Running programs keep the one that they have mapped."""
    path = tmp_path / "file"
    record.replace(str(path), b"one", mode=0o600)
    first = path.stat()

    record.replace(str(path), b"one")
    assert first.st_ino == path.stat().st_ino and 0o600 == first.st_mode & 0o777
    with open(path, "rb") as kept:
        record.replace(str(path), b"two")
        assert b"one" == kept.read()
    assert b"two" == path.read_bytes() and ["file"] == os.listdir(tmp_path)


def test_path_with_a_nul_byte_makes_no_view_file():
    """It would end the field and begin another."""
    spec = ViewSpec(kind="container", name="c", loader="/l", binds=[Bind("/x\0bind", "/y")])

    with pytest.raises(ValueError, match="NUL byte"):
        spec.encode()


# -- processes


@pytest.mark.parametrize("number, cause, hint", [
    (errno.EAGAIN, "resource temporarily unavailable", "a limit of processes or of memory is reached"),
    (errno.ENOMEM, "cannot allocate memory", "a limit of processes or of memory is reached"),
    (errno.EACCES, "permission denied", 'run "lpmx check"'), (errno.E2BIG, "too long", "pass fewer arguments")])
def test_loader_that_cannot_be_started_says_what_to_look_at(number, cause, hint):
    """A limit of the job's is another matter than an installation that nobody can execute."""
    failed = launch.cannot_start(launch.Launch("/loader", ("/bin/true",), {}), OSError(number, ""))

    assert cause in failed.message and (failed.hint or "").startswith(hint)


@pytest.mark.parametrize("text, number", [
    (None, signal.SIGTERM), ("", signal.SIGTERM), ("SIGINT", signal.SIGINT),
    ("int", signal.SIGINT), ("9", signal.SIGKILL), ("SIGNOSUCH", signal.SIGTERM),
    ("999", signal.SIGTERM), ("SIG_IGN", signal.SIGTERM),
])
def test_stop_signal_of_an_image(text, number):
    """By name, with or without SIG, or by number; nonsense is SIGTERM."""
    assert number == processes.signal_number(text)


def test_process_that_ended_is_gone():
    """And another that got its number is not it."""
    me = processes.myself()

    assert not processes.is_gone(me)
    assert processes.is_gone([me[0], me[1], ["another boot", me[2][1]]])
    assert not processes.is_gone(["another node", me[1], None])
    assert not processes.is_gone(None)
