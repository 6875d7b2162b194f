"""Kernel specs: what an image has, what is written, listed and removed."""
from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest
from lpmx_jupyter import kernels, kernelspecs
from lpmx_jupyter.session import Settings
from lpmx_runtime._native import View
from lpmx_runtime.container import Bind
from lpmx_runtime.errors import KernelFailed
from support.imagetree import PATH, Tree
from support.notebooks import Jupyter

IPYKERNEL = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    yield Tree(tmp_path)


# -- which kernels an image has


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local", "/opt/conda", "/opt/conda/envs/analysis",
                                    "/opt/venv", "/venv", "/root/miniconda3", "/srv/conda"])
def test_kernel_spec_is_found_in_an_environment(tree: Tree, prefix: str) -> None:
    """"python" in a spec is the Python of the environment that has the spec."""
    tree.program(f"{prefix}/bin/python")
    tree.spec(f"{prefix}/share/jupyter/kernels/python3", IPYKERNEL)

    [kernel] = tree.kernels()

    assert ("python3", "image", f"{prefix}/bin/python") == (kernel.name, kernel.kind, kernel.argv[0])


def test_kernel_spec_in_roots_home_is_found(tree: Tree) -> None:
    """`python -m ipykernel install --user` in a Dockerfile."""
    tree.program("/usr/bin/python3")
    tree.spec("/root/.local/share/jupyter/kernels/mine", ["/usr/bin/python3", *IPYKERNEL[1:]])

    assert ["mine"] == [kernel.name for kernel in tree.kernels()]


def test_kernel_spec_where_the_image_says_is_found(tree: Tree) -> None:
    """JUPYTER_PATH and the PATH of the image config count."""
    tree.program("/software/py/bin/python")
    tree.spec("/software/py/share/jupyter/kernels/python3", IPYKERNEL)
    tree.program("/r/bin/R")
    tree.spec("/somewhere/jupyter/kernels/ir", ["/r/bin/R", "{connection_file}"], "R")

    found = tree.kernels({"PATH": "/software/py/bin:/bin", "JUPYTER_PATH": "/somewhere/jupyter"})

    assert ["python3", "ir"] == [kernel.name for kernel in found]


def test_python_comes_first_and_the_nearer_spec_wins(tree: Tree) -> None:
    """Of two specs of one name, that of an environment is preferred to the system's."""
    for prefix in ("/usr", "/opt/conda"):
        tree.program(f"{prefix}/bin/python")
        tree.spec(f"{prefix}/share/jupyter/kernels/python3", IPYKERNEL)
    tree.program("/usr/bin/R")
    tree.spec("/usr/share/jupyter/kernels/a-first-by-name", ["R", "{connection_file}"], "R")

    found = tree.kernels()

    assert [("python3", "/opt/conda/bin/python"), ("a-first-by-name", "/usr/bin/R")] == [
        (kernel.name, kernel.argv[0]) for kernel in found]


def test_specs_are_found_behind_links_of_the_image(tree: Tree) -> None:
    """Links are followed in the image, not on the host."""
    tree.program("/data/conda/bin/python")
    tree.spec("/data/conda/share/jupyter/kernels/python3", IPYKERNEL)
    tree.link("/opt/conda", "/data/conda")

    [kernel] = tree.kernels()

    assert "/opt/conda/bin/python" == kernel.argv[0]


def test_interrupt_mode_variables_and_logos_are_the_images(tree: Tree) -> None:
    """What a spec says about its kernel is kept."""
    tree.program("/usr/bin/xr")
    tree.file("/usr/share/jupyter/kernels/xr/logo-svg.svg", "<svg/>")
    tree.spec("/usr/share/jupyter/kernels/xr", ["xr", "-f", "{connection_file}"], "R",
              interrupt_mode="message", env={"R_HOME": "/usr/lib/R"}, metadata={"debugger": True})

    [kernel] = tree.kernels()

    assert ("message", {"R_HOME": "/usr/lib/R"}, {"debugger": True}) == (
        kernel.interrupt_mode, kernel.env, kernel.metadata)
    assert {"logo-svg.svg": "/usr/share/jupyter/kernels/xr/logo-svg.svg"} == kernel.logos


@pytest.mark.parametrize("text", ["", "{", "[]", '{"argv": "x"}', '{"argv": []}', '{"argv": [null]}',
                                  '{"argv": ["/usr/bin/gone"], "display_name": "x", "language": "x"}',
                                  '{"argv": ["python"], "metadata": 7, "env": []}'])
def test_spec_that_cannot_run_is_left_out(tree: Tree, text: str) -> None:
    """A broken spec, or one whose program is not there, is as if it were not."""
    tree.file("/usr/share/jupyter/kernels/broken/kernel.json", text)

    assert [kernels.HOST_PYTHON] == [kernel.name for kernel in tree.kernels()]


@pytest.mark.parametrize("call", ["listdir", "stat", "read", "resolve"])
def test_image_that_cannot_be_looked_into_is_not_one_without_kernels(
        tree: Tree, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A store that fails says so, and which place of the image it was."""
    tree.program("/opt/venv/bin/python")
    tree.spec("/opt/venv/share/jupyter/kernels/python3", IPYKERNEL)
    real = getattr(View, call)

    def fails(view: View, path: str, *more: Any, **values: Any) -> Any:
        if path.startswith("/opt"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(view, path, *more, **values)

    monkeypatch.setattr(View, call, fails)
    with pytest.raises(KernelFailed, match='"/opt.* of the image: input/output error') as raised:
        tree.kernels()
    assert "lpmx verify" in str(raised.value.hint)


def test_place_of_the_host_that_is_dead_is_not_the_images(tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """As what is mounted in a home is when its server has gone: the store has no part in it."""
    home = tmp_path / "home"
    home.mkdir()
    tree = Tree(tmp_path, binds=[Bind(str(home), "/home/me")])
    tree.file("/home/me/.keep")
    real = View.stat

    def fails(view: View, path: str, **more: Any) -> Any:
        if path.startswith("/home/me/far"):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), path)
        return real(view, path, **more)

    monkeypatch.setattr(View, "stat", fails)
    with pytest.raises(KernelFailed) as raised:
        tree.kernels({"PATH": "/home/me/far/bin:/bin"})

    assert '"/home/me/far/bin/python3" of the host: ' in str(raised.value)
    assert f'below "{home}" answers' in str(raised.value.hint)


@pytest.mark.parametrize("place", ["/usr/lib/python3/dist-packages", "/usr/lib/python3.9/dist-packages",
                                   "/usr/lib/python3.12/site-packages"])
def test_python_with_ipykernel_needs_no_spec(tree: Tree, place: str) -> None:
    """Images whose builder threw the kernel spec away, or never made one."""
    tree.program("/usr/bin/python3")
    tree.file(f"{place}/ipykernel/__init__.py")

    [kernel] = tree.kernels()

    assert ("python3", "image", "/usr/bin/python3") == (kernel.name, kernel.kind, kernel.argv[0])


def test_image_without_any_kernel_gets_the_hosts_python(tree: Tree) -> None:
    """Python alone is not enough."""
    tree.program("/usr/bin/python3")

    [kernel] = tree.kernels()

    assert (kernels.HOST_PYTHON, "kernel view", sys.executable) == (
        kernel.name, kernel.kind, kernel.argv[0])
    assert "in a kernel view" in kernel.description


def test_ipykernel_loads_the_magic_and_others_are_left_alone(tree: Tree) -> None:
    """Only to an ipykernel are words added; its PYTHONPATH is kept for later."""
    tree.program("/usr/bin/python")
    tree.program("/usr/bin/R")
    tree.spec("/usr/share/jupyter/kernels/python3", IPYKERNEL, env={"PYTHONPATH": "/its/own"})
    tree.spec("/usr/share/jupyter/kernels/ir", ["R", "-f", "{connection_file}"], "R")
    python, r = tree.kernels()

    words, variables = kernels.command(python, PATH)
    r_words, r_variables = kernels.command(r, PATH)

    assert "--ext=lpmx_contained" == words[-1]
    assert ("/.lpmx/python:/its/own", "/its/own") == (variables["PYTHONPATH"],
                                                      variables["LPMX_PYTHONPATH"])
    assert (("/usr/bin/R", "-f", "{connection_file}"), {}) == (r_words, r_variables)


# -- names


@pytest.mark.parametrize("familiar,name", [
    ("ubuntu:18.04", "ubuntu18.04"),
    ("debian:bookworm", "debian-bookworm"),
    ("ghcr.io/acme/solver:2.4", "ghcr.io-acme-solver2.4"),
    ("127.0.0.1:5000/team/demo:v1", "127.0.0.1-5000-team-demo-v1"),
    ("rocker/r-ver:4", "rocker-r-ver4"),
    ("host", "host"),
])
def test_name_of_a_kernel_spec_comes_from_the_images(familiar: str, name: str) -> None:
    """The same on every machine: notebooks store it."""
    assert name == kernelspecs.short_name(familiar)


# -- on disk


def test_installed_spec_is_what_jupyter_expects(jupyter: Jupyter) -> None:
    """A folder with kernel.json and logos; argv is a launcher, metadata names the provisioner."""
    name = jupyter.install("tiny", binds=("/tmp:/data:ro",), env={"A": "b c"}, contain=True,
                           preload=False)

    folder = jupyter.data / "kernels" / name
    values = json.loads((folder / "kernel.json").read_text())

    assert "lpmx-lpmx-test-tiny1" == name
    assert ["kernel.json", "logo-64x64.png", "logo-svg.svg"] == sorted(os.listdir(folder))
    assert "LPMX: lpmx-test-tiny1" == values["display_name"]
    assert [sys.executable, "-m", "lpmx_jupyter.launch", "-f", "{connection_file}",
            "--image=lpmx-test/tiny:1", "--bind=/tmp:/data:ro", "--env=A=b c",
            "--contain", "--no-preload"] == values["argv"]
    assert {"provisioner_name": "lpmx-provisioner",
            "config": {"image": "lpmx-test/tiny:1", "binds": ["/tmp:/data:ro"], "env": {"A": "b c"}, "contain": True,
                       "preload": False}} == values["metadata"]["kernel_provisioner"]


def test_launcher_understands_what_the_spec_says(jupyter: Jupyter) -> None:
    """argv and the provisioner's config mean the same container."""
    from lpmx_jupyter import launch
    from lpmx_jupyter.commands import settings_of
    name = jupyter.install("tiny", binds=("/tmp:/data:ro",), env={"A": "b c"}, user="host",
                           container="x", gpu=False)
    values = json.loads((jupyter.data / "kernels" / name / "kernel.json").read_text())

    arguments = launch._parser().parse_args(values["argv"][3:])

    config = values["metadata"]["kernel_provisioner"]["config"]
    assert Settings(**{**config, "binds": tuple(config["binds"])}) == settings_of(arguments)


def test_what_a_killed_installation_left_goes_with_the_next(jupyter: Jupyter) -> None:
    """But not what another is just making."""
    name = jupyter.install("tiny")
    left, made = (jupyter.data / "kernels" / f".{name}.{end}" for end in ("abcd1234", "efgh5678"))
    for folder in (left, made):
        folder.mkdir()
        (folder / "kernel.json").write_text("{}")
    os.utime(left, (0, 0))

    jupyter.install("tiny")

    assert (False, True) == (left.exists(), made.exists())


def test_installing_again_replaces_and_another_image_does_not(jupyter: Jupyter) -> None:
    """One spec an image; two images whose names look alike get two."""
    first = jupyter.install("tiny")
    assert first == jupyter.install("tiny", contain=True)
    path = jupyter.data / "kernels" / first / "kernel.json"
    values = json.loads(path.read_text())
    assert values["metadata"]["kernel_provisioner"]["config"]["contain"]
    values["metadata"]["kernel_provisioner"]["config"]["image"] = "lpmx-test-tiny1"
    path.write_text(json.dumps(values))

    second = jupyter.install("tiny")

    assert first != second
    assert second.startswith(first + "-")
    assert second == jupyter.install("tiny")
    assert 2 == len(os.listdir(jupyter.data / "kernels"))


def test_all_kernels_of_an_image_are_installed(jupyter: Jupyter, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Several kernels are told apart by their language, and a foreign logo is kept."""
    from lpmx_runtime.store import Store
    tree = Tree(tmp_path / "image" if (tmp_path / "image").mkdir() is None else tmp_path)
    tree.program("/usr/bin/python")
    tree.program("/usr/bin/R")
    tree.spec("/usr/share/jupyter/kernels/python3", IPYKERNEL, title="Python 3 (ipykernel)")
    tree.spec("/usr/share/jupyter/kernels/ir", ["R", "{connection_file}"], "R", title="R")
    tree.file("/usr/share/jupyter/kernels/ir/logo-svg.svg", "<svg id='r'/>")
    monkeypatch.setattr(kernelspecs, "image_view", lambda store, image: tree.view())
    reference = jupyter.loaded("tiny")

    written = kernelspecs.install(Store.open(), reference, Settings(), directory=tmp_path / "kernels")

    assert [("lpmx-lpmx-test-tiny1", "LPMX: lpmx-test-tiny1 (Python)"),
            ("lpmx-lpmx-test-tiny1-ir", "LPMX: lpmx-test-tiny1 (R)")] == [
        (spec.name, spec.display_name) for spec in written]
    assert "<svg id='r'/>" == (written[1].folder / "logo-svg.svg").read_text()
    assert not (written[1].folder / "logo-64x64.png").exists()
    assert "LPMX" in (written[0].folder / "logo-svg.svg").read_text()


def test_kernel_that_was_installed_into_a_shared_container_is_found(jupyter: Jupyter) -> None:
    """What a container has got since it was made counts, for those who share it."""
    from lpmx_runtime.container import Container
    from lpmx_runtime.store import Store
    store = Store.open()
    container = Container.create(store, store.images.find(jupyter.loaded("tiny")), name="grown")
    with container.view() as view:
        view.makedirs("/usr/share/jupyter/kernels/sh")
        view.write("/usr/share/jupyter/kernels/sh/kernel.json", json.dumps(
            {"argv": ["/bin/sh", "{connection_file}"], "display_name": "sh", "language": "bash"}).encode())
        view.write("/usr/share/jupyter/kernels/sh/logo-svg.svg", b"<svg id='sh'/>")

    shared = jupyter.install("tiny", container="grown", name="shared")
    other = jupyter.install("tiny", name="other")

    def read(name: str) -> Any:
        return json.loads((jupyter.data / "kernels" / name / "kernel.json").read_text())

    assert "bash" == read(shared)["language"]
    assert "<svg id='sh'/>" == (jupyter.data / "kernels" / shared / "logo-svg.svg").read_text()
    assert "python" == read(other)["language"]
    container.remove()


def test_unknown_kernel_is_refused(jupyter: Jupyter) -> None:
    """The message names what there is."""
    with pytest.raises(KernelFailed, match='has none of this name') as raised:
        jupyter.install("tiny", kernel="julia")

    assert "host-python" in str(raised.value.hint)
    assert not (jupyter.data / "kernels").exists()


# -- the command line


def test_command_installs_lists_and_removes(jupyter: Jupyter, lpmx: Any) -> None:
    """`lpmx kernel install`, `list` and `remove`."""
    reference = jupyter.loaded("tiny")
    prefix = jupyter.root / "prefix"

    def kernel(*words: str, **options: Any) -> Any:
        return lpmx("kernel", *words, store=jupyter.loaded.path, check=True, **options)

    installed = kernel("install", reference, "--prefix", str(prefix))
    assert f'installed "LPMX: lpmx-test-tiny1" as lpmx-lpmx-test-tiny1 in {prefix}' in installed.stdout
    assert "the image has no Python: this machine" in installed.stderr

    [listed] = json.loads(kernel("list", "--json", "--prefix", str(prefix)).stdout)
    assert ("lpmx-lpmx-test-tiny1", reference, "") == (
        listed["name"], listed["image"], listed["kernel"])
    assert "lpmx-lpmx-test-tiny1" in kernel(
        "list", env={"JUPYTER_PATH": str(prefix / "share/jupyter")}).stdout

    kernel("remove", reference, "--prefix", str(prefix))
    assert [] == json.loads(kernel("list", "--json", "--prefix", str(prefix)).stdout)


@pytest.mark.parametrize("words,message", [
    (["install", "no-such-image"], 'lpmx: cannot find image "no-such-image"'),
    (["install", "host", "--name", "BAD NAME"], 'lpmx: cannot install a kernel as "BAD NAME"'),
    (["install", "host", "--bind", "/no/such/place"], 'lpmx: cannot bind "/no/such/place"'),
    (["install", "host", "--prefix", "/proc/none"], "lpmx: cannot install the kernel in"),
    (["remove", "nothing"], 'lpmx: cannot remove kernel "nothing"'),
])
def test_misuse_of_the_command_is_told(jupyter: Jupyter, lpmx: Any, words: list[str],
                                       message: str) -> None:
    """Message, hint, exit code."""
    done = lpmx("kernel", *words, store=jupyter.loaded.path)

    assert done.returncode
    assert done.stderr.splitlines()[0].startswith(message)
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_spec_of_somebody_else_is_not_ours_to_remove(jupyter: Jupyter) -> None:
    """Only specs with our provisioner are listed."""
    other = jupyter.data / "kernels" / "python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["python3"], "display_name": "x", "language": "python"}')

    assert [] == kernelspecs.installed(jupyter.data / "kernels")
    with pytest.raises(KernelFailed):
        kernelspecs.remove("python3", directory=jupyter.data / "kernels")
    assert other.exists()
