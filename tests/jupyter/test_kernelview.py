"""The kernel view: the host's Python at work in images that have none, or another."""
from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest
from lpmx_jupyter import kernelview
from support.notebooks import Jupyter, Running


@pytest.fixture(params=["tiny", "bullseye", "trixie"])
def kernel(request: pytest.FixtureRequest, jupyter: Jupyter) -> Running:
    """A kernel view in an image without a libc, with an older one, with a newer one."""
    return jupyter.start(jupyter.install(request.param, kernel="host-python"))


def test_processes_of_pythons_own_stay_in_the_view(kernel: Running) -> None:
    """multiprocessing by fork and by spawn, and sys.executable as a program."""
    assert "[1, 2] [1, 2]" == kernel.text("""
        import multiprocessing
        results = []
        for method in ('fork', 'spawn'):
            with multiprocessing.get_context(method).Pool(2) as pool:
                results.append(pool.map(abs, [-1, -2]))
        print(*results)""")


def test_libc_finds_its_own_data(kernel: Running) -> None:
    """Locales and character sets are those of the libc that reads them."""
    assert "C.UTF-8" == kernel.text(
        "import locale; print(locale.setlocale(locale.LC_ALL, 'C.UTF-8'))")
    assert "7 b'\\xe9'" == kernel.text("""
        import ctypes
        libc = ctypes.CDLL(None)
        libc.iconv_open.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(libc.iconv_open(b'ISO-8859-15', b'UTF-8'))
        source, target = ctypes.create_string_buffer('é'.encode(), 3), ctypes.create_string_buffer(8)
        at, to = ctypes.c_char_p(ctypes.addressof(source)), ctypes.c_char_p(ctypes.addressof(target))
        left, room = ctypes.c_size_t(2), ctypes.c_size_t(8)
        libc.iconv(handle, ctypes.byref(at), ctypes.byref(left), ctypes.byref(to), ctypes.byref(room))
        print(room.value, target.value)""")


def test_threads_read_files_of_the_image(kernel: Running) -> None:
    """Many threads at once get the same answers as one."""
    assert "1" == kernel.text("""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool:
            print(len(set(pool.map(lambda _: open('/etc/passwd').read(), range(800)))))""")


def test_databases_and_directories_are_the_containers(kernel: Running) -> None:
    """What needs locks, renames and removals of its own."""
    assert "[(1,)] ['f']" == kernel.text("""
        import os, shutil, sqlite3, tempfile
        os.makedirs('/var/tmp', exist_ok=True)
        base = sqlite3.connect('/root/base')
        base.execute('create table t(a)'); base.execute('insert into t values (1)'); base.commit()
        place = tempfile.mkdtemp(dir='/var/tmp')
        open(place + '/f', 'w').write('x')
        shutil.copytree(place, place + '-copy'); shutil.rmtree(place)
        print(base.execute('select * from t').fetchall(), os.listdir(place + '-copy'))""")


def test_images_own_python_is_what_a_shell_finds(jupyter: Jupyter) -> None:
    """The kernel has the host's Python, the programs it starts have the image's."""
    kernel = jupyter.start(jupyter.install("bullseye", kernel="host-python"))

    assert "Python 3.9" in kernel.text("!python3 --version")
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in kernel.text("import sys; print(sys.version)")


def test_packages_are_installed_into_the_container(jupyter: Jupyter, tmp_path: Path) -> None:
    """`%pip install` leaves the host's Python alone, and what it installs is there at once."""
    wheel = jupyter.folder / "lpmx_sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("lpmx_sample.py", "answer = 42\n")
        file.writestr("lpmx_sample-1.0.dist-info/METADATA",
                      "Metadata-Version: 2.1\nName: lpmx-sample\nVersion: 1.0\n")
        file.writestr("lpmx_sample-1.0.dist-info/WHEEL",
                      "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("lpmx_sample-1.0.dist-info/RECORD", "")
    name = jupyter.install("tiny")
    kernel = jupyter.start(name)

    said = kernel.text(f"%pip install --no-index {wheel.name}")

    assert "Successfully installed lpmx-sample-1.0" in said
    assert "42" == kernel.text("import lpmx_sample; print(lpmx_sample.answer)")
    assert "lpmx-sample" in kernel.text("%pip list").replace("_", "-")
    kernel.restart()
    assert "42" == kernel.text("import lpmx_sample; print(lpmx_sample.answer)")
    assert not list(Path(sys.prefix).glob("lib/python*/site-packages/lpmx_sample*"))
    assert "pip ended with exit code" in kernel.text("%pip install --no-index no-such-package")


def test_python_of_an_environment_is_shown_whole_and_that_of_the_system_in_part() -> None:
    """Of /usr only what is Python's is shown; links on the way to it are, too."""
    paths = kernelview.host_paths()

    assert not {"/", "/usr", "/usr/bin", "/usr/lib", "/usr/local", os.getcwd()} & set(paths)
    assert any(sys.prefix == path or sys.prefix.startswith(path + "/") for path in paths)
    assert any(os.path.dirname(os.__file__) == path or os.__file__.startswith(path + "/")
               for path in paths)
    step = sys.executable
    while os.path.islink(step):
        step = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(step)))
        assert any(step == path or step.startswith(path + "/") for path in paths), step
