"""`make lab [IMAGE=REFERENCE]`: JupyterLab, with an image's kernel in the launcher."""
from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from demo import NOTEBOOK, complain, install_kernel, obtain, work_folder

from lpmx_runtime.errors import LpmxError
from lpmx_runtime.store import Store


def main() -> int:
    """Become JupyterLab; returns only if it could not be started."""
    try:
        store = Store.open()
        image = obtain(store, sys.argv[1] if len(sys.argv) > 1 else None)
        place = work_folder("lab")
        kernel = install_kernel(store, image, place)
    except LpmxError as error:
        return complain(error)
    notebooks = place / "notebooks"
    notebooks.mkdir(exist_ok=True)
    if not (notebooks / NOTEBOOK.name).exists():
        shutil.copyfile(NOTEBOOK, notebooks / NOTEBOOK.name)
    print(f'the launcher has "{kernel.display_name}"; notebooks are in {notebooks}', flush=True)
    # Started by a make that runs as root, for example in a container.
    as_root = ["--allow-root"] if os.getuid() == 0 else []
    # By its script: "-m jupyterlab" would look for modules in the current directory first,
    # and a checkout has our packages without their native parts.
    program = str(Path(sys.executable).parent / "jupyter-lab")
    os.execv(program, [program, f"--notebook-dir={notebooks}", *as_root, *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
