"""Support layers: an image's own Python, with wheels of ours, as the kernel."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Iterator

import jupyter_kernel_test
import pytest
from lpmx_jupyter import kernels, kernelspecs, pythons, support, wheels
from lpmx_jupyter.pythons import Python, Unfit
from lpmx_jupyter.session import Settings
from lpmx_runtime.store import Store
from lpmx_runtime.store.collect import collect
from support.imagetree import Tree
from support.notebooks import Jupyter, jupyter_in
from support.samples import Python as Samples

BULLSEYE = Python("/usr/bin/python3", (3, 9), "glibc", (2, 31), os.uname().machine)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def index(images: Any) -> Iterator[Path]:
    """pip's configuration: the only index is a directory."""
    place = images.get("wheels").directory / "wheels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(place))
        yield Path(place)


@pytest.fixture(scope="module")
def layer(_loaded: Any, index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Layer]:
    """The support layer for bullseye, which is made when a kernel of that is installed."""
    with jupyter_in(tmp_path_factory.mktemp("jupyter"), _loaded) as jupyter:
        jupyter.install("bullseye")
        store = Store.open()
        [made] = support.layers(store)
    yield made
    store.images.remove(made.image.name)
    collect(store)
    _loaded.layers.pop(made.image.diff_ids[0].replace(":", "/"), None)


@pytest.fixture
def spec(jupyter: Jupyter, layer: support.Layer) -> str:
    """A kernel spec of bullseye."""
    return jupyter.install("bullseye")


# -- which Python an image has


def _libc(tree: Tree) -> None:
    """The host's Python and its libc, as an image's."""
    shutil.copy(os.path.realpath("/usr/bin/python3"), tree.file("/usr/bin/python3.11"))
    triple = f"{os.uname().machine}-linux-gnu"
    shutil.copy(f"/lib/{triple}/libc.so.6", tree.file(f"/usr/lib/{triple}/libc.so.6"))
    tree.link("/lib", "usr/lib")


def test_version_and_libc_of_a_python_are_read_from_its_files(tree: Tree) -> None:
    """The name behind the links says the version, the loader it asks for the libc."""
    _libc(tree)
    tree.link("/usr/bin/python3", "python3.11")

    with tree.view() as view:
        python = pythons.look(view, "/usr/bin/python3")

    libc = tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")))  # type: ignore[union-attr]
    assert ("/usr/bin/python3", (3, 11), "glibc") == python[:3]
    assert (2, 17) < python.libc_version <= libc


def test_python_whose_name_says_nothing_is_known_by_its_library(tree: Tree) -> None:
    """A copy called python3, as some images have it."""
    _libc(tree)
    (tree.root / "usr/bin/python3.11").rename(tree.root / "usr/bin/python3")
    tree.file("/usr/lib/python3.7/os.py")

    with tree.view() as view:
        assert (3, 7) == pythons.look(view, "/usr/bin/python3").version


def test_musl_is_told_by_its_loader(tree: Tree) -> None:
    """musl says its version in the loader, which is the library."""
    compiler = shutil.which("musl-gcc")
    assert compiler is not None, "musl-tools is not installed"
    program = tree.file("/usr/bin/python3.12", "int main(void) { return 0; }")
    subprocess.run([compiler, "-x", "c", str(program), "-o", f"{program}.new"], check=True)
    os.rename(f"{program}.new", program)
    loader = f"ld-musl-{os.uname().machine}.so.1"
    shutil.copy(f"/lib/{loader}", tree.file(f"/lib/{loader}"))

    with tree.view() as view:
        python = pythons.look(view, "/usr/bin/python3.12")

    assert "musl" == python.libc
    assert (1, 1) <= python.libc_version < (2,)
    assert f"musllinux_1_1_{python.machine}" in wheels.platforms(python)


@pytest.mark.parametrize("name,content,cause", [
    ("python3.11", "script", "no program that a machine executes"),
    ("python3.5", "program", "older than 3.6"),
    ("python3.13t", "program", 'variant "t" of Python 3.13'),
    ("pypy3.10", "program", "is no CPython"),
    ("python3.11", "static", "is static"),
    ("python3.11", "no libc", "does not say its version"),
])
def test_python_that_no_wheels_fit_is_told_apart(tree: Tree, name: str, content: str,
                                                 cause: str) -> None:
    """Each for its own reason."""
    program = tree.file(f"/usr/bin/{name}", "#!/bin/sh\n")
    if content == "static":
        shutil.copy("/bin/busybox", program)
    elif content != "script":
        shutil.copy(os.path.realpath("/usr/bin/python3"), program)

    with tree.view() as view, pytest.raises(Unfit, match=cause):
        pythons.look(view, f"/usr/bin/{name}")


# -- which layer fits, and what is put into one


def test_layer_fits_its_version_and_every_newer_libc() -> None:
    """One for all images with that Python; what needs a newer libc is not for this one."""
    store_image = kernels.View  # any object will do: `fits` does not look at it
    layer = support.Layer(store_image, (3, 9), "glibc", (2, 17), BULLSEYE.machine)  # type: ignore[arg-type]

    assert layer.fits(BULLSEYE)
    assert layer.fits(BULLSEYE._replace(libc_version=(2, 17)))
    assert not layer.fits(BULLSEYE._replace(libc_version=(2, 12)))
    assert not layer.fits(BULLSEYE._replace(version=(3, 10)))
    assert not layer.fits(BULLSEYE._replace(libc="musl", libc_version=(2, 31)))
    assert not layer.fits(BULLSEYE._replace(machine="riscv64"))


def test_pip_is_asked_for_all_platforms_that_the_libc_can_load() -> None:
    """Those that run on the most machines first."""
    names = wheels.platforms(BULLSEYE._replace(machine="x86_64"))

    assert names.index("manylinux1_x86_64") < names.index("manylinux2014_x86_64")
    assert names[-1] == "manylinux_2_31_x86_64"
    assert "manylinux_2_32_x86_64" not in names


def _wheel(at: Path, *needs: str, **files: str) -> Path:
    with zipfile.ZipFile(at, "w") as file:
        file.writestr("sample-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sample\n"
                      + "".join(f"Requires-Dist: {need}\n" for need in needs))
        for name, text in files.items():
            file.writestr(name, text)
    return at


def test_libc_of_musl_is_the_newest_that_a_wheel_asks_for(tmp_path: Path) -> None:
    """Of a wheel that several fit, the oldest counts."""
    wheels_there = [_wheel(tmp_path / f"{name}.whl") for name in (
        "zmq-1-cp38-cp38-musllinux_1_1_x86_64", "debugpy-1-cp38-cp38-musllinux_1_2_x86_64",
        "both-1-cp38-cp38-musllinux_1_1_x86_64.musllinux_1_2_x86_64", "pure-1-py3-none-any")]
    python = BULLSEYE._replace(libc="musl", libc_version=(1, 2, 5))

    assert (1, 2) == wheels._libc_needed(python, wheels_there)


def test_what_only_the_images_python_needs_is_asked_for(tmp_path: Path) -> None:
    """Markers are judged by the image's Python: pip judges them by the one that runs it."""
    wheel = _wheel(tmp_path / "sample-1.0-py3-none-any.whl",
                   'zipp>=3; python_version < "3.10"', 'tomli; python_version >= "3.10"',
                   'colorama; sys_platform == "win32"', "Sample", 'pytest; extra == "test"')

    assert ["zipp>=3"] == wheels._missing(BULLSEYE, [wheel])
    assert ["tomli"] == wheels._missing(BULLSEYE._replace(version=(3, 12)), [wheel])


def test_only_modules_of_a_wheel_are_unpacked(tmp_path: Path) -> None:
    """Not its scripts, and nothing beside the directory."""
    wheel = _wheel(tmp_path / "sample-1.0-py3-none-any.whl", **{
        "sample.py": "", "sample-1.0.data/purelib/inner.py": "", "sample-1.0.data/scripts/run": "",
        "sample-1.0.data/data/etc/x": "", "../outside.py": ""})
    tree = tmp_path / "tree"
    tree.mkdir()

    wheels._unpack(wheel, tree)

    assert {"sample.py", "inner.py", "outside.py", "METADATA"} == {
        path.name for path in tree.rglob("*") if path.is_file()}
    assert not (tmp_path / "outside.py").exists()


# -- the kernel


def test_images_python_is_the_kernel(jupyter: Jupyter, spec: str) -> None:
    """Its version, its packages first; what is ours is for this process only. It says so."""
    kernel = jupyter.start(spec)

    assert "3.9" in kernel.text("import sys; print(sys.version)")
    assert ["/.lpmx/kernel", "/.lpmx/python"] == kernel.text("print(*sys.path[-2:])").split()
    assert "/.lpmx/kernel/" in kernel.text("import ipykernel; print(ipykernel.__file__)")
    assert "no ipykernel" == kernel.text("!python3 -c 'import ipykernel' 2>/dev/null || echo no ipykernel")
    assert "" == kernel.text("!env | grep '^PYTHON' || true")
    assert "Read-only file system True" == kernel.text("""
        import os
        try:
            open('/.lpmx/kernel/made', 'w')
        except OSError as error:
            print(error.strerror, os.path.exists(ipykernel.__cached__))""")
    values = json.loads((jupyter.data / "kernels" / spec / "kernel.json").read_text())
    assert values["metadata"]["debugger"]
    said = "the image's own Python (/usr/bin/python3, CPython 3.9, glibc"
    assert said in kernel.text("print(get_ipython().banner2)")
    assert said in kernel.text("print(get_ipython().run_line_magic('lpmx', 'info')['kernel'])")


def test_connections_of_an_older_ipykernel_are_not_encrypted(jupyter: Jupyter, spec: str) -> None:
    """That of Python 3.9 cannot. Where it is left to the kernel, there are no keys, whatever its spec said
    of another one; where it must be, the kernel does not start, and it is said what it lacks."""
    path = jupyter.data / "kernels" / spec / "kernel.json"
    values = json.loads(path.read_text())
    assert "supported_encryption" not in values["metadata"]
    with pytest.raises(RuntimeError, match="kernelspec does not declare 'curve'"):
        jupyter.manager(spec).start_kernel(transport_encryption="required")
    values["metadata"]["supported_encryption"] = ["curve"]
    path.write_text(json.dumps(values))

    kernel = jupyter.start(spec, transport_encryption="auto")
    assert "2" == kernel.text("print(1 + 1)")
    assert "curve_secretkey" not in kernel.manager.get_connection_info()
    kernel.shutdown()
    with pytest.raises(RuntimeError, match='cannot start kernel "image-python" with encrypted connections') as raised:
        jupyter.manager(spec).start_kernel(transport_encryption="required")

    assert "\nhint: ipykernel has them since 7.3" in str(raised.value)
    assert [] == jupyter.leftovers()


@pytest.mark.parametrize("version,can", [("7.4.0", True), ("7.3", True), ("10.0.1", True), ("7.2.1", False),
                                         ("6.31.0", False), ("", False)])
def test_versions_of_ipykernel_that_encrypt(version: str, can: bool) -> None:
    """Since 7.3."""
    assert can == support.encrypts(version)


def test_layer_in_use_is_not_freed(jupyter: Jupyter, spec: str, layer: support.Layer,
                                   tmp_path: Path) -> None:
    """Whatever becomes of its image while the kernel runs."""
    kernel = jupyter.start(spec)
    store = Store.open()
    [entry] = store.images.directory.glob("*lpmx-kernel*")
    blobs = {}
    for digest in (layer.image.digest, layer.image.config_digest):
        with store.blobs.open(digest) as blob:
            blobs[digest] = blob.read()
    entry.rename(tmp_path / entry.name)
    try:
        collect(store)
        assert "True" == kernel.text("import os; print(os.path.exists('/.lpmx/kernel/ipykernel'))")
    finally:
        shutil.move(tmp_path / entry.name, entry)
        for digest, content in blobs.items():
            store.blobs.put(digest, [content])
    [said] = store.containers.glob("*/kernel-*.layers")
    kernel.manager.shutdown_kernel()
    assert not said.exists()


def test_packages_of_the_image_that_are_too_old_do_not_stop_the_kernel(
        jupyter: Jupyter, layer: support.Layer) -> None:
    """The layer then goes before them; the kernel that they would have broken starts."""
    (jupyter.folder / "old.py").write_text("raise ImportError('made in 2009')\n")
    kernel = jupyter.start(jupyter.install("bullseye", binds=(
        f"{jupyter.folder}/old.py:/usr/local/lib/python3.9/dist-packages/tornado.py:ro",)))

    assert "/.lpmx/kernel" == kernel.text("import sys; print(sys.path[0] or sys.path[1])")


class TestConformance(Samples, jupyter_kernel_test.KernelTests):
    """Jupyter's own suite for kernels."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def kernel(cls: Any, _loaded: Any, layer: support.Layer,
               tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with jupyter_in(tmp_path_factory.mktemp("jupyter"), _loaded) as jupyter:
            running = jupyter.start(jupyter.install("bullseye"))
            cls.km, cls.kc = running.manager, running.client
            yield


# -- which kernel is chosen, and why


def test_list_says_which_kernels_an_image_can_have_and_why(jupyter: Jupyter, spec: str,
                                                           lpmx: Any) -> None:
    """`lpmx kernel list IMAGE`."""
    done = lpmx("kernel", "list", jupyter.loaded("bullseye"), "--json",
                store=jupyter.loaded.path, check=True)

    own, hosts = json.loads(done.stdout)
    assert (kernels.IMAGE_PYTHON, True) == (own["name"], own["chosen"])
    assert "no ipykernel" in own["why"]
    assert f"{support.REPOSITORY}:cp39-glibc2." in own["why"]
    assert (kernels.HOST_PYTHON, False, sys.executable) == (hosts["name"], hosts["chosen"],
                                                            hosts["place"])


def test_choice_can_be_forced(jupyter: Jupyter, spec: str) -> None:
    """`--kernel`, and the key of kernel.json."""
    kernel = jupyter.start(jupyter.install("bullseye", name="forced", kernel=kernels.HOST_PYTHON))

    assert sys.executable == kernel.text("import sys; print(sys.executable)")


def test_without_wheels_the_hosts_python_runs_it_and_says_why(
        jupyter: Jupyter, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network and no layer: told when it is installed, and by the kernel itself."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    [installed] = kernelspecs.install(Store.open(), jupyter.loaded("trixie"), Settings(),
                                      directory=jupyter.data / "kernels")

    assert "" == installed.kernel
    assert "cannot make the support layer for CPython 3.13" in installed.note
    assert "\nhint: " in installed.note
    kernel = jupyter.start(installed.name)
    assert sys.executable == kernel.text("import sys; print(sys.executable)")
    why = "print(get_ipython().run_line_magic('lpmx', 'info')['why'])"
    assert "there is no support layer for its /usr/bin/python3, CPython 3.13" in kernel.text(why)


def test_forced_choice_that_is_not_there_is_an_error(jupyter: Jupyter) -> None:
    """Who asks for the image's Python does not get another."""
    name = jupyter.install("trixie", kernel=kernels.HOST_PYTHON)
    path = jupyter.data / "kernels" / name / "kernel.json"
    path.write_text(path.read_text().replace('"host-python"', '"image-python"'))

    with pytest.raises(RuntimeError, match="there is no support layer that fits") as raised:
        jupyter.manager(name).start_kernel()

    assert "hint: run \"lpmx kernel install lpmx-test/trixie:1\"" in str(raised.value)
    assert [] == jupyter.leftovers()


def test_layer_travels_in_a_bundle(jupyter: Jupyter, layer: support.Layer, lpmx: Any,
                                   store: Path, tmp_path: Path) -> None:
    """`lpmx kernel bundle` where there is a network, `lpmx load` where there is none."""
    bundle = tmp_path / "bundle.tar"
    reference = jupyter.loaded("bullseye")
    lpmx("kernel", "bundle", "-q", "--support-only", "-o", bundle, reference,
         store=jupyter.loaded.path, check=True)

    loaded = lpmx("load", "-q", bundle, check=True)

    assert support.REPOSITORY in loaded.stdout
    here, there = (support.layers(Store.open(path)) for path in (jupyter.loaded.path, store))
    assert [layer.image.diff_ids for layer in here] == [layer.image.diff_ids for layer in there]
    assert support.best(there, BULLSEYE) is not None
    assert "ipykernel" in there[0].packages
