"""Kernel specs in step with the store: `lpmx kernel sync`, and a manager that does it by itself."""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from lpmx_jupyter import kernelspecs
from lpmx_jupyter.session import Settings
from lpmx_jupyter.specmanager import LpmxKernelSpecManager
from lpmx_jupyter.sync import Change, sync
from lpmx_runtime.image.archive import load
from lpmx_runtime.store import Store
from support import images as images_module


@pytest.fixture
def own(store: Path, images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of the test's own with the image `tiny`, and a Jupyter with no kernel specs."""
    monkeypatch.setenv("LPMX_STORE", str(store))
    for name in ("data", "runtime", "config"):
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(tmp_path / name))
    opened = Store.open(store)
    load(opened, images.get("tiny").layout, name="tiny:1")
    return opened


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.exists() else []


def test_images_are_added_once_and_taken_away_with_the_image(own: Store, tmp_path: Path) -> None:
    """Nothing is touched that is as it should be."""
    place = tmp_path / "kernels"

    assert [] == sync(own, directory=place)
    assert [Change("lpmx-tiny1", "written")] == sync(own, directory=place, add=True)
    file = place / "lpmx-tiny1" / "kernel.json"
    before = file.stat()
    assert [] == sync(own, directory=place, add=True)
    assert before.st_mtime_ns == file.stat().st_mtime_ns

    own.images.remove("docker.io/library/tiny:1")

    assert [("lpmx-tiny1", "removed")] == [change[:2] for change in sync(own, directory=place)]
    assert [] == names(place)


def test_what_has_changed_is_written_anew_with_its_settings(own: Store, tmp_path: Path) -> None:
    """An installation that moved; what the user chose stays."""
    place = tmp_path / "kernels"
    kernelspecs.install(own, "tiny:1", Settings(contain=True, env={"A": "b"}), directory=place,
                        name="mine", display_name="My own", transport="tcp")
    file = place / "mine" / "kernel.json"
    wanted = json.loads(file.read_text())
    file.write_text(json.dumps({**wanted, "argv": ["/gone/python", *wanted["argv"][1:]]}))

    [change] = sync(own, directory=place)

    assert ("mine", "written", "other argv") == change
    assert wanted == json.loads(file.read_text())


def test_kernel_that_an_image_has_no_more_is_left_and_told(own: Store, tmp_path: Path) -> None:
    """Of an image that was replaced by another of its name, or that cannot be read this moment."""
    place = tmp_path / "kernels"
    sync(own, directory=place, add=True)
    file = place / "lpmx-tiny1" / "kernel.json"
    values = json.loads(file.read_text())
    values["metadata"]["kernel_provisioner"]["config"]["kernel"] = "ir"
    file.write_text(json.dumps(values))

    [change] = sync(own, directory=place)

    assert ("lpmx-tiny1", "left", 'image "tiny:1" has no kernel "ir" any more: '
            '"lpmx kernel remove lpmx-tiny1"') == change


def test_store_that_is_out_of_sight_is_no_reason_to_remove(
        own: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another store, one of a site that is not mounted, a server that must not remove."""
    place = tmp_path / "kernels"
    sync(own, directory=place, add=True)
    other = Store.open(tmp_path / "other")
    [elsewhere] = sync(other, directory=place)
    own.images.remove("docker.io/library/tiny:1")
    [kept] = sync(own, directory=place, remove=False)
    monkeypatch.setenv("LPMX_SITE_STORES", "/not/mounted")
    [unmounted] = sync(Store.open(own.path), directory=place)

    assert ["left"] * 3 == [each.what for each in (elsewhere, kept, unmounted)]
    assert f'made with the store "{own.path}"' in elsewhere.why
    assert '"/not/mounted" cannot be read' in unmounted.why
    assert ["lpmx-tiny1"] == names(place)
    images_module.remove(other.path)


def test_what_a_user_added_to_a_spec_stays(own: Store, tmp_path: Path) -> None:
    """Jupyter's own key for variables, metadata, a title, a logo, a private mode of the folder."""
    place = tmp_path / "kernels"
    sync(own, directory=place, add=True)
    folder = place / "lpmx-tiny1"
    values = json.loads((folder / "kernel.json").read_text())
    wanted = {**values, "env": {"MY": "own"}, "display_name": "Mine",
              "metadata": {**values["metadata"], "mine": 1}}
    (folder / "kernel.json").write_text(json.dumps({**wanted, "argv": ["/gone"]}))
    (folder / "logo-svg.svg").write_text("<svg id='mine'/>")

    [change] = sync(own, directory=place)

    assert "other argv" == change.why
    assert wanted == json.loads((folder / "kernel.json").read_text())
    assert "<svg id='mine'/>" == (folder / "logo-svg.svg").read_text()
    kernelspecs.install(own, "tiny:1", Settings(), directory=place)
    assert "<svg id='mine'/>" == (folder / "logo-svg.svg").read_text()


def test_one_bad_spec_is_told_and_the_others_are_looked_at(own: Store, tmp_path: Path) -> None:
    """Somebody's reference that is none; a folder that another process is just making."""
    place = tmp_path / "kernels"
    sync(own, directory=place, add=True)
    for name, image in (("a-bad", "Bad Name!!"), (".lpmx-x.half", "gone:1"), ("z-gone", "gone:1")):
        shutil.copytree(place / "lpmx-tiny1", place / name)
        file = place / name / "kernel.json"
        file.write_text(file.read_text().replace("tiny:1", image))

    assert [("a-bad", "left"), ("z-gone", "removed")] == [
        change[:2] for change in sync(own, directory=place)]
    assert (place / ".lpmx-x.half").exists()


def test_site_can_be_read_whatever_the_umask(own: Store, tmp_path: Path) -> None:
    """What an administrator with umask 077 installs is for all."""
    before = os.umask(0o077)
    try:
        sync(own, directory=tmp_path / "share/kernels", add=True)
    finally:
        os.umask(before)
    folder = tmp_path / "share/kernels/lpmx-tiny1"

    assert [0o755, 0o755, 0o755, 0o644, 0o644] == [path.stat().st_mode & 0o777 for path in (
        folder.parent.parent, folder.parent, folder, folder / "kernel.json", folder / "logo-svg.svg")]


def test_variables_in_ones_own_kernel_spec_are_for_oneself(own: Store) -> None:
    """They may be secret."""
    [spec] = kernelspecs.install(own, "tiny:1", Settings(env={"TOKEN": "s3cret"}))

    assert 0o600 == (spec.folder / "kernel.json").stat().st_mode & 0o777


def test_link_to_a_spec_is_removed_and_not_what_it_leads_to(own: Store, tmp_path: Path) -> None:
    """Somebody's dotfiles."""
    place = tmp_path / "kernels"
    sync(own, directory=place, add=True)
    (place / "lpmx-tiny1").rename(tmp_path / "dotfiles")
    (place / "lpmx-tiny1").symlink_to(tmp_path / "dotfiles")
    own.images.remove("docker.io/library/tiny:1")

    assert ["removed"] == [change.what for change in sync(own, directory=place)]
    assert [] == names(place)
    assert (tmp_path / "dotfiles/kernel.json").exists()


@pytest.mark.parametrize("key,value", [("imaeg", "tiny:1"), ("binds", "/data"), ("contain", "yes"),
                                       ("transport", "udp"), ("env", {"A": 1})])
def test_spec_that_says_what_we_do_not_know_is_left_and_told(own: Store, tmp_path: Path, key: str,
                                                             value: Any) -> None:
    """Somebody wrote it: it is theirs to correct."""
    place = tmp_path / "kernels"
    sync(own, directory=place, add=True)
    file = place / "lpmx-tiny1" / "kernel.json"
    values = json.loads(file.read_text())
    values["metadata"]["kernel_provisioner"]["config"][key] = value
    file.write_text(json.dumps(values))

    [change] = sync(own, directory=place)

    assert ("lpmx-tiny1", "left", f'its setting "{key}" is none that we know') == change
    assert values == json.loads(file.read_text())


def test_specs_of_others_are_not_looked_at(own: Store, tmp_path: Path) -> None:
    """Another kernel's folder stays, whatever is in it."""
    place = tmp_path / "kernels"
    (place / "python3").mkdir(parents=True)
    (place / "python3" / "kernel.json").write_text("{")

    assert ["lpmx-tiny1"] == [change.name for change in sync(own, directory=place, add=True)]
    assert ["lpmx-tiny1", "python3"] == names(place)


def test_spec_of_a_kept_container_outlives_the_image(own: Store, tmp_path: Path) -> None:
    """The kernel runs in the container, which needs the image's name no more."""
    from lpmx_jupyter.session import KernelSession
    from lpmx_runtime.container import Container
    place = tmp_path / "kernels"
    settings = Settings(container="work")
    kernelspecs.install(own, "tiny:1", settings, directory=place)
    container = Container.create(own, own.images.find("tiny:1"), name="work")
    own.images.remove("docker.io/library/tiny:1")

    assert [] == sync(own, directory=place)
    session = KernelSession.begin(Settings(image="tiny:1", container="work"), kernel_id="k")
    assert "work" == session.container.name
    session.leave()
    container.remove()


def test_command_syncs_a_site(own: Store, tmp_path: Path, lpmx: Any) -> None:
    """`lpmx kernel sync --all --prefix`."""
    words = ("kernel", "sync", "--all", "--prefix", tmp_path / "site")

    assert "written lpmx-tiny1\n" == lpmx(*words, check=True).stdout
    assert [] == json.loads(lpmx(*words, "--json", check=True).stdout)
    assert ["lpmx-tiny1"] == names(tmp_path / "site/share/jupyter/kernels")

    refused = lpmx("kernel", "sync", "--all", "--prefix", "/proc/none")
    assert refused.returncode
    assert refused.stderr.splitlines()[0].startswith("lpmx: cannot install the kernel in")


def test_manager_offers_the_images_that_there_are(own: Store) -> None:
    """As an opt-in; installed specs go before its own."""
    manager = LpmxKernelSpecManager()

    assert manager.find_kernel_specs()
    assert "lpmx-tiny1" == LpmxKernelSpecManager().get_kernel_spec("lpmx-tiny1").resource_dir.split("/")[-1]
    assert "lpmx-tiny1" in manager.find_kernel_specs()
    assert "LPMX: tiny1" == manager.get_kernel_spec("lpmx-tiny1").display_name

    own.images.remove("docker.io/library/tiny:1")

    assert "lpmx-tiny1" not in manager.find_kernel_specs()
