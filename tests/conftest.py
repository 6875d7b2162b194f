"""What all tests share.

The tests run against the *installed* package, as an ordinary user, and as a rule
under a filter that kills whoever tries something privileged (support/nopriv.py):
`make test` runs three kinds of sessions, side by side (support/sessions.py),

    root        tests marked `root`: kernel overlayfs as an oracle, and the like
    unconfined  tests marked so, as the user: tracers, namespaces, programs that chroot
    confined    all others, as the user; the whole session is under the filter

A session started by hand runs what its user may; as an ordinary user without the
filter, that is all but `root`, and the commands run through `lpmx` are confined.
With LPMX_TESTS_MUST_RUN=1 a skipped test is a failed test.
"""
from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Container, Iterator, Mapping, Optional, Sequence, Union

import pytest

pytest.register_assert_rewrite("support")

from support import images as images_module  # noqa: E402
from support import leftovers, nopriv, trees  # noqa: E402
from support.images import Built, CannotBuild  # noqa: E402
from support.registry import Registry  # noqa: E402

#: Only `make soak`, which names it, runs it.
collect_ignore = ["soak"]

CHECKOUT = Path(__file__).resolve().parent.parent
MUST_RUN = os.environ.get("LPMX_TESTS_MUST_RUN") == "1"
AS_ROOT = os.getuid() == 0


def _under_the_killing_filter() -> bool:
    """Whether this process may not even ask: unshare(0) changes nothing, but kills us there."""
    child = os.fork()
    if not child:
        ctypes.CDLL(None).unshare(0)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


CONFINED = not AS_ROOT and _under_the_killing_filter()

# A run that a script starts in the background ignores these, and so would all that the
# tests start: then nobody could interrupt it.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT
                      else signal.SIG_DFL)


def _end_in_order(number: int, frame: object) -> None:
    """SIGTERM ends a session as Ctrl-C does: what it has made is cleared away."""
    if os.getpid() == _SESSION:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)  # a fork of it
    os.kill(os.getpid(), number)


_SESSION = os.getpid()
signal.signal(signal.SIGTERM, _end_in_order)


# -- which tests run, and against what


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "root: needs root; everything else runs as an ordinary user",
        "unconfined: starts something that needs ptrace, chroot or a namespace of its own",
        "gpu: needs a GPU; left out where there is none",
    ):
        config.addinivalue_line("markers", marker)
    _refuse_the_source_tree()


def _refuse_the_source_tree() -> None:
    for name in ("lpmx_runtime", "lpmx_jupyter"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise pytest.UsageError(f"{name} is not installed for {sys.executable}: "
                                    "run `make test`, or install the wheel")
        origin = Path(spec.origin).resolve()
        if origin == CHECKOUT / name / "__init__.py":
            raise pytest.UsageError(f"{name} would be imported from the source tree: run `pytest`, "
                                    "not `python -m pytest`, and without PYTHONPATH")


def pytest_report_header(config: pytest.Config) -> str:
    user = "root: only tests marked so" if AS_ROOT else "an ordinary user"
    return f"lpmx: as {user}{', under the killing filter' if CONFINED else ''}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def belongs(item: pytest.Item) -> bool:
        if (item.get_closest_marker("root") is not None) != AS_ROOT:
            return False
        if item.get_closest_marker("unconfined") and CONFINED:
            return False
        return not item.get_closest_marker("gpu") or Path("/dev/nvidia0").exists()

    left_out = [item for item in items if not belongs(item)]
    items[:] = [item for item in items if belongs(item)]
    config.hook.pytest_deselected(items=left_out)


def _no_skip(report: Union[pytest.TestReport, pytest.CollectReport]) -> None:
    if MUST_RUN and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"LPMX_TESTS_MUST_RUN: {why}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: object) -> Iterator[None]:
    outcome: Any = yield
    _no_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    outcome: Any = yield
    _no_skip(outcome.get_result())


# -- a home of our own


@pytest.fixture(scope="session", autouse=True)
def home() -> Iterator[Path]:
    """A fresh home and runtime directory for the session; short, for names of sockets."""
    path = Path(tempfile.mkdtemp(prefix="lpmx-", dir="/tmp"))
    (path / "run").mkdir(mode=0o700)
    kept, directory = dict(os.environ), os.getcwd()
    os.chdir(path)  # containers show the working directory
    cache = os.environ.get("PIP_CACHE_DIR") or os.path.expanduser("~/.cache/pip")
    for name in list(os.environ):
        if name.startswith(("XDG_", "JUPYTER", "IPYTHON")) or name == "LPMX_STORE":
            del os.environ[name]
    os.environ.update(HOME=str(path), XDG_RUNTIME_DIR=str(path / "run"), PIP_CACHE_DIR=cache)
    native = Installed().native
    os.environ.setdefault("LPMX_TEST_LOADER", str(native / "loader"))
    yield path
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(kept)
    left = leftovers.wait_for_none([path])
    leftovers.end([path])
    images_module.remove(path)
    assert [] == left


# -- what is installed, and running it


class Installed:
    """Where the wheel under test is."""

    def __init__(self) -> None:
        self.python = Path(sys.executable)
        self.bin = Path(sysconfig.get_path("scripts"))
        self.lpmx = self.bin / "lpmx"
        spec = importlib.util.find_spec("lpmx_runtime")
        assert spec is not None and spec.origin is not None
        self.package = Path(spec.origin).parent
        self.native = self.package / "_native"


@pytest.fixture(scope="session")
def installed() -> Installed:
    """Paths of the installed package: python, bin, lpmx, package, native."""
    return Installed()


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_confined(command: Sequence[Union[str, Path]], **options: Any) -> "subprocess.CompletedProcess[str]":
    """subprocess.run under the killing filter; text, output captured, no terminal on stdin."""
    if not CONFINED:
        options.setdefault("preexec_fn", nopriv.confine)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("text", True)
    if options["text"]:
        options.setdefault("errors", "surrogateescape")
    options.setdefault("timeout", 300)
    return subprocess.run([str(word) for word in command], **options)


@pytest.fixture
def confined() -> Run:
    """Run any command as `lpmx` runs ours: `run_confined`."""
    return run_confined


@pytest.fixture
def lpmx(installed: Installed, store: Path) -> Run:
    """Run the installed `lpmx` with these arguments; what it printed and its exit code.

    Keywords: `store` (default: the test's own), `env` (added to the environment),
    `check` (fail the test if it does), and those of subprocess.run.
    """
    default = store

    def run(*arguments: Union[str, Path], store: Optional[Path] = None,
            env: Optional[Mapping[str, str]] = None, check: bool = False,
            **options: Any) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "LPMX_STORE": str(store or default), **(env or {})}
        done = run_confined([installed.lpmx, *arguments], env=environment, **options)
        if check and done.returncode:
            pytest.fail(f"lpmx {' '.join(map(str, arguments))} ended with {done.returncode}\n"
                        f"{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A fresh place for a store. After the test nothing may run in it, and it is removed."""
    path = tmp_path / "store"
    yield path
    left = leftovers.wait_for_none([path])
    leftovers.end([path])
    images_module.remove(path)
    assert [] == left, "left behind by the test"


# -- images


class Images:
    """The cache of real images; a test that needs one that cannot be had is skipped."""

    def __init__(self) -> None:
        self._cache = images_module.Cache()

    def get(self, name: str) -> Built:
        """One of support.images.RECIPES: `.layout`, `.reference`, and `.tar` if it is one layer."""
        return self._or_skip(self._cache.get, name)

    def unpacked(self, name: str) -> Path:
        """Its root file system as umoci unpacks it; not to be changed."""
        return self._or_skip(self._cache.unpacked, name)

    def archive(self, name: str, form: str) -> Path:
        """It as one file, "docker-archive" or "oci-archive"."""
        return self._or_skip(self._cache.archive, name, form)

    @staticmethod
    def _or_skip(method: Callable[..., Any], *arguments: str) -> Any:
        try:
            return method(*arguments)
        except (CannotBuild, FileNotFoundError) as error:
            pytest.skip(f"needs the test image {arguments[0]}: {error}")


@pytest.fixture(scope="session")
def images() -> Images:
    return Images()


@dataclass
class Loaded:
    """One store for the session with test images in it, for containers of many tests."""

    path: Path
    images: Images
    layers: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        """Have the image `name` in the store; the reference to run."""
        from lpmx_runtime.errors import ImageUnknown
        from lpmx_runtime.image.archive import load
        from lpmx_runtime.store import Store

        built = self.images.get(name)
        opened = Store.open(self.path)
        try:
            opened.images.find(built.reference)
        except ImageUnknown:
            load(opened, built.layout, name=built.reference)
            self.layers.update(lower_digest(self.path, but=self.layers))
        return built.reference


@pytest.fixture(scope="session")
def _loaded(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    loaded = Loaded(tmp_path_factory.mktemp("loaded") / "store", images)
    yield loaded
    leftovers.end([loaded.path])
    after = lower_digest(loaded.path)
    images_module.remove(loaded.path)
    assert loaded.layers == after, "a lower layer changed"


@pytest.fixture
def loaded(_loaded: Loaded) -> Iterator[Loaded]:
    """`loaded("bookworm")` is a reference in the store `loaded.path`, which tests share.

    After the test nothing may run in it; after the session its layers must be
    what they were when they were loaded.
    """
    yield _loaded
    assert [] == leftovers.wait_for_none([_loaded.path]), "left behind by the test"


@pytest.fixture
def jupyter(tmp_path: Path, loaded: Loaded) -> Iterator[Any]:
    """A Jupyter (support.notebooks) of its own for a test; afterwards nothing of any kernel may be left."""
    from support.notebooks import jupyter_in  # others need no Jupyter
    with jupyter_in(tmp_path, loaded) as own:
        yield own


def lower_digest(store: Path, but: Container[str] = ()) -> dict[str, str]:
    """A digest of every layer's tree of a store: names, modes, times, attributes, content; not of
    those in `but`."""
    layers = store / "layers"
    found = {str(path.relative_to(layers)): path for path in sorted(layers.glob("sha256/*"))}
    return {name: trees.digest(path) for name, path in found.items() if name not in but}


@pytest.fixture(scope="session")
def lower_hash() -> Callable[[Path], dict[str, str]]:
    """`lower_hash(store)`: compare it from before with it from after: layers never change."""
    return lower_digest


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open docker-registry on loopback; `registry.push("oci:DIR:TAG", "team/demo")`."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    try:
        running = Registry(tmp_path_factory.mktemp("registry"))
    except CannotBuild as error:
        pytest.skip(str(error))
    yield running
    running.close()
