"""Images and containers in one file, from one store to another."""
from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

import pytest
from support import layers
from support.facts import of_view
from support.made import BASE, CONFIG, change, make_image
from support.pulls import snapshot
from support.small_registry import digest

from lpmx_runtime.container import Bind, Container, Options, links
from lpmx_runtime.container.links import Link
from lpmx_runtime.errors import CommitFailed, ContainerExists, InvalidSetting, LpmxError
from lpmx_runtime.image import carried
from lpmx_runtime.image.archive import load, load_all
from lpmx_runtime.image.bundle import bundle
from lpmx_runtime.image.diff import differences
from lpmx_runtime.image.opened import opened_container
from lpmx_runtime.progress import Note
from lpmx_runtime.store import Store


@pytest.fixture
def worked(opened: Store, tmp_path: Path) -> Container:
    """A container in which something of everything was done."""
    (tmp_path / "bound").mkdir()
    image = make_image(opened, "base:1", BASE, config=CONFIG)
    container = Container.create(opened, image, name="work", options=Options(
        contain=True, env={"GIVEN": "é"}, workdir="/srv",
        binds=(Bind(str(tmp_path / "bound"), "/data", True),)), labels={"made": "by a test"})
    change(container)
    container.environment.set("LIVE", "yes\udcff")
    container.environment.unset("KEPT")
    return container


@pytest.fixture
def file(opened: Store, worked: Container, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.tar"
    path.write_bytes(b"".join(bundle(opened, [worked], extras={"other": [1, "two"]})))
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "elsewhere")


def files_of(container: Container) -> Dict[str, Any]:
    """What is there, but for the places of binds, which every container makes anew."""
    with opened_container(container, failing="cannot look") as opened:
        return {path: facts for path, facts in of_view(opened.view).items()
                if os.fsencode(path).lstrip(b"/") not in opened.places
                or opened.lower.exists(path)}


def test_a_container_is_the_same_in_another_store(worked: Container, file: Path,
                                                  elsewhere: Store) -> None:
    """Its files, what of them is changed, its options, its variables, and the image's name."""
    loaded = load_all(elsewhere, file)

    there, = loaded.containers
    assert ["base:1"] == [image.familiar for image in loaded.images]
    assert files_of(worked) == files_of(there)
    assert list(differences(worked)) == list(differences(there))
    assert worked.options == there.options
    assert {"LIVE": "yes\udcff", "KEPT": None} == there.environment.live()
    for key in ("name", "image", "digest", "config_digest", "diff_ids", "config", "identity",
                "labels"):
        assert worked.record[key] == there.record[key]
    assert {"other": [1, "two"]} == loaded.extras
    assert list(there.record["diff_ids"]) == elsewhere.layers.list()
    assert elsewhere.blobs.has(there.record["config_digest"])


def test_whatever_was_done_to_the_image_is_done_again(opened: Store, elsewhere: Store) -> None:
    """Files in the place of directories and links, and the other way round; empty changes."""
    image = make_image(opened, "base:1", BASE)
    first = Container.create(opened, image, name="first", options=Options(contain=True))
    Container.create(opened, image, name="second", options=Options(contain=True))
    with first.view() as view:
        view.unlink("/old/a")
        view.mkdir("/old/a")
        view.write("/old/a/file", b"1")
        view.unlink("/kept/deep")
        view.rmdir("/kept")
        view.symlink("old", "/kept")
        view.rename("/etc/motd", "/etc/moved")
        view.unlink("/two")
        view.write("/holes", b"")
        view.truncate("/holes", 10 << 20)
    pieces = b"".join(bundle(opened, [Container.open(opened, "first"),
                                      Container.open(opened, "second"), image]))

    loaded = load_all(elsewhere, _written(elsewhere.path.parent / "file", pieces))

    assert ["first", "second"] == [container.name for container in loaded.containers]
    for container in loaded.containers:
        assert files_of(Container.open(opened, container.name)) == files_of(container)
    holes = loaded.containers[0].upper / "holes"
    assert holes.stat().st_size == 10 << 20 and holes.stat().st_blocks < 1000


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_its_image_may_be_gone(opened: Store, worked: Container, elsewhere: Store,
                               tmp_path: Path) -> None:
    """Of a name that means another image by now nothing is in the bundle but the layers."""
    make_image(opened, "base:1", layers.tar(layers.file(b"other")))
    path = _written(tmp_path / "file", b"".join(bundle(opened, [worked])))

    loaded = load_all(elsewhere, path)

    assert [] == loaded.images == elsewhere.images.list()
    assert files_of(worked) == files_of(loaded.containers[0])


def test_it_is_an_archive_for_other_tools(worked: Container, file: Path, elsewhere: Store,
                                          tmp_path: Path) -> None:
    """skopeo copies the image and the container; the latter is an image of what it had."""
    for name in ("1", "container-work"):
        subprocess.run(["skopeo", "--insecure-policy", "copy", f"oci-archive:{file}:{name}",
                        f"oci-archive:{tmp_path / name}:{name}"], check=True,
                       stdout=subprocess.DEVNULL)

    state, = load(elsewhere, tmp_path / "container-work", name="state:1")
    there = Container.create(elsewhere, state, name="new", options=Options(contain=True))
    assert files_of(worked) == files_of(there)
    assert load(elsewhere, tmp_path / "1", name="same:1")[0].diff_ids == state.diff_ids[:-1]


def test_images_can_be_taken_alone(file: Path, elsewhere: Store) -> None:
    """`load` is for images; a container of the bundle is none."""
    loaded = load_all(elsewhere, file, containers=False)

    assert (["base:1"], [], {}) == ([image.familiar for image in loaded.images],
                                    loaded.containers, loaded.extras)


def test_a_name_that_is_taken(opened: Store, file: Path, unchanged: Callable[[], None]) -> None:
    """Nothing is loaded; another name can be given."""
    with pytest.raises(ContainerExists) as caught:
        load_all(opened, file)
    unchanged()
    assert "--rename work=NAME" in (caught.value.hint or "")
    with pytest.raises(InvalidSetting, match='no container "none"'):
        load_all(opened, file, renamed={"none": "other"})

    other, = load_all(opened, file, renamed={"work": "other"}).containers

    assert "other" == other.name
    other.remove()
    Store.open(opened.path).images.remove("docker.io/library/base:1")
    load(opened, file)   # as it was, for `unchanged`


@pytest.fixture
def unchanged(opened: Store, file: Path) -> Callable[[], None]:
    before = snapshot(opened.path)

    def check() -> None:
        assert before == snapshot(opened.path)

    return check


def test_what_is_bound_must_be_here(opened: Store, file: Path, elsewhere: Store,
                                    tmp_path: Path) -> None:
    """A bind whose source this machine lacks is left out and told."""
    (tmp_path / "bound").rmdir()
    told: List[object] = []

    there, = load_all(elsewhere, file, progress=told.append).containers

    assert () == there.options.binds
    assert [f'container "work": "{tmp_path / "bound"}" is not on this machine, and so not bound '
            'at "/data"'] == [event.text for event in told if isinstance(event, Note)]


def test_a_copy_of_this_machine_is_not_carried(opened: Store) -> None:
    container = Container.create(opened, opened.images.get("host"), name="copy")

    with pytest.raises(CommitFailed, match="copy of this machine"):
        list(bundle(opened, [container]))


# -- damaged, or meant to harm


def members(file: Path) -> Dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
                for member in tar if member.isreg()}


def blob(files: Dict[str, bytes], value: Any) -> Dict[str, Any]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    files["blobs/" + digest(data).replace(":", "/")] = data
    return {"digest": digest(data), "size": len(data)}


def read(files: Mapping[str, bytes], descriptor: Mapping[str, Any]) -> Any:
    return json.loads(files["blobs/" + descriptor["digest"].replace(":", "/")])


def rewritten(file: Path, edit: Callable[[Dict[str, Any], Dict[str, bytes]], None],
              layer: bytes = b"") -> Path:
    """The bundle with the config of its container edited, all digests right again."""
    files = members(file)
    index = json.loads(files["index.json"])
    entry = next(entry for entry in index["manifests"]
                 if "io.lpmx.container" in entry["annotations"])
    manifest = read(files, entry)
    config = read(files, manifest["config"])
    if layer:
        manifest["layers"][-1].update(blob(files, layer))
        config["rootfs"]["diff_ids"][-1] = digest(layer)
    edit(config, files)
    manifest["config"].update(blob(files, config))
    entry.update(blob(files, manifest))
    files["index.json"] = json.dumps(index).encode()
    path = file.with_name("rewritten.tar")
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def container(**changes: Any) -> Callable[[Dict[str, Any], Dict[str, bytes]], None]:
    return lambda config, files: config["io.lpmx.container"].update(changes)


def option(**changes: Any) -> Callable[[Dict[str, Any], Dict[str, bytes]], None]:
    return lambda config, files: config["io.lpmx.container"]["options"].update(changes)


@pytest.mark.parametrize(("edit", "cause"), [
    (container(version=2), "version 2, and we read version 1"),
    (container(version=True), '"version" of a container'),
    (container(name="../../etc"), "as the name of a container"),
    (container(name=["x"]), '"name" of a container'),
    (container(image="NO:image:"), "image"),
    (container(digest="sha256:../../x"), "by no digest"),
    (container(config="sha256:" + 64 * "0"), "it has no file"),
    (container(live=[]), '"live" of a container'),
    (container(live={"A": 1}), "live variables"),
    (container(labels={"A": 1}), "labels of a container"),
    (container(live={"A\0B": "1"}), "live variables"),
    (container(live={"LPMX_STORE": "/x"}), 'the live variable "LPMX_STORE"'),
    (container(options=None), '"options" of a container'),
    (option(env={"A=B": "1"}), 'option "env"'),
    (option(user=3), 'option "user"'),
    (option(contain="no"), 'option "contain"'),
    (option(binds=[["relative", "/x", False]]), "binds of a container"),
    (option(binds=[["/tmp", "/..", False]]), "binds of a container"),
    (option(binds=[["/tmp", "/x"]]), "binds of a container"),
    (option(binds=7), "binds of a container"),
    (option(env={"A": "\ud800"}), 'option "env"'),
    (option(workdir="/\ud800"), 'option "workdir"'),
    (container(labels={"A": "\ud800"}), "labels of a container"),
    (lambda config, files: config.update({"io.lpmx.container": 7}), "does not say what it is"),
    (lambda config, files: config["rootfs"].update(diff_ids=[]), "layers"),
    (lambda config, files: config.update(architecture="sparc"), "sparc"),
])
def test_a_bundle_that_makes_no_sense(file: Path, elsewhere: Store, edit: Any, cause: str) -> None:
    """The cause is told, and nothing is stored."""
    before = snapshot(elsewhere.path)

    with pytest.raises(LpmxError) as caught:
        load_all(elsewhere, rewritten(file, edit))

    assert cause in str(caught.value)
    assert before == snapshot(elsewhere.path)


@pytest.mark.parametrize(("layer", "cause"), [
    (layers.tar(layers.file(b"../../escaped", b"x")), "escaped"),
    (layers.tar(layers.symlink(b"out", b"/tmp"), layers.file(b"out/escaped", b"x")), "escaped"),
    (b"no tar at all" * 100, "tar"),
])
def test_changes_that_would_land_elsewhere(file: Path, elsewhere: Store, layer: bytes, cause: str,
                                           tmp_path: Path) -> None:
    """A layer of a container is checked as any other, and nothing is written outside."""
    before = snapshot(elsewhere.path)
    path = rewritten(file, lambda config, files: None, layer)

    try:
        made = load_all(elsewhere, path).containers
    except LpmxError as error:
        assert "layer" in str(error)
        assert before == snapshot(elsewhere.path)
    else:
        assert cause == "escaped"
        with made[0].view() as view:
            assert view.lstat("/out/escaped").st_size == 1
    assert not list(tmp_path.rglob("escaped")) or (elsewhere.path in next(
        tmp_path.rglob("escaped")).parents)
    assert not Path("/tmp/escaped").exists()


def test_through_a_link_of_the_image_nothing_leaves_the_container(opened: Store, elsewhere: Store,
                                                                  tmp_path: Path) -> None:
    """A changed file below what is a link in the image lands where the link leads inside."""
    target = tmp_path / "outside"
    target.mkdir()
    image = make_image(opened, "base:1", layers.tar(
        layers.directory(b"etc"), layers.symlink(b"way", os.fsencode(target))))
    Container.create(opened, image, name="work", options=Options(contain=True))
    file = _written(tmp_path / "bundle.tar",
                    b"".join(bundle(opened, [Container.open(opened, "work")])))
    layer = layers.tar(layers.file(b"way/escaped", b"x"))

    there, = load_all(elsewhere, rewritten(file, lambda config, files: None, layer)).containers

    assert [] == list(target.iterdir())
    with there.view() as view:
        assert b"x" == view.read("/way/escaped")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.8])
def test_a_bundle_that_is_cut_short(file: Path, elsewhere: Store, share: float) -> None:
    before = snapshot(elsewhere.path)
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * share)])

    with pytest.raises(LpmxError):
        load_all(elsewhere, file)

    assert before == snapshot(elsewhere.path)


# -- by the commands


def test_the_commands_carry_kernels(images: Any, lpmx: Any, tmp_path: Path) -> None:
    """What `lpmx kernel install` made for an image is made again where the bundle is loaded."""
    here = {"JUPYTER_DATA_DIR": str(tmp_path / "here")}
    there = {"JUPYTER_DATA_DIR": str(tmp_path / "there"), "LPMX_STORE": str(tmp_path / "there/s")}
    lpmx("load", images.archive("tiny", "oci-archive"), "--name", "tiny:1", check=True)
    lpmx("create", "--name", "work", "tiny:1", check=True)
    lpmx("exec", "work", "--", "sh", "-c", "echo done >/result", check=True)
    lpmx("kernel", "install", "tiny:1", "--container", "work", "-e", "A=1",
         "--display-name", "Mine", env=here, check=True)
    lpmx("bundle", "-o", tmp_path / "file", "work", env=here, check=True)

    done = lpmx("load", tmp_path / "file", "--rename", "work=play", env=there, check=True)

    assert "tiny:1\nplay\n" == done.stdout
    assert 'installed the kernel "Mine"' in done.stderr
    kernel = json.loads(next((tmp_path / "there/kernels").glob("*/kernel.json")).read_text())
    assert ({"image": "tiny:1", "container": "play", "env": {"A": "1"}}
            == kernel["metadata"]["kernel_provisioner"]["config"])
    assert "done\n" == lpmx("exec", "play", "--", "cat", "/result", env=there, check=True).stdout


def test_links_and_commands_travel(images: Any, lpmx: Any, tmp_path: Path) -> None:
    """To a container of the bundle under its new name, and to the host; what is not there is
    told. Commands on the PATH are made only where that is asked for."""
    there = {"LPMX_STORE": str(tmp_path / "there/s"), "HOME": str(tmp_path / "there")}
    lpmx("load", images.archive("tiny", "oci-archive"), "--name", "tiny:1", check=True)
    for name in ("work", "tools", "gone"):
        lpmx("create", "--name", name, "tiny:1", check=True)
    lpmx("exec", "tools", "--", "sh", "-c",
         "printf '#!/bin/sh\necho tool $1 $MINE\n' >/bin/tool; chmod +x /bin/tool; "
         "cp /bin/tool /bin/lost", check=True)
    lpmx("exec", "gone", "--", "sh", "-c", "cp /bin/sh /bin/tool", check=True)
    lpmx("link", "work", "tool=tools:/bin/tool", "--env", "MINE=yes", check=True)
    lpmx("link", "work", "answer=host:/usr/bin/true", "lost=gone:/bin/tool", check=True)
    lpmx("expose", "tools", "/bin/tool", "--as", "ours", "--dir", tmp_path / "bin", check=True)
    lpmx("bundle", "-o", tmp_path / "file", "work", "tools", check=True)

    done = lpmx("load", tmp_path / "file", "--rename", "tools=kit", env=there, check=True)

    assert "tool a yes\n" == lpmx("exec", "work", "--", "tool", "a", env=there, check=True).stdout
    assert 0 == lpmx("exec", "work", "--", "answer", env=there).returncode
    assert 'of container "work" is linked to "kit:/bin/tool"' in done.stderr
    assert 'there is no container "gone"' in done.stderr
    assert '"lpmx expose kit /bin/tool --as ours" makes it' in done.stderr
    assert not (tmp_path / "there/.local").exists()
    lpmx("rm", "-f", "work", "kit", env=there, check=True)
    lpmx("load", tmp_path / "file", "--expose", env=there, check=True)
    assert "tool b\n" == subprocess.run([tmp_path / "there/.local/bin/ours", "b"], check=True,
                                        stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("said", [
    {"links": 3}, {"links": [{"path": "x"}]}, {"exposed": ["x"]}, {"exposed": [["x", 3]]},
    {"links": [{"path": "rel", "target": "host:/x", "cwd": None, "env": {}, "passes": None}]},
    {"links": [{"path": "/x", "target": "host", "cwd": None, "env": {}, "passes": None}]},
    {"links": [{"path": "/x", "target": "host:/x", "cwd": 1, "env": {}, "passes": None}]},
    {"links": [{"path": "/x", "target": "host:/x", "cwd": None, "env": {"A": 1}, "passes": None}]},
    {"links": [{"path": "/x", "target": "host:/x", "cwd": None, "env": {}, "passes": "A"}]},
    {"links": [{"path": "/\ud800", "target": "host:/x", "cwd": None, "env": {}, "passes": None}]},
    {"exposed": [["x", "/bin/\ud800"]]}], ids=ascii)
def test_links_that_make_no_sense(said: Dict[str, Any]) -> None:
    """Are none; a bundle of an older version says nothing of them."""
    assert carried.parse(said) is None
    assert carried.Carried() == carried.parse({})


def test_what_a_hostile_bundle_says_of_links(opened: Store) -> None:
    """What cannot be made is told and no more; a command to copy means what it shows."""
    container = Container.create(opened, make_image(opened, "base:1", BASE), name="work",
                                 options=Options(contain=True))
    told: List[Any] = []
    said = carried.Carried((Link("/usr/" + "x" * 300, "host:/bin/sh"), Link("/", "host:/bin/sh")),
                           (("x; rm -rf ~", "/bin/a b"),))

    carried.make([(container, said)], {}, False, told.append)

    long, root, command = (note.text for note in told)
    assert "file name too long" in long
    assert "is not executable" in root
    assert "lpmx expose work '/bin/a b' --as 'x; rm -rf ~'" in command
    assert not links.of_container(container)


@pytest.mark.root
def test_a_bundle_is_loaded_where_there_is_no_network(images: Any, installed: Any, lpmx: Any,
                                                      tmp_path: Path) -> None:
    """In a network namespace without a route, without so much as a loopback that is up."""
    lpmx("load", images.archive("tiny", "oci-archive"), "--name", "tiny:1", check=True)
    lpmx("create", "--name", "work", "tiny:1", check=True)
    lpmx("exec", "work", "--", "sh", "-c", "echo done >/result", check=True)
    lpmx("bundle", "-o", tmp_path / "file", "work", check=True)
    script = ('test -z "$(tail -n +2 /proc/net/route; grep -v " lo$" /proc/net/ipv6_route)" && '
              f'"{installed.lpmx}" load -q "$1" && "{installed.lpmx}" exec work -- cat /result')

    done = subprocess.run(["unshare", "--net", "sh", "-c", script, "sh", str(tmp_path / "file")],
                          env={**os.environ, "LPMX_STORE": str(tmp_path / "there")},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    assert (0, "tiny:1\nwork\ndone\n") == (done.returncode, done.stdout), done.stderr
