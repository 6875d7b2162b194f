"""`make demo [IMAGE=REFERENCE]`: get an image and run a notebook inside it.

The image is the first of these that can be had: the reference given, from a
registry; debian:bookworm, made from a Debian mirror; "host", a copy-on-write view of
this machine, which needs no network.
"""
from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional

from lpmx_runtime.errors import ImageUnknown, InvalidReference, LpmxError
from lpmx_runtime.progress import TerminalProgress
from lpmx_runtime.store import Image, Store

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "first-steps.ipynb"
BOOTSTRAPPED = "debian:bookworm"
EMBEDDED = "host"
CELL_SECONDS = 120


def main() -> int:
    """Run the demo; the exit code says whether every cell ran."""
    if len(sys.argv) > 2:
        print("usage: demo.py [IMAGE]", file=sys.stderr)
        return 2
    start = time.monotonic()
    try:
        store = Store.open()
        image = obtain(store, sys.argv[1] if len(sys.argv) == 2 else None)
        place = work_folder("demo")
        kernel = install_kernel(store, image, place)
        print(f"running {NOTEBOOK.name} with the kernel \"{kernel.display_name}\"", flush=True)
        executed = execute(kernel.name, place)
    except LpmxError as error:
        return complain(error)
    print(f"\nAll cells ran, in {image.familiar}, after {time.monotonic() - start:.1f} s.")
    print(f"The executed notebook is {executed}")
    return 0


def complain(error: LpmxError) -> int:
    """Say what went wrong, as `lpmx` does."""
    print(f"demo: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return 1


# -- the image


def obtain(store: Store, wanted: Optional[str]) -> Image:
    """The image to run in; says which it took, and why."""
    if wanted is not None:
        try:
            return taken(here(store, wanted) or pulled(store, wanted), "as asked for")
        except LpmxError as error:
            complain(error)
            print(f'going on without "{wanted}"')
    try:
        image = here(store, BOOTSTRAPPED)
        if image is not None:
            return taken(image, "it is in the store")
        return taken(bootstrapped(store), "made from a Debian mirror")
    except LpmxError as error:
        complain(error)
    return taken(store.images.find(EMBEDDED),
                 "a copy-on-write view of this machine, which needs no network")


def taken(image: Image, why: str) -> Image:
    print(f"image: {image.familiar} ({why})", flush=True)
    return image


def here(store: Store, text: str) -> Optional[Image]:
    try:
        return store.images.find(text)
    except InvalidReference:
        raise
    except ImageUnknown:
        return None


def pulled(store: Store, text: str) -> Image:
    from lpmx_runtime.image.pull import pull
    print(f"pulling {text}", flush=True)
    with progress() as sink:
        return pull(store, text, progress=sink)


def bootstrapped(store: Store) -> Image:
    from lpmx_runtime.image.bootstrap import bootstrap
    print(f"making {BOOTSTRAPPED} from a Debian mirror; the next time it is there", flush=True)
    with progress() as sink:
        return bootstrap(store, BOOTSTRAPPED, progress=sink)


@contextmanager
def progress() -> Iterator[TerminalProgress]:
    drawn = TerminalProgress()
    try:
        yield drawn
    finally:
        drawn.close()


# -- the kernel


def work_folder(name: str) -> Path:
    """A folder for what is made: below the checkout, or a temporary one."""
    place = HERE.parent / "build" / name
    try:
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return place
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix=f"lpmx-{name}-"))


def install_kernel(store: Store, image: Image, place: Path) -> Any:
    """Install the image's first kernel where only this program looks."""
    from lpmx_jupyter import kernelspecs
    from lpmx_jupyter.session import Settings
    specs = kernelspecs.install(store, image.familiar, Settings(),
                                directory=kernelspecs.prefix_directory(str(place)))
    os.environ["JUPYTER_PATH"] = str(place / "share" / "jupyter")
    return specs[0]


# -- the notebook


def execute(kernel_name: str, place: Path) -> Path:
    """Run every cell in the kernel and print what it printed; returns the new notebook."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    executed = place / NOTEBOOK.name
    client = NotebookClient(notebook, kernel_name=kernel_name, timeout=CELL_SECONDS,
                            resources={"metadata": {"path": str(place)}},
                            on_cell_executed=show)
    try:
        client.execute()
    except CellExecutionError as error:
        raise LpmxError(f"cannot run the notebook: a cell failed ({error.ename}: {error.evalue})",
                        hint=f"what ran is in {executed}") from None
    except DeadKernelError:
        raise LpmxError("cannot run the notebook: the kernel died",
                        hint='run "lpmx check"') from None
    except RuntimeError as error:
        raise LpmxError(str(error)) from None
    finally:
        nbformat.write(notebook, executed)
    return executed


def show(cell: Any, **_unused: Any) -> None:
    """Print a cell that has run: what it says, then what it printed."""
    if cell.cell_type != "code":
        return
    number = cell.get("execution_count") or " "
    print()
    for position, line in enumerate(cell.source.splitlines()):
        print(f"In [{number}]: {line}" if not position else f"        {line}")
    for output in cell.outputs:
        if output.output_type == "stream":
            print(output.text, end="")
        elif output.output_type in ("execute_result", "display_data"):
            print(output.data.get("text/plain", ""))
        elif output.output_type == "error":
            print("\n".join(output.traceback))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
