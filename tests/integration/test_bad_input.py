"""What cannot be run says what, why and what to do, with Docker's exit codes."""
from __future__ import annotations

import os
import struct

import pytest


@pytest.fixture
def container(tiny):
    tiny("create", "--name", "bad", tiny.image, check=True)
    yield "bad"
    tiny("rm", "-f", "bad")


def assert_refused(done, code, message, hint):
    """One line what, one line what to do, nothing else."""
    lines = done.stderr.splitlines()
    assert (code, "") == (done.returncode, done.stdout), done.stderr
    assert 2 == len(lines), done.stderr
    assert message in lines[0] and lines[0].startswith("lpmx: cannot ")
    assert lines[1].startswith("hint: ") and hint in lines[1]


def elf(machine, bits=64):
    """The head of a program for another machine."""
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    rest = (struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
            if bits == 64 else
            struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0))
    return ident + rest + bytes(64)


# -- programs


@pytest.mark.parametrize("program", ["nosuch", "/bin/nosuch", "/etc/passwd/x"])
def test_missing_program_is_127(tiny, container, program):
    """Whether by name or by path, with run as with exec."""
    for command in (["exec", container], ["run", tiny.image]):
        assert_refused(tiny(*command, program), 127,
                       f'cannot run "{program}" in container "', "look at the name")


def test_script_without_its_interpreter_is_127(tiny, container, tmp_path):
    """The file is there, what runs it is not."""
    script = tmp_path / "script"
    script.write_text("#!/opt/nosuch/python\n")
    script.chmod(0o755)

    assert_refused(tiny("exec", container, script), 127, "its interpreter is missing", "")


@pytest.mark.parametrize("program", ["/etc/passwd", "/etc", "/"])
def test_what_is_no_executable_file_is_126(tiny, container, program):
    """A plain file, a directory."""
    assert_refused(tiny("exec", container, program), 126,
                   f'cannot run "{program}" in container "bad": it is not an executable file',
                   "look at its type and mode")


def test_executable_nonsense_is_126(tiny, container, tmp_path):
    """It has the mode of a program and the content of none."""
    path = tmp_path / "nonsense"
    path.write_bytes(b"\x01\x02\x03")
    path.chmod(0o755)

    assert_refused(tiny("exec", container, path), 126,
                   "it is neither a program nor a script that names its interpreter",
                   "begin it with a line such as #!/bin/sh")


@pytest.mark.parametrize("machine, bits, cause", [
    (3, 32, "it is a 32-bit program, and only 64-bit programs can be run"),
    (62, 32, "it is a 32-bit program, and only 64-bit programs can be run"),
    (183, 64, "it is a program for aarch64"),
    (40, 32, "it is a program for 32-bit arm"),
    (243, 64, "it is a program for riscv"),
    (0x9999, 64, "it is a program for another machine"),
])
def test_program_of_another_architecture_is_126(tiny, container, tmp_path, machine, bits, cause):
    """Named as what it is, rather than run untranslated."""
    if machine == 183 and os.uname().machine == "aarch64":
        machine, cause = 62, "it is a program for x86-64"
    path = tmp_path / "foreign"
    path.write_bytes(elf(machine, bits))
    path.chmod(0o755)

    assert_refused(tiny("exec", container, path), 126, cause, "64-bit build for this machine")


def test_no_program_at_all_is_125(tiny, container):
    """An image without entrypoint and command, and exec without a command."""
    assert_refused(tiny("exec", container), 125, "no program was named", "lpmx exec bad COMMAND")
    assert_refused(tiny("run", "host"), 125, "no program was named", "name a program")


def test_too_many_arguments_are_told(tiny, container):
    """More than the kernel takes."""
    done = tiny("exec", "-u", "5", container, "true", *["x" * 100000] * 19)
    assert 0 == done.returncode

    # what we add for the second of two execs is one too many
    full = tiny("exec", container, "sh", "-c", 'a=$(printf %0100000d 0); '
                'exec /bin/true $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a $a')
    assert 0 != full.returncode and "rgument list too long" in full.stderr


@pytest.mark.parametrize("words", [["--rm", "true"], ["--", "-e", "A=1", "true"]], ids=" ".join)
def test_option_behind_the_image_is_told_where_it_belongs(tiny, words):
    """There it is the program, which there is hardly one of."""
    word = [each for each in words if each != "--"][0]
    assert_refused(tiny("run", tiny.image, *words), 127,
                   f'cannot run "{word}" in container "', f"before the image: lpmx run {word} ...")


def test_program_with_the_name_of_an_option_is_run(tiny, tmp_path):
    """It is the user's to have one."""
    (tmp_path / "--rm").write_text("#!/bin/true\n")
    (tmp_path / "--rm").chmod(0o755)

    assert 0 == tiny("run", "-e", f"PATH={tmp_path}", tiny.image, "--rm").returncode


# -- containers and images


def test_missing_image_is_125(tiny):
    """With the command that gets it."""
    assert_refused(tiny("run", "nosuch:1", "true"), 125,
                   'cannot find image "nosuch:1": it is not in the store', "lpmx pull nosuch:1")
    assert_refused(tiny("create", "nosuch:1"), 1,
                   'cannot find image "nosuch:1": it is not in the store', "lpmx pull nosuch:1")


def test_what_is_not_there_need_not_be_pulled_to_be_removed_or_looked_at(tiny, container):
    """The hint is what is there, images and containers."""
    name = tiny.image.partition(":")[0]
    assert_refused(tiny("rmi", name[:-1]), 1, f'cannot find image "{name[:-1]}"',
                   f"the store has {tiny.image}")
    assert_refused(tiny("rmi", "nosuch"), 1, 'cannot find image "nosuch"', 'run "lpmx images"')
    assert_refused(tiny("inspect", "bat"), 1, 'cannot inspect "bat"', 'was container "bad" meant?')
    for command in (["rmi", "nosuch"], ["inspect", "nosuch"], ["history", "nosuch"]):
        assert "pull" not in tiny(*command).stderr


def test_name_that_cannot_be_an_images_is_told(tiny):
    """Rather than looked for."""
    assert_refused(tiny("run", "Not A Name", "true"), 125,
                   'cannot use "Not A Name" as the name of an image', "ubuntu:18.04")


@pytest.mark.parametrize("command", [["exec", "nosuch", "true"], ["exec", "../bad", "true"]])
def test_missing_container_is_125(tiny, container, command):
    """And no name leads out of the store."""
    assert_refused(tiny(*command), 125,
                   f'cannot find container "{command[1]}": there is none of this name', "lpmx ps")


@pytest.mark.parametrize("command", [["stop"], ["rm"], ["env", "list"], ["ps"]])
def test_missing_container_is_1_where_nothing_was_to_run(tiny, command):
    """Our own failures that are not about running."""
    assert_refused(tiny(*command, "nosuch"), 1, 'cannot find container "nosuch"', "lpmx ps")


@pytest.mark.parametrize("name", ["", "a b", "../x", ".hidden", "-x", "x" * 65, "ü"])
def test_name_that_cannot_be_a_containers_is_refused(tiny, name):
    """One word of letters, digits, _ . and -."""
    assert_refused(tiny("create", f"--name={name}", tiny.image), 1,
                   f'cannot use "{name}" as the name of a container', "letter or digit")


def test_second_container_of_a_name_is_refused(tiny, container):
    """What is there stays."""
    assert_refused(tiny("run", "--name", container, tiny.image, "true"), 125,
                   'cannot make container "bad": there is one of this name', "lpmx exec bad")
    assert 0 == tiny("exec", container, "true").returncode


# -- options


@pytest.mark.parametrize("bind, message, hint", [
    ("/nonexistent:/x", 'cannot bind "/nonexistent": there is no such file', "make it first"),
    ("/tmp:relative", "the target must be an absolute path below /", "SRC:/some/where"),
    ("/tmp:/", "the target must be an absolute path below /", "SRC:/some/where"),
    ("/tmp:/x:rx", "it is not SRC[:DST[:ro]]", "src=PATH,dst=PATH"),
    ("src=/tmp,nosuch=1", 'it has an unknown part "nosuch"', "src=PATH,dst=PATH"),
])
def test_bad_bind_is_refused(tiny, bind, message, hint):
    """Before anything is made."""
    assert_refused(tiny("run", "-v", bind, tiny.image, "true"), 125, message, hint)


def test_more_binds_than_there_is_room_for_are_refused(tiny, tmp_path):
    """Rather than left out."""
    options = [f"--bind={tmp_path}:/mnt/{number}" for number in range(70)]

    assert_refused(tiny("run", *options, tiny.image, "true"), 125, "are the most we handle",
                   "bind a directory above")


@pytest.mark.parametrize("user, message", [
    ("nosuch", 'cannot run as "nosuch": image "'),
    ("0:nosuch", 'cannot run with group "nosuch": image "'),
])
def test_unknown_user_is_refused(tiny, container, user, message):
    """A name must be in the image; a number need not."""
    assert_refused(tiny("run", "-u", user, tiny.image, "true"), 125, message, "a number")
    assert_refused(tiny("exec", "-u", user, container, "true"), 125, message, "a number")
    assert 0 == tiny("exec", "-u", "4711:4712", container, "true").returncode


def test_missing_directory_is_refused(tiny, container):
    """exec makes none."""
    assert_refused(tiny("exec", "-w", "/no/where", container, "true"), 125,
                   'cannot enter the directory "/no/where": no such file or directory',
                   "exists in the container")
    assert_refused(tiny("run", "-w", "relative", tiny.image, "true"), 125,
                   "it is not an absolute path", "begin it with /")


@pytest.mark.parametrize("options, message", [
    (["-e", "=x"], 'cannot use the variable "=x": it is not NAME=VALUE'),
    (["--env-file", "/nonexistent"], 'cannot read the variables in "/nonexistent"'),
])
def test_bad_variable_is_refused(tiny, options, message):
    assert_refused(tiny("run", *options, tiny.image, "true"), 125, message, "")


@pytest.mark.parametrize("arguments, message", [
    (["set", "bad", "A"], 'cannot set the variable "A": it is not NAME=VALUE'),
    (["set", "bad", "=1"], 'cannot set the variable "=1": it is not NAME=VALUE'),
    (["set", "bad", "LPMX_VIEW=1"], 'cannot change "LPMX_VIEW" in container "bad"'),
    (["unset", "bad", "A=1"], 'cannot change "A=1" in container "bad"'),
])
def test_bad_live_variable_is_refused(tiny, container, arguments, message):
    assert_refused(tiny("env", *arguments), 1, message, "")


def test_live_variables_that_do_not_fit_are_refused(tiny, container):
    """The page has room for 8 MiB of changes."""
    from lpmx_runtime._native import View
    with View(tiny.store / "containers" / container / "view") as view:
        with pytest.raises(OSError, match="No space left"):
            for _ in range(100):
                view.environment_set("BIG", "x" * 120000)

    done = tiny("env", "set", container, "BIG=" + "x" * 120000)

    assert_refused(done, 125, "the container has no room for more changes", "make a new container")
    assert 0 == tiny("exec", container, "true").returncode


# -- the command line itself


@pytest.mark.parametrize("arguments, message", [
    (["nosuch"], 'cannot run "nosuch": there is no such command'),
    (["run", "--nosuch", "x"], "cannot understand the command line: "),
    (["run"], "cannot understand the command line: "),
    (["stop", "-t", "soon", "x"], "cannot understand the command line: "),
])
def test_wrong_command_line_is_125(tiny, arguments, message):
    """Ours is not to be taken for a program's failure."""
    assert_refused(tiny(*arguments), 125, message, "--help")


def test_mistyped_command_is_told_which_it_may_have_been(tiny):
    """The nearest one, those of other packages among them."""
    assert_refused(tiny("isntall"), 125, "there is no such command", 'was "lpmx install" meant? "lpmx --help"')
    assert_refused(tiny("kernal"), 125, "there is no such command", 'was "lpmx kernel" meant? "lpmx --help"')


def test_store_that_is_none_is_refused(tiny, tmp_path):
    """A relative path, and a directory with other things in it."""
    assert_refused(tiny("images", env={"LPMX_STORE": "relative"}), 1,
                   'cannot use "relative" as the store: it is not an absolute path', "LPMX_STORE")
    (tmp_path / "other").write_text("x")
    assert_refused(tiny("images", env={"LPMX_STORE": str(tmp_path)}), 1,
                   f'cannot use "{tmp_path}" as the store', "LPMX_STORE")


def test_disk_that_is_full_leaves_no_container(tiny):
    """A limit on the size of files stands for it; the store stays as it was."""
    import resource
    before = sorted(os.listdir(tiny.store / "containers"))

    done = tiny("create", "--name", "full", tiny.image,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))

    assert_refused(done, 1, 'cannot store container "full": file too large', "")
    assert before == sorted(os.listdir(tiny.store / "containers"))
    assert [] == os.listdir(tiny.store / "tmp")


# -- what is printed


def test_results_that_cannot_be_written_are_an_error(tiny):
    """A full disk is not an empty list; whoever closed a pipe has read enough."""
    with open("/dev/full", "w") as full:
        done = tiny("images", stdout=full)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        unread = tiny("images", stdout=pipe)

    assert ('lpmx: cannot go on: no space left on device\nhint: run "lpmx check"\n', 125) == (
        done.stderr, done.returncode)
    assert ("", 0) == (unread.stderr, unread.returncode)
    assert 0 == tiny("images", preexec_fn=lambda: os.close(1)).returncode
