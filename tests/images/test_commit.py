"""An image made of a container shows what the container showed, here and to other tools."""
from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from support import imageview, layers
from support.layers import file
from support.made import BASE, CONFIG, change, make_image
from support.views import shown

from lpmx_runtime.container import Bind, Container, Options
from lpmx_runtime.errors import (
    CommitFailed,
    InvalidReference,
    InvalidSetting,
    LpmxError,
    UnsupportedImage,
)
from lpmx_runtime.image.archive import load
from lpmx_runtime.image.commit import commit
from lpmx_runtime.image.diff import differences
from lpmx_runtime.image.export import export_container, export_image
from lpmx_runtime.image.save import FORMS, save
from lpmx_runtime.store import Image, Store
from lpmx_runtime.store.collect import collect, remove_image

@pytest.fixture
def image(opened: Store) -> Image:
    return make_image(opened, "base:1", BASE, config=CONFIG)


@pytest.fixture
def container(opened: Store, image: Image) -> Iterator[Container]:
    yield Container.create(opened, image, name="work", options=Options(contain=True))


Shown = Dict[str, Any]
#: Directories of the base that the host's are bound over.
HOSTS = ("/proc", "/sys", "/dev")


def shown_by(store: Store, image: Image, place: Path) -> Shown:
    with imageview.image_view(store, image, place) as view:
        return shown(view, HOSTS)


def shown_in(container: Container) -> Shown:
    with container.view() as view:
        return {path: facts for path, facts in shown(view, HOSTS).items()
                if not path.startswith(("/run", "/etc/hosts", "/etc/resolv.conf"))
                and path not in places(container)}


def places(container: Container) -> List[str]:
    """Where something is bound, and the directories above."""
    found = []
    for bind in container.spec().binds:
        parts = bind.at.split("/")
        found += ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    return [path for path in found if path not in ("/etc", "/tmp")]


# -- commit


def test_committed_image_shows_what_the_container_showed(opened: Store, container: Container,
                                                         tmp_path: Path) -> None:
    """Names, content, owners, modes, devices, links, attributes, what is gone, the root's mode."""
    change(container)

    image = commit(opened, container, "result:1")

    assert shown_in(container) == shown_by(opened, image, tmp_path / "view")
    with Container.create(opened, image).view() as view:
        assert 0o751 == stat.S_IMODE(view.stat("/").st_mode)
    assert image == opened.images.find("result:1")
    assert "committed" == image.origin


def test_commit_adds_one_layer_to_those_of_the_image(opened: Store, image: Image,
                                                     container: Container) -> None:
    """Which are the same, and in the store once."""
    result = commit(opened, container, "result")

    assert image.diff_ids == result.diff_ids[:-1]
    assert len(opened.layers.list()) == 2
    assert result.config["rootfs"]["diff_ids"] == list(result.diff_ids)


def test_container_of_a_committed_image_is_committed(opened: Store, container: Container,
                                                     tmp_path: Path) -> None:
    """Whiteouts over what an earlier commit added."""
    change(container)
    first = commit(opened, container, "first")
    second = Container.create(opened, first, options=Options(contain=True))
    with second.view() as view:
        view.unlink("/owned")
        view.unlink("/old/only")
        view.write("/etc/passwd", b"back\n")

    result = commit(opened, second, "second")

    assert shown_in(second) == shown_by(opened, result, tmp_path / "view")
    assert 3 == len(result.diff_ids)


def test_same_changes_make_the_same_layer(opened: Store, image: Image,
                                          container: Container) -> None:
    """And once more the same."""
    change(container)

    assert commit(opened, container, "a").diff_ids == commit(opened, container, "b").diff_ids


def test_with_a_source_date_the_image_is_the_same_too(opened: Store, container: Container,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is younger, and the time of making is that one."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000")
    change(container)

    first, second = (commit(opened, container, name) for name in ("a", "b"))

    assert first.digest == second.digest
    assert "1970-01-01T00:16:40Z" == first.config["created"]
    fresh = Container.create(opened, first)
    with fresh.view() as view:
        assert 1000 * 10 ** 9 == view.stat("/new").st_mtime_ns
        assert 0 == view.stat("/suid").st_mtime_ns


@pytest.mark.parametrize("text", ["yesterday", "-1", "1e9", "\u0661"])
def test_source_date_that_is_none_is_refused(opened: Store, container: Container, text: str,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is stored."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)

    with pytest.raises(InvalidSetting, match="SOURCE_DATE_EPOCH"):
        commit(opened, container, "a")


def test_untouched_container_makes_an_empty_layer(opened: Store, container: Container,
                                                  image: Image) -> None:
    """Neither binds nor the person who made the container leave a trace."""
    assert [] == differences(container)

    result = commit(opened, container, "result")

    assert 2 * 512 == opened.layers.tar_size(result.diff_ids[-1])


def test_places_of_binds_are_not_in_the_image(opened: Store, image: Image, tmp_path: Path) -> None:
    """Directories made for them are left out unless something else is in them."""
    (tmp_path / "shown").mkdir()
    container = Container.create(opened, image, name="bound", options=Options(contain=True, binds=(
        Bind(str(tmp_path / "shown"), "/mnt/a/b"), Bind(str(tmp_path / "shown"), "/srv/x"))))
    with container.view() as view:
        view.write("/mnt/a/b/hidden", b"on the host")
        view.write("/srv/own", b"")

    result = commit(opened, container, "result")

    assert {"/srv", "/srv/own"} == \
        set(shown_by(opened, result, tmp_path / "view")) \
        - set(shown_by(opened, image, tmp_path / "before"))
    assert [("A", "/srv"), ("A", "/srv/own")] == differences(container)


def test_holes_stay_holes(opened: Store, container: Container, tmp_path: Path) -> None:
    """A file of ten gigabytes with little in it is a small layer."""
    with container.view() as view:
        view.write("/large", b"")
        view.truncate("/large", 10 << 30)
        with open(view.open("/large", os.O_RDWR), "r+b") as large:
            large.seek(5 << 30)
            large.write(b"in the middle")
        view.write("/empty", b"")
        view.truncate("/empty", 1 << 30)

    result = commit(opened, container, "result")

    assert opened.layers.tar_size(result.diff_ids[-1]) < 1 << 20
    with Container.create(opened, result).view() as view:
        assert 10 << 30 == view.stat("/large").st_size
        assert 1 << 30 == view.stat("/empty").st_size
        with open(view.open("/large", os.O_RDONLY), "rb") as large:
            large.seek(5 << 30)
            assert b"in the middle\0" == large.read(14)
    assert (opened.layers.tree(result.diff_ids[-1]) / "large").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("name", [".wh.x", ".wh..wh..opq", ".wh."])
def test_name_that_looks_like_a_whiteout_is_refused(opened: Store, container: Container,
                                                    name: str) -> None:
    """A container may have it, a layer cannot; nothing is stored."""
    with container.view() as view:
        view.mkdir("/dir")
        view.write(f"/dir/{name}", b"")
    before = opened.layers.list()

    with pytest.raises(CommitFailed) as refused:
        commit(opened, container, "result")

    assert f'cannot commit container "work": the name of "/dir/{name}"' in refused.value.message
    assert "rename or remove it" in (refused.value.hint or "")
    assert before == opened.layers.list()


def test_socket_is_left_out(opened: Store, container: Container) -> None:
    """It means nothing without the process that made it."""
    here = os.open(container.upper, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)

    result = commit(opened, container, "result")

    with Container.create(opened, result).view() as view:
        assert not view.exists("/socket")


def test_config_edits(opened: Store, container: Container) -> None:
    """As in a Dockerfile; what is not named stays."""
    result = commit(opened, container, "result", author="me", message="why", changes=[
        'ENV A=1 B="two words"', "ENV KEPT no more", 'CMD ["python3", "-q"]', "WORKDIR /srv",
        "WORKDIR below", "USER 5:6", 'LABEL new="x y" other=z', "EXPOSE 8888 53/udp",
        'VOLUME ["/data"]', "STOPSIGNAL SIGINT", "entrypoint /bin/start now"])

    run = result.config["config"]
    assert ["PATH=/bin", "KEPT=no more", "A=1", "B=two words"] == run["Env"]
    assert ["python3", "-q"] == run["Cmd"]
    assert ["/bin/sh", "-c", "/bin/start now"] == run["Entrypoint"]
    assert ("/srv/below", "5:6", "SIGINT") == (run["WorkingDir"], run["User"], run["StopSignal"])
    assert {"old": "1", "new": "x y", "other": "z"} == run["Labels"]
    assert {"8888/tcp": {}, "53/udp": {}} == run["ExposedPorts"]
    assert {"/data": {}} == run["Volumes"]
    assert "me" == result.config["author"]
    assert ("me", "why") == (result.config["history"][-1]["author"],
                             result.config["history"][-1]["comment"])
    assert 2 == len(result.config["history"])


def test_a_new_entrypoint_drops_the_old_command(opened: Store, container: Container) -> None:
    """It was meant for the old one, as Docker has it."""
    result = commit(opened, container, "result", changes=['ENTRYPOINT ["/bin/start"]'])

    assert "Cmd" not in result.config["config"]


@pytest.mark.parametrize("text, cause", [
    ("RUN make", 'there is no instruction "RUN"'), ("ENV", "nothing follows"),
    ("ENV A", "there is no value"), ('ENV A="b', "its quotes make no sense"),
    ("EXPOSE web", '"web" is no port'), ("EXPOSE 70000", "is no port"),
    ("VOLUME data", "not an absolute path"), ("CMD [1]", "not one of texts"), ("", "no instruction"),
])
def test_edit_that_makes_no_sense_is_refused(opened: Store, container: Container, text: str,
                                             cause: str) -> None:
    """Before anything is stored, with what would make sense."""
    with pytest.raises(InvalidSetting) as refused:
        commit(opened, container, "result", changes=[text])

    assert cause in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("name, kind", [
    ("Upper", InvalidReference), ("a@sha256:" + "0" * 64, InvalidReference), ("", InvalidReference)])
def test_name_that_an_image_cannot_have_is_refused(opened: Store, container: Container, name: str,
                                                   kind: type) -> None:
    """By the rules of references."""
    with pytest.raises(kind):
        commit(opened, container, name)


def test_copy_of_this_machine_cannot_be_committed(opened: Store) -> None:
    """It has no layers below."""
    container = Container.create(opened, opened.images.find("host"), name="copy")

    with pytest.raises(CommitFailed, match="a copy of this machine"):
        commit(opened, container, "result")
    with pytest.raises(CommitFailed, match="a copy of this machine"):
        list(export_container(container))


def test_container_whose_image_was_replaced_is_committed(opened: Store,
                                                         container: Container) -> None:
    """Its layers and its config are kept for it."""
    make_image(opened, "base:1", layers.tar(file(b"other", b"")), config={"Cmd": ["other"]})
    collect(opened)

    result = commit(opened, container, "result")

    assert ["sh"] == result.config["config"]["Cmd"]


def test_commit_under_the_name_of_the_containers_image(opened: Store, container: Container) -> None:
    """The old one gives way, and the container goes on."""
    change(container)
    commit(opened, container, "base:1")
    collect(opened)

    with Container.open(opened, "work").view() as view:
        assert b"changed\n" == view.read("/etc/motd")
        assert b"deep" == view.read("/kept/deep")


def test_container_removed_meanwhile_makes_no_image(opened: Store, container: Container) -> None:
    """Half of what it had would look like all of it."""
    change(container)

    def remove(event: object) -> None:
        if container.directory.exists():
            container.remove()

    with pytest.raises(LpmxError, match="removed meanwhile"):
        commit(opened, container, "result", progress=remove)

    assert ["docker.io/library/base:1"] == [image.name for image in opened.images.list()]
    assert 1 == len(opened.layers.list())


def test_too_many_layers_are_refused_and_leave_nothing(opened: Store) -> None:
    """The store is as it was."""
    tars = [layers.tar(file(b"f%d" % number, b"")) for number in range(255)]
    container = Container.create(opened, make_image(opened, "deep", *tars), name="deep")

    with pytest.raises(UnsupportedImage, match="256 layers"):
        commit(opened, container, "deeper")

    assert 255 == len(opened.layers.list())


# -- diff


def test_diff_tells_what_is_new_changed_and_gone(container: Container) -> None:
    """As Docker does; of a directory made anew also what it no longer has."""
    change(container)

    found = {path: kind for kind, path in differences(container)}

    assert {"/new": "A", "/etc": "C", "/etc/motd": "C", "/etc/passwd": "D", "/old": "C",
            "/old/only": "A", "/old/a": "D", "/old/sub": "D", "/way": "C", "/dir": "A",
            "/dir/many": "A", "/owned": "A", "/mail": "C", "/disk": "A", "/pipe": "A", "/one": "C",
            "/two": "C", "/locked": "A", "/tagged": "A"} == \
        {path: kind for path, kind in found.items() if "name" not in path and "long" not in path}


def test_diff_by_content_leaves_mere_copies_out(container: Container) -> None:
    """A file that was copied up and written again as it was."""
    with container.view() as view:
        view.write("/etc/motd", b"hello\n")
        view.write("/kept/deep", b"DEEP")

    assert [("C", "/etc"), ("C", "/etc/motd"), ("C", "/kept"), ("C", "/kept/deep")] == \
        differences(container)
    assert [("C", "/kept"), ("C", "/kept/deep")] == differences(container, content=True)


# -- export and save


def members(data: bytes, tmp_path: Path) -> Dict[str, tarfile.TarInfo]:
    (tmp_path / "tar").write_bytes(data)
    with tarfile.open(tmp_path / "tar", errors="surrogateescape") as tar:
        return {member.name: member for member in tar}


def test_export_of_a_container_is_that_of_its_image(opened: Store, container: Container,
                                                    tmp_path: Path) -> None:
    """The same tar, and an image of the same files when loaded."""
    change(container)
    image = commit(opened, container, "result")
    tar = b"".join(export_container(container))

    assert tar == b"".join(export_image(opened, image))
    (tmp_path / "export.tar").write_bytes(tar)
    again, = load(opened, tmp_path / "export.tar", name="again")
    assert shown_by(opened, image, tmp_path / "a") == shown_by(opened, again, tmp_path / "b")


@pytest.mark.parametrize("form", FORMS)
def test_saved_image_is_loaded_the_same(opened: Store, container: Container, form: str,
                                        tmp_path: Path) -> None:
    """In another store: digest, config, layers, byte for byte, and what it shows."""
    change(container)
    image = commit(opened, container, "example.org:5000/team/result:1.2")
    (tmp_path / "file").write_bytes(b"".join(save(opened, [image.familiar], form=form)))
    other = Store.open(tmp_path / "other")

    found, = load(other, tmp_path / "file")

    assert (image.name, image.digest, image.config_digest, image.diff_ids) == \
        (found.name, found.digest, found.config_digest, found.diff_ids)
    assert shown_by(opened, image, tmp_path / "a") == shown_by(other, found, tmp_path / "b")


@pytest.mark.parametrize("form", FORMS)
def test_several_images_in_one_file(opened: Store, container: Container, image: Image, form: str,
                                    tmp_path: Path) -> None:
    """Layers that they share are there once; saving again gives the same bytes."""
    results = [commit(opened, container, name) for name in ("a:1", "b:1", "c:2")]
    names = ["base:1", "a:1", "b:1", "c:2", "a:1"]
    data = b"".join(save(opened, names, form=form))

    assert data == b"".join(save(opened, names, form=form))
    hexadecimal = results[0].diff_ids[0].partition(":")[2]
    assert 1 == sum(hexadecimal in name for name in members(data, tmp_path))
    found = load(Store.open(tmp_path / "other"), tmp_path / "tar")
    assert {"base:1", "a:1", "b:1", "c:2"} == {each.familiar for each in found}


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_reads_what_is_saved(opened: Store, container: Container, form: str,
                                    tmp_path: Path) -> None:
    """Every blob is verified when it copies."""
    change(container)
    image = commit(opened, container, "team/result:1")
    path = tmp_path / "file"
    path.write_bytes(b"".join(save(opened, [image.name], form=form)))

    subprocess.run(["skopeo", "--insecure-policy", "copy", "--tmpdir", tmp_path,
                    f"{form}:{path}", f"oci:{tmp_path / 'layout'}:1"], check=True,
                   stdout=subprocess.DEVNULL)

    found, = load(Store.open(tmp_path / "other"), tmp_path / "layout")
    assert image.diff_ids == found.diff_ids


def test_the_commands(opened: Store, container: Container, lpmx: Any, tmp_path: Path) -> None:
    """diff, commit, export and save as people use them."""
    change(container)
    file = tmp_path / "file"

    assert "D /etc/passwd" in lpmx("diff", "work", check=True).stdout.splitlines()
    assert {"kind": "D", "path": "/etc/passwd"} in json.loads(
        lpmx("diff", "--json", "work", check=True).stdout)
    assert "team/x:1\n" == lpmx("commit", "-c", "ENV A=1", "work", "team/x:1", check=True).stdout
    assert "committed" == json.loads(
        lpmx("commit", "--json", "work", "team/y", check=True).stdout)["origin"]
    for name in ("work", "team/x:1"):
        lpmx("export", "-o", file, name, check=True)
        assert tarfile.is_tarfile(file)
    assert lpmx("export", "work", text=False, check=True).stdout == file.read_bytes()
    lpmx("save", "-o", file, "team/x:1", "team/y", check=True)
    assert ["team/x:1\nteam/y:latest\n"] == [lpmx("load", file, check=True).stdout]
    lpmx("save", "--format", "docker-archive", "-o", file, "team/x:1", check=True)
    assert "team/x:1\n" == lpmx("load", file, check=True).stdout


@pytest.mark.parametrize("arguments, said", [
    (["diff", "nobody"], 'cannot find container "nobody"'),
    (["commit", "nobody", "x"], 'cannot find container "nobody"'),
    (["commit", "work", "X"], 'cannot use "X" as the name of an image'),
    (["export", "nobody"], 'cannot export "nobody": there is no container and no image'),
    (["export", "-o", "/nowhere/file", "work"], 'to "/nowhere/file": no such file or directory'),
    (["save", "nobody"], 'cannot find image "nobody"'),
    (["save", "host"], 'cannot save image "host"'),
    (["export", "host"], 'cannot export image "host"'),
])
def test_bad_input_is_told(opened: Store, container: Container, lpmx: Any, arguments: List[str],
                           said: str) -> None:
    """With the thing, the cause and the next step."""
    result = lpmx(*arguments)

    assert 1 == result.returncode
    assert said in result.stderr
    assert "\nhint: " in result.stderr


def test_image_of_a_commit_can_be_removed(opened: Store, container: Container) -> None:
    """And its layer goes with it, the shared one stays."""
    change(container)
    commit(opened, container, "result")

    remove_image(opened, "result")

    assert 1 == len(opened.layers.list())
