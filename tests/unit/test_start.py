"""The start file, and the front that believes it (native/front): what Python would do, or Python.

The front under test is a copy beside a script that stands for the command line in Python.
Start files name `env` as the loader: `env -0`, run so, tells what the program is given.
"""
from __future__ import annotations

import json
import os
import random
import shutil
import signal
import struct
import subprocess

import pytest
from lpmx_runtime import _native, settings
from lpmx_runtime.container import launch, record, start
from lpmx_runtime.container.spec import ViewSpec
from lpmx_runtime.errors import InvalidSetting
from lpmx_runtime.store.index_format import fnv

NAME = "fit-7"
TELL = ("x", "-0")
LEFT = b"left to python"


class Place:
    """A store with one container, and a front for it."""

    def __init__(self, root, installed):
        self.store = root / "store"
        self.directory = self.store / "containers" / NAME
        self.bin = root / "bin"
        self.front = self.bin / "lpmx"
        self.start = self.directory / record.START
        self.index = root / "index"
        self.index.write_bytes(b"x")
        for path in (self.bin, self.directory / "upper", self.directory / "work"):
            path.mkdir(parents=True)
        shutil.copy(installed.lpmx, self.front)
        script = self.bin / "lpmx-python"
        script.write_text(f"#!/bin/sh\nprintf '{LEFT.decode()}'; printf ' %s' \"$@\"\n")
        script.chmod(0o755)
        _native.control_create(self.directory / "control")
        (self.directory / "view").write_bytes(ViewSpec(
            kind="container", name=NAME, loader="/", layers=["/"], directory=self.directory,
            upper=self.directory / "upper", work=self.directory / "work",
            control=self.directory / "control").encode())
        self.write()

    def write(self, image=(), container=(), **more):
        """Have a record, and a start file if the record can have one."""
        self.values = {
            "version": record.VERSION, "name": NAME, "live": False,
            "config": {"env": dict(image), "entrypoint": ["no"], "cmd": [], "working_dir": ""},
            "options": {"env": dict(container), "workdir": None},
            "identity": {"uid": 0, "gid": 0, "name": "root", "home": "/root"},
            "made": record.made(str(self.directory)), "index": record.as_it_is(self.index), **more}
        (self.directory / record.FILE).write_text(json.dumps(self.values))
        self.start.unlink(missing_ok=True)
        start.write(str(self.store / "containers"), NAME, str(self.front))

    def seal(self, body):
        self.start.write_bytes(body + struct.pack("<Q", fnv(body)))

    def run(self, *words, env=None, **options):
        return subprocess.run([self.front, *(words or ("exec", NAME, *TELL))], stdout=subprocess.PIPE,
                              env={"LPMX_STORE": str(self.store), "HOME": os.environ["HOME"], **(env or {})}, timeout=20, **options)

    def left(self, *words, **options):
        """Whether it is left to Python, with the words as they were."""
        words = words or ("exec", NAME, *TELL)
        done = self.run(*words, **options)
        assert done.returncode in (0, 1, 2, 125, 126, 127)
        return done.stdout == b" ".join([LEFT, *map(os.fsencode, words)])

    def variables(self, env=None):
        pairs = self.run(env=env).stdout.split(b"\0")[:-1]
        return dict(pair.split(b"=", 1) for pair in pairs)


@pytest.fixture
def place(tmp_path, installed, monkeypatch):
    monkeypatch.setattr(record, "LOADER", shutil.which("env"))
    return Place(tmp_path, installed)


# -- as Python does it


NAMES = ("PATH", "HOME", "USER", "TERM", "LANG", "TZ", "SLURM_JOB_ID", "SLURM_JWT", "JPY_API_TOKEN",
         "PMI_RANK", "LD_LIBRARY_PATH", "LPMX_NO_TRAP", "LPMX_STATE", "SLURM_", "OTHER",
         "OMP_NUM_THREADS", "LC_CTYPE", "EMPTY")
VALUES = ("", "1", "/usr/bin:/.lpmx/bin", "/.lpmx/binary", "/a:/.lpmx/bin:/b", "a=b", "\udcff\u00e9", "two\nlines")


def some(chance, names):
    return {name: chance.choice(VALUES) for name in chance.sample(names, chance.randint(0, 12))}


@pytest.mark.parametrize("seed", range(12))
def test_program_gets_the_variables_that_python_gives_it(place, seed):
    """Of image, container, host, batch system and live changes, whoever has a say in which."""
    chance = random.Random(seed)
    more = {"live": True} if seed % 4 == 3 else {}
    if seed % 4 == 2:
        more["gpu"] = {"library_path": "/.lpmx/gpu"}
    place.write(some(chance, NAMES), some(chance, NAMES), **more)
    for _ in range(4):
        environ = {**some(chance, NAMES), "LPMX_STORE": str(place.store), "HOME": os.environ["HOME"]}

        found = place.variables(environ)

        expected = launch.prepare(str(place.directory), place.values, TELL, environ=environ,
                                  entrypoint=False)
        assert {os.fsencode(name): os.fsencode(value) for name, value in expected.env.items()} == found
        with _native.View(place.directory / "view") as view:
            for name, value in some(chance, NAMES[:-6]).items():
                if not name.startswith("LPMX_"):
                    view.environment_set(name, value)
            view.environment_unset(chance.choice(NAMES[:6]))


def test_program_begins_where_python_has_it_begin(place):
    """In the container's directory or the image's; without one, where the caller is."""
    assert b"LPMX_CWD" not in place.variables()
    place.write(config={**place.values["config"], "working_dir": "/srv"})
    assert b"/srv" == place.variables()[b"LPMX_CWD"]
    place.write(config=place.values["config"], options={"env": {}, "workdir": "/opt"})
    assert b"/opt" == place.variables()[b"LPMX_CWD"]


def test_command_that_is_exposed_starts_where_it_is_called(place, tmp_path):
    """Whatever directory the container has; where that has no name, Python says what is wrong."""
    place.write(config={**place.values["config"], "working_dir": "/srv"})

    pairs = place.run("exec", "--here", NAME, "--", *TELL, cwd=tmp_path).stdout.split(b"\0")

    assert b"LPMX_CALL=" + bytes(tmp_path) in pairs
    assert not [pair for pair in pairs if pair.startswith(b"LPMX_CWD=")]
    gone = tmp_path / "gone"
    gone.mkdir()
    done = place.run("exec", "--here", NAME, *TELL, preexec_fn=lambda: (os.chdir(gone), gone.rmdir()))
    assert done.stdout.startswith(LEFT)


def test_words_arrive_as_they_are(place):
    """Empty ones, bytes that are no text, and more than a megabyte; "--" once is ours."""
    words = ["printf", b"%s.", b"", b"\xff\n ", b"--", b"x" * 100_000, *[b"y" * 1000] * 1000]

    for dashes in ([], ["--"]):
        done = place.run("exec", NAME, *dashes, "env", *words)

        assert b"".join(word + b"." for word in words[2:]) == done.stdout


def test_host_calls_get_the_callers_variables(place):
    """All but secrets; of a caller inside a container, those that are there already."""
    kept = place.directory / record.HOST_ENVIRONMENT

    place.run(env={"A": "1", "SLURM_JWT": "secret", "E": ""})
    first = kept.read_bytes()
    place.run(env={"A": "2", "LPMX_CONTAINER": "outer"})

    assert [b"LPMX_STORE=" + bytes(place.store), b"HOME=" + os.fsencode(os.environ["HOME"]),
            b"A=1", b"E=", b""] == first.split(b"\0")
    assert first == kept.read_bytes()
    assert 0o600 == kept.stat().st_mode & 0o777
    assert ["host.env"] == [name for name in os.listdir(place.directory) if "host.env" in name]


def test_signals_are_as_a_program_expects_them(place):
    """Also where the caller ignores a closed pipe, as Python itself does."""
    def ignore():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    done = place.run("exec", NAME, "x", "grep", "SigIgn", "/proc/self/status", preexec_fn=ignore,
                     restore_signals=False)

    assert not int(done.stdout.split()[1], 16) >> (signal.SIGPIPE - 1) & 1


def test_front_is_the_interpreter_of_exposed_commands(place, tmp_path):
    """With the store that its file names, whatever the caller has; by Python, if need be."""
    command = tmp_path / "a command"
    command.write_text(f"#!{place.front}\n# lpmx expose {NAME} /bin/a b\n# store {place.store}\nexit 1\n")
    command.chmod(0o755)
    env = {"HOME": os.environ["HOME"], "LPMX_STORE": "/other", "A": "1"}

    pairs = subprocess.run([command, "-0"], env=env, stdout=subprocess.PIPE).stdout.split(b"\0")
    place.start.unlink()
    left = subprocess.run([command, "-c", ""], env=env, stdout=subprocess.PIPE).stdout

    assert b"LPMX_PROGRAM=/bin/a b" in pairs and b"LPMX_CALL=" + os.fsencode(os.getcwd()) in pairs
    assert b"LPMX_STORE=" + bytes(place.store) in (
        place.directory / record.HOST_ENVIRONMENT).read_bytes().split(b"\0")
    assert LEFT + f" exec --here {NAME} -- /bin/a b -c ".encode() == left


def test_exposed_command_without_a_store_means_the_usual_one(place, tmp_path, monkeypatch):
    """Not the one that its caller has set for something else."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "lpmx").mkdir()
    (tmp_path / "lpmx" / "config.json").write_text(json.dumps({"store": str(place.store)}))
    place.write()
    command = tmp_path / "command"
    command.write_text(f"#!{place.front}\n# lpmx expose {NAME} /bin/a\n")
    command.chmod(0o755)

    pairs = subprocess.run([command, "-0"], env={**os.environ, "LPMX_STORE": "/other"},
                           stdout=subprocess.PIPE).stdout.split(b"\0")

    assert b"LPMX_PROGRAM=/bin/a" in pairs


@pytest.mark.parametrize("text", ["", "# lpmx expose", "# lpmx expose \n", "# lpmx expose c \n", "# lpmx expose c\nx",
                                  "# store /x", "# lpmx expose c p\n# store " + "/x" * 5000])
def test_other_scripts_of_the_front_are_pythons(place, tmp_path, text):
    """It says that there is no such command."""
    command = tmp_path / "command"
    command.write_text(f"#!{place.front}\n{text}")
    command.chmod(0o755)

    assert LEFT + f" {command} x".encode() == subprocess.run([command, "x"], stdout=subprocess.PIPE).stdout


# -- left to Python


@pytest.mark.parametrize("words", [
    (), ("--help",), ("exec",), ("exec", NAME), ("exec", NAME, "--"), ("exec", "--here"),
    ("exec", "--here", NAME), ("exec", "--here", "--here", NAME, "true"), ("exec", "-e", "A=1", NAME, "true"),
    ("exec", "../fit-7", "true"), ("exec", "", "true"), ("exec", "other", "true"), ("ps",),
    ("run", NAME, "true"),
])
def test_other_commands_are_pythons(place, words):
    """With the same words."""
    assert not place.left("exec", NAME, "true")
    done = place.run(*words) if words else subprocess.run([place.front], stdout=subprocess.PIPE)

    assert done.stdout == b" ".join([LEFT, *map(os.fsencode, words or ("",))])


@pytest.mark.parametrize("env", [
    {"LPMX_TRACE": "/tmp/x"}, {"LPMX_STORE": "relative"}, {"XDG_CONFIG_HOME": "/elsewhere"},
    {f"V{n}": "" for n in range(1001)},
])
def test_odd_environments_are_pythons(place, env):
    assert place.left(env=env)


def rewritten(place):
    os.utime(place.directory / record.FILE, ns=(1, 1))


def another_boot(place):
    with open(place.directory / record.CONTROL, "r+b") as file:
        file.seek(32)
        file.write(b"x")  # none begins so


def cut_page(place):
    os.truncate(place.directory / record.CONTROL, 5000)


def moved_front(place):
    place.bin.rename(place.bin.parent / "elsewhere")
    place.bin.symlink_to("elsewhere")


def moved_store(place):
    place.store.rename(place.store.parent / "moved")
    place.store = place.store.parent / "moved"


@pytest.mark.parametrize("change", [
    rewritten, another_boot, cut_page, moved_front, moved_store,
    lambda place: place.start.unlink(),
    lambda place: place.index.unlink(),
    lambda place: place.index.write_bytes(b"other"),
    lambda place: os.utime(place.front),
    lambda place: (place.directory / record.VIEW).unlink(),
    lambda place: (place.directory / record.CONTROL).unlink(),
    lambda place: (place.directory / record.FILE).unlink(),
    lambda place: place.start.unlink() or place.start.mkdir(),
    lambda place: place.start.unlink() or os.mkfifo(place.start),
    lambda place: place.seal(place.start.read_bytes()[:-8].replace(b"lpmx-start 1", b"lpmx-start 2")),
    lambda place: place.seal(place.start.read_bytes()[:-8] + b"news\0"),
    lambda place: place.seal(place.start.read_bytes()[:-8] + b"line\0/proc/version\0Other\0"),
    lambda place: place.seal(place.start.read_bytes()[:-8] + b"absent\0/proc/version\0"),
    lambda place: place.seal(place.start.read_bytes()[:-8] + b"held\0NO VALUE\0"),
    lambda place: place.seal(place.start.read_bytes()[:-8] + b"held\0A=1\0" * 300),
    lambda place: place.seal(b"lpmx-start 1\0"),
])
def test_what_changed_since_is_pythons(place, change):
    """Whatever a start file counts on: it is believed only where all of that is as it was."""
    assert not place.left()

    change(place)

    assert place.left()


def test_damaged_start_file_is_pythons(place):
    """Every cut, and bits anywhere."""
    whole, chance = place.start.read_bytes(), random.Random(1)

    for _ in range(60):
        place.start.write_bytes(whole[:chance.randrange(len(whole))])
        assert place.left()
        bad = bytearray(whole)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        place.start.write_bytes(bad)
        assert place.left()


def test_hostile_start_file_ends_nothing_else(place):
    """With fields at other places and a sum that fits, it is Python's or starts a program."""
    fields, chance = place.start.read_bytes()[:-9].split(b"\0"), random.Random(2)

    for _ in range(100):
        mixed = list(fields)
        for _ in range(chance.randint(1, 4)):
            mixed[chance.randrange(1, len(mixed))] = chance.choice(
                [b"", b"=", b"9" * 30, b"/" * 5000, b"x" * 70000, *fields])
        del mixed[chance.randint(1, len(mixed)):]
        place.seal(b"\0".join(mixed) + b"\0")

        assert place.run(stderr=subprocess.DEVNULL).returncode in (0, 1, 125, 126, 127)


def test_damaged_live_variables_are_pythons_or_what_they_were(place):
    """A page whose frame is whole and whose offsets are not ends nothing."""
    with _native.View(place.directory / "view") as view:
        view.environment_set("LIVE", "1")
    page = bytearray((place.directory / record.CONTROL).read_bytes()[:512 + 300_000])
    used, chance = [n for n in range(512, len(page)) if page[n]], random.Random(3)

    for _ in range(40):
        bad = bytearray(page)
        for _ in range(3):
            bad[chance.choice(used)] = chance.randrange(256)
        with open(place.directory / record.CONTROL, "r+b") as file:
            file.write(bad)

        assert place.run().returncode == 0


def test_nothing_is_written_where_not_all_can_be_said(place, monkeypatch):
    """Then each call is Python's: a variable with a NUL, another encoding of file names."""
    place.write({"A": "\0"})
    assert not place.start.exists() and place.left()
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    place.write()
    assert not place.start.exists()


def test_front_alone_says_what_is_missing(place):
    """Somebody copied one program out of an installation."""
    (place.bin / "lpmx-python").unlink()

    done = place.run("ps", stderr=subprocess.PIPE)

    assert 125 == done.returncode
    assert (f'lpmx: cannot start "{place.bin}/lpmx-python": it is not there, or the Python that it '
            "names is not\nhint: install lpmx-jupyter again\n" == done.stderr.decode())


# -- which store


STORES = [
    # how the store is told; whether that is plain enough for the front
    ({"HOME": "{root}", "LPMX_STORE": "{store}"}, None, True),
    ({"HOME": "{root}", "LPMX_STORE": "{store}//"}, None, True),
    ({"HOME": "{root}", "LPMX_STORE": "{store}/x/.."}, None, False),
    ({"HOME": "{root}", "LPMX_STORE": "/{store}"}, None, False),
    ({"HOME": "{root}"}, None, True),
    ({"HOME": "{root}//", "LPMX_STORE": ""}, None, True),
    ({"HOME": "{root}/elsewhere", "XDG_DATA_HOME": "{root}/.local/share"}, None, True),
    ({"HOME": "{root}", "XDG_CONFIG_HOME": "relative"}, None, False),
    ({"HOME": "{root}"}, '{{"store": "{store}"}}', True),
    ({"HOME": "{root}"}, '{{ "mirror" : "http://m",\n"registry_mirrors": {{"docker.io": ["a", "b"]}}, '
                         '"insecure_registries": [], "store":"{store}/" }}\n', True),
    ({"HOME": "{root}"}, "{{}}", True),
    *(({"HOME": "{root}"}, f'{{{{"{key}": [], "store": "{{store}}"}}}}', True)
      for key in sorted(settings.KEYS) if key not in ("store", "allowed_calls", "call_log")),
    ({"HOME": "{root}"}, '{{"call_log": "/x", "store": "{store}"}}', True),
    # the site's alone: Python says so, and there is no start file
    ({"HOME": "{root}"}, '{{"allowed_calls": [], "store": "{store}"}}', False),
    ({"HOME": "{root}"}, '{{"store": ""}}', False),
    ({"HOME": "{root}"}, '{{"store": "~/.local/share/lpmx"}}', False),
    ({"HOME": "{root}"}, '{{"store": "{store}", "unknown": "x"}}', False),
    ({"HOME": "{root}"}, '{{"store": "{store}", "store": "{store}"}}', False),
    ({"HOME": "{root}"}, '{{"store": "{store}"}} x', False),
    ({"HOME": "{root}"}, '{{"mirror": "\\u0041", "store": "{store}"}}', False),
    ({"HOME": "{root}"}, '["store"]', False),
    ({"HOME": "{root}"}, '{{"store": "{store}"', False),
    ({"HOME": "{root}"}, "", False),
    ({"HOME": "{root}"}, "[" * 5000, False),
    ({}, None, False),
]


@pytest.mark.parametrize("told, file, plain", STORES)
def test_store_is_the_one_that_python_finds(tmp_path, installed, monkeypatch, told, file, plain):
    """By the variables and the files; what is told otherwise than plainly is Python's."""
    monkeypatch.setattr(record, "LOADER", shutil.which("env"))
    root = tmp_path / ".local" / "share"
    root.mkdir(parents=True)
    place = Place(root, installed)
    place.store.rename(root / "lpmx")
    place.store, place.directory = root / "lpmx", root / "lpmx" / "containers" / NAME
    place.start = place.directory / record.START
    if file is not None:
        config = tmp_path / ".config" / "lpmx" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(file.format(store=place.store))
    env = {name: text.format(store=place.store, root=tmp_path) for name, text in told.items()}
    with monkeypatch.context() as caller:
        caller.setattr(os, "environ", env)
        try:
            place.write()
        except InvalidSetting:
            assert not plain
        if plain:
            expected = settings.store_location()

    done = subprocess.run([place.front, "exec", NAME, *TELL], env=env, stdout=subprocess.PIPE)

    if plain:
        assert f"LPMX_VIEW={expected}/containers/{NAME}/view" in done.stdout.decode().split("\0")
    else:
        assert done.stdout.startswith(LEFT)
