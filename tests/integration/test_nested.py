"""`lpmx` in a container: containers that are made there, and what is refused with the reason."""
from __future__ import annotations

import json
import os

import pytest


@pytest.fixture
def outer(tiny, installed):
    """Run a script in a container of this machine's files that shows the store; $LPMX is `lpmx`,
    $IMAGE the tiny image."""
    def run(script, *options, **more):
        return tiny("run", "--bind", tiny.store, "--env", f"LPMX={installed.lpmx}",
                    "--env", f"IMAGE={tiny.image}", *options, "host", "/bin/sh", "-c", script, **more)
    return run


def test_container_in_a_container_has_files_of_its_own(outer):
    """What is written there is in neither the first container nor the host; owners are kept."""
    done = outer('echo one >/etc/made; $LPMX run $IMAGE sh -c "cat /etc/made; echo two >/etc/made; '
                 'chown 5:6 /etc/made; stat -c %u:%g /etc/made; cat /etc/made"; cat /etc/made')

    assert ["5:6", "two", "one"] == done.stdout.splitlines(), done.stderr
    assert "/etc/made" in done.stderr
    assert not os.path.exists("/etc/made")


def test_what_the_first_has_for_itself_the_second_does_not_take_from_the_host(outer, tmp_path):
    """The home and /tmp of a copy of this machine are its own: they are not bound."""
    (tmp_path / "own").write_text("of the host\n")

    done = outer(f'cd {tmp_path}; echo changed >own; '
                 f'$LPMX run $IMAGE sh -c "mkdir -p {tmp_path}; echo inner >{tmp_path}/own; '
                 f'cat {tmp_path}/own"; cat own', env={"HOME": str(tmp_path)})

    assert ["inner", "changed"] == done.stdout.splitlines(), done.stderr
    assert "of the host\n" == (tmp_path / "own").read_text()


def test_bind_of_what_only_the_first_has_is_refused(outer, tmp_path):
    """With the reason, and what can be bound."""
    done = outer(f'$LPMX run --bind {tmp_path} $IMAGE true')

    assert 125 == done.returncode
    assert f'cannot bind "{tmp_path}": it is in container "host-' in done.stderr
    assert "bind what has the same path in both" in done.stderr


@pytest.mark.parametrize("how, expected", [("", "new\n"), (":ro", "")])
def test_what_the_first_may_only_read_the_second_may_only_read(outer, tmp_path, how, expected):
    """And what it may write, the second may."""
    done = outer(f'$LPMX run --bind {tmp_path} $IMAGE sh -c "echo new >{tmp_path}/file"',
                 "--bind", f"{tmp_path}:{tmp_path}{how}")

    assert expected == ((tmp_path / "file").read_text() if (tmp_path / "file").exists() else ""), done.stderr
    assert ("ead-only file system" in done.stderr) == bool(how)


def test_other_commands_work_in_a_container(outer, tiny):
    """A container is made, called, listed as running, ended and removed."""
    done = outer('$LPMX create --name inner $IMAGE && $LPMX exec inner sh -c "echo first >/f" && '
                 '$LPMX exec inner sleep 1000 & until $LPMX ps -q --running | grep -qx inner; do :; done; '
                 '$LPMX exec inner cat /f; $LPMX stop inner; wait; $LPMX rm inner; $LPMX ps -q')

    assert ["inner", "first", "inner", "inner"] == done.stdout.splitlines()[:4], done.stderr
    assert "inner" not in tiny("ps", "-q").stdout.split()


def test_check_in_a_container_tries_what_is_possible_there(outer, tiny, installed):
    """All ways work where the store is shown; where nothing of the host is, it says so."""
    shown = outer("$LPMX check --json")
    not_shown = tiny("run", "host", installed.lpmx, "check", "--json")

    found = [{one["subject"]: one for one in json.loads(done.stdout)} for done in (shown, not_shown)]
    assert (0, 1) == (shown.returncode, not_shown.returncode)
    assert {"ok"} == {found[0][each]["verdict"] for each in
                      ("container in a container", "trap", "preload", "user attributes")}
    assert "missing" == found[1]["container in a container"]["verdict"]
    assert "bind the store" in found[1]["container in a container"]["follows"]
    assert "trap" not in found[1]


def test_attributes_that_are_ours_are_the_host_s_in_what_is_bound(tiny, tmp_path):
    """There a second store may lie; in the container's own files they can neither be set nor seen."""
    code = ("import os\nfor place in ('.', '/etc'):\n"
            "    try: os.setxattr(place, 'user.overlay.opaque', b'y'); file = os.open(place, os.O_RDONLY)\n"
            "    except OSError as error: print(error.strerror)\n"
            "    else: print(os.listxattr(place), os.listxattr(file), os.getxattr(file, 'user.overlay.opaque'))\n")

    done = tiny("run", "--bind", tmp_path, "--workdir", tmp_path, "host", "/usr/bin/python3", "-c", code)

    assert (["['user.overlay.opaque'] ['user.overlay.opaque'] b'y'", "Operation not permitted"]
            == done.stdout.splitlines()), done.stderr
    assert b"y" == os.getxattr(tmp_path, "user.overlay.opaque")
