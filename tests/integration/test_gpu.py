"""GPUs: devices, driver libraries and what an image can load of them, without a GPU.

Drivers are stood in for by real libraries built here with the names that drivers have.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from lpmx_runtime.container import drivers as drivers_module
from lpmx_runtime.container import elf, gpu, loader_cache


def build(directory, name, source, *options):
    """A shared library called `name`."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    path = directory / name
    (directory / "source.c").write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "-nostartfiles", f"-Wl,-soname,{name}", "-o",
                    str(path), str(directory / "source.c"), *options], check=True)
    return path


@pytest.fixture
def drivers(tmp_path):
    """A directory with an "NVIDIA driver": one library for every glibc, one for new ones."""
    directory = tmp_path / "drivers"
    directory.mkdir()
    build(directory, "libcuda.so.1", "int cuInit(unsigned f) { return 100; }", "-nostdlib")
    build(directory, "libnvidia-ml.so.1",
          '#include <stdlib.h>\nlong f(const char *s) { return arc4random() + strtol(s, 0, 10); }',
          "-w")
    (directory / "libnvidia-broken.so.1").write_bytes(b"\x7fELF" + bytes(100))
    build(directory, "libother.so.1", "int f(void) { return 1; }", "-nostdlib")
    return directory


def library(found, name):
    return next(one for one in found.libraries if one.name == name)


def test_loader_cache_is_read_as_ldconfig_prints_it():
    """The same names lead to the same files."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if ldconfig is None or not os.path.exists(loader_cache.CACHE):
        pytest.skip("there is no loader cache here")
    printed = subprocess.run([ldconfig, "-p"], stdout=subprocess.PIPE, text=True, check=True).stdout
    expected = {}
    for line in printed.splitlines()[1:]:
        name, _, path = line.strip().partition(" => ")
        words = name.partition(" (")
        if path and {"x86_64": "libc6,x86-64", "aarch64": "libc6,AArch64"}[os.uname().machine] \
                == words[2].rstrip(")").partition(", OS ABI")[0]:
            expected.setdefault(words[0], path)

    assert expected == loader_cache.libraries()


def test_damaged_loader_cache_has_nothing():
    """Rather than an error: it is one source among several."""
    assert {} == loader_cache.libraries(b"not a cache")


def test_driver_libraries_are_found_by_name(drivers):
    """Where LD_LIBRARY_PATH says, before the loader's cache; others are not a driver's."""
    found = gpu.find({"LD_LIBRARY_PATH": str(drivers)})

    assert "nvidia" == library(found, "libcuda.so.1").vendor
    assert str(drivers / "libcuda.so.1") == library(found, "libcuda.so.1").path
    assert "" == library(found, "libcuda.so.1").glibc
    assert "libother.so.1" not in {one.name for one in found.libraries}


def test_library_that_makes_no_sense_is_refused_with_the_reason(drivers):
    """And the others are found all the same."""
    found = gpu.find({"LD_LIBRARY_PATH": str(drivers)})

    assert "it is no 64-bit little-endian ELF file" == library(found, "libnvidia-broken.so.1").refused


def test_library_that_needs_a_newer_glibc_is_refused(drivers, images, loaded):
    """By the symbol versions it needs, against those that the image's C library has."""
    from lpmx_runtime.store import Store
    store = Store.open(loaded.path)
    found = gpu.find({"LD_LIBRARY_PATH": str(drivers)})
    needs = library(found, "libnvidia-ml.so.1").glibc
    assert "2.36" == needs, "arc4random came with glibc 2.36"

    old = gpu.judge(store, store.images.find(loaded("bullseye")), found)
    new = gpu.judge(store, store.images.find(loaded("trixie")), found)
    none = gpu.judge(store, store.images.find(loaded("tiny")), found)

    assert ("it needs glibc 2.36, and the image's has symbols up to 2.30"
            == library(old, "libnvidia-ml.so.1").refused)
    assert "" == library(old, "libcuda.so.1").refused
    assert "" == library(new, "libnvidia-ml.so.1").refused
    assert "the image has no glibc" == library(none, "libcuda.so.1").refused


def test_gpu_command_lists_them(drivers, lpmx):
    """For people and for scripts."""
    env = {"LD_LIBRARY_PATH": str(drivers)}

    described = json.loads(lpmx("gpu", "--json", env=env, check=True).stdout)
    shown = lpmx("gpu", env=env, check=True)

    assert {"devices", "libraries", "icds"} == set(described)
    assert gpu.devices() == described["devices"]
    assert "libcuda.so.1" in {one["name"] for one in described["libraries"]}
    assert str(drivers / "libcuda.so.1") in shown.stdout


def test_file_with_several_names_is_listed_once(drivers, lpmx):
    """As drivers are installed: by the name to link with, the one to load, and the version's."""
    (drivers / "libcuda.so").symlink_to("libcuda.so.1")

    shown = lpmx("gpu", env={"LD_LIBRARY_PATH": str(drivers)}, check=True).stdout

    assert 1 == shown.count(str(drivers / "libcuda.so"))


def test_devices_of_the_host_are_in_the_container(loaded, lpmx):
    """/dev is the host's, so whatever GPU it has is there."""
    done = lpmx("run", loaded("tiny"), "ls", "/dev", store=loaded.path, check=True)

    assert sorted(os.listdir("/dev")) == sorted(done.stdout.split())


#: What the version of KVM's interface is, and what FUSE says to a request that makes no sense.
PROBE = """
import fcntl
for path, request in (("/dev/kvm", 0xae00), ("/dev/fuse", 0x8004e500)):
    try:
        with open(path, "r+b", buffering=0) as device:
            print(path, fcntl.ioctl(device, request, 0))
    except OSError as error:
        print(path, error.errno)
"""


def same_device(loaded, lpmx):
    """What real devices say here, if it is the same in a container."""
    bare = subprocess.run(["/usr/bin/python3", "-c", PROBE], stdout=subprocess.PIPE, text=True, check=True)
    contained = lpmx("run", "host", "/usr/bin/python3", "-c", PROBE, store=loaded.path, check=True)
    assert bare.stdout == contained.stdout
    return bare.stdout


def test_device_is_for_whom_it_is_outside(loaded, lpmx):
    """It opens, or is forbidden, as it does without a container."""
    assert same_device(loaded, lpmx)


@pytest.mark.root
def test_device_answers(loaded, lpmx):
    """Root may open them: /dev/kvm says the version of its interface, where there is one."""
    said = same_device(loaded, lpmx)

    assert ("/dev/kvm 12\n" in said) == os.path.exists("/dev/kvm")


def test_symbol_versions_are_those_of_readelf():
    """What a library needs, read by us and by binutils."""
    if shutil.which("readelf") is None:
        pytest.skip("binutils is not installed")
    path = os.path.realpath("/bin/sh")
    printed = subprocess.run(["readelf", "-V", "-W", path], stdout=subprocess.PIPE, text=True,
                             check=True, env={**os.environ, "LC_ALL": "C"}).stdout

    with open(path, "rb") as file:
        needs = elf.read(file).versions

    for versions in needs.values():
        for version in versions:
            assert f"Name: {version} " in printed
    assert printed.count("Name: GLIBC") == sum(map(len, needs.values()))


# -- in containers


@pytest.fixture
def with_gpu(drivers, monkeypatch):
    """A machine with an NVIDIA GPU and the driver in `drivers`; its device is not real."""
    (drivers / "nvidia.icd").write_text("libcuda.so.1\n")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(drivers))
    monkeypatch.setattr(drivers_module, "wanted", lambda: True)
    monkeypatch.setattr(gpu, "devices", lambda: ["/dev/nvidia0"])
    monkeypatch.setattr(gpu, "_ICD_FILES", (("opencl", (str(drivers / "*.icd"),)),))


def contained(loaded, name, code, **options):
    """What python3 prints in a new container of the image."""
    from lpmx_runtime.container import Container, Options
    from lpmx_runtime.store import Store
    store = Store.open(loaded.path)
    container = Container.create(store, store.images.find(loaded(name)), options=Options(**options))
    try:
        launch = container.launch(["python3", "-c", code])
        return container, subprocess.run(launch.argv, executable=launch.executable, env=launch.env,
                                         stdout=subprocess.PIPE, text=True, check=True).stdout
    finally:
        container.remove(force=True)


ASK = ("import ctypes, os\n"
       "print(ctypes.CDLL('libcuda.so.1').cuInit(0), os.environ.get('LD_LIBRARY_PATH'))\n"
       "try: ctypes.CDLL('libnvidia-ml.so.1'); print('newer, too')\n"
       "except OSError: print('not the newer one')")


def test_driver_is_loaded_in_a_container(with_gpu, drivers, loaded):
    """A program of the image finds the host's driver by its name."""
    container, printed = contained(loaded, "bullseye", ASK)

    assert "100 /.lpmx/gpu\nnot the newer one\n" == printed
    assert ["libcuda.so.1"] == container.record["gpu"]["libraries"]
    assert [str(drivers / "nvidia.icd")] * 2 == next(
        bind[:2] for bind in container.record["gpu"]["binds"] if bind[0].endswith(".icd"))


def test_driver_of_a_gpu_that_is_not_here_is_refused(with_gpu, drivers):
    """Distributions install AMD's libraries with Mesa, on every machine."""
    build(drivers, "libhsakmt.so.1", "int f(void) { return 1; }", "-nostdlib")

    found = gpu.find()

    assert "no GPU here is this driver's" == library(found, "libhsakmt.so.1").refused
    assert "" == library(found, "libcuda.so.1").refused


def test_library_that_says_nothing_of_its_gpus_is_told_so(with_gpu, drivers):
    """Mesa's, and those that compute on the CPU, are known by the files that name them alone; one of
    a vendor is its vendor's there, too."""
    for name in ("libpocl.so.2", "libigdrcl.so"):
        build(drivers, name, "int f(void) { return 1; }", "-nostdlib")
        (drivers / f"{name}.icd").write_text(f"{drivers / name}\n")
    (drivers / "libpocl.so.2").rename(drivers / "elsewhere.so")
    (drivers / "libpocl.so.2.icd").write_text(f"{drivers / 'elsewhere.so'}\n")

    found = gpu.find()

    assert "it does not say whose GPUs it is for" == library(found, "elsewhere.so").refused
    assert ("intel", "no GPU here is this driver's") == library(found, "libigdrcl.so")[2::2]


def test_file_that_says_where_a_library_is_says_its_name_inside(with_gpu, drivers, loaded, monkeypatch):
    """For it is in another place there."""
    (drivers / "nvidia.icd").write_text(f"{drivers}/libcuda.so.1\n")
    (drivers / "nvidia.json").write_text(json.dumps(
        {"file_format_version": "1.0.0", "ICD": {"library_path": "./libcuda.so.1", "api_version": "1.3"}}))
    monkeypatch.setattr(gpu, "_ICD_FILES", (("opencl", (str(drivers / "*.icd"),)),
                                            ("vulkan", (str(drivers / "*.json"),))))

    printed = contained(loaded, "bookworm", f"for name in 'icd', 'json':\n"
                        f" print(open('{drivers}/nvidia.' + name).read().strip())", contain=True)[1]

    icd, text = printed.splitlines()
    assert ("libcuda.so.1", {"library_path": "libcuda.so.1", "api_version": "1.3"}) == (
        icd, json.loads(text)["ICD"])


def test_image_without_glibc_runs_the_drivers_programs_on_the_host(with_gpu, drivers, loaded, opened,
                                                                   monkeypatch):
    """They could not start in it. They are found like others, and gone when the driver is."""
    from lpmx_runtime.container import Container
    shutil.copy(os.path.realpath(shutil.which("printenv")), drivers / "nvidia-smi")
    monkeypatch.setenv("PATH", f"{drivers}:{os.environ['PATH']}")
    container = Container.create(opened, opened.images.find(loaded("tiny")))

    def run(container):
        launch = container.launch(["sh", "-c", "test -x /usr/bin/nvidia-smi && nvidia-smi LD_LIBRARY_PATH"])
        return subprocess.run(launch.argv, executable=launch.executable, stdout=subprocess.PIPE, text=True,
                              env=dict(launch.env, PATH="/usr/bin:/bin")).stdout
    try:
        assert f"{drivers}\n" == run(container)
        (container.directory / "control").write_bytes(b"")
        assert f"{drivers}\n" == run(Container.open(opened, container.name))

        monkeypatch.setattr(gpu, "devices", lambda: [])
        (container.directory / "view").unlink()
        container = Container.open(opened, container.name)
        assert "" == run(container)  # nothing but the place that it was bound at
        with container.view() as view:
            assert {} == view.exec_map_list()

        monkeypatch.setattr(gpu, "devices", lambda: ["/dev/nvidia0"])
        (container.directory / "view").unlink()
        assert f"{drivers}\n" == run(Container.open(opened, container.name))
    finally:
        container.remove(force=True)


def test_newer_image_gets_the_newer_library_too(with_gpu, loaded):
    """Each library for itself."""
    assert contained(loaded, "bookworm", ASK)[1].endswith("newer, too\n")


def test_library_path_of_the_image_is_kept_behind(with_gpu, loaded):
    """What was asked for comes after the driver."""
    printed = contained(loaded, "bookworm", ASK, env={"LD_LIBRARY_PATH": "/opt/lib"})[1]

    assert printed.startswith("100 /.lpmx/gpu:/opt/lib\n")


def test_without_gpu_option_no_driver_is_shown(with_gpu, loaded):
    """Options(gpu=False), --no-gpu."""
    code = "import os; print(os.path.exists('/.lpmx/gpu'), os.environ.get('LD_LIBRARY_PATH'))"

    assert "False None\n" == contained(loaded, "bookworm", code, gpu=False)[1]
