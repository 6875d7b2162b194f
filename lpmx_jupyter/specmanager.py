"""A kernel spec manager that offers every image of the store, for those who ask for it:

    c.ServerApp.kernel_spec_manager_class = "lpmx_jupyter.specmanager.LpmxKernelSpecManager"

It keeps a directory of real kernel specs of its own in step with the store, behind all
others, so that what was installed has precedence. Only one manager can be set, and
papermill and others do not ask it: "lpmx kernel sync --all" serves these, too.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import jupyter_data_dir
from lpmx_runtime.errors import LpmxError
from lpmx_runtime.store import Store
from traitlets import Unicode

from . import sync


class LpmxKernelSpecManager(KernelSpecManager):  # type: ignore[misc]
    """Kernel specs of all images, beside those that are installed."""

    images_directory = Unicode(
        help="Where the kernel specs of images are kept; by default below Jupyter's data "
             "directory.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seen: Optional[tuple[Any, ...]] = None
        self._show_place()

    def _show_place(self) -> Path:
        """Have the directory among those that are looked into, behind all others."""
        place = Path(self.images_directory or os.path.join(jupyter_data_dir(), "lpmx", "kernels"))
        if str(place) not in self.kernel_dirs:
            self.kernel_dirs = [*self.kernel_dirs, str(place)]
        return place

    def find_kernel_specs(self) -> "dict[str, str]":
        """Names, and folders; those of images are brought up to date first."""
        self._bring_up_to_date(self._show_place())
        found: dict[str, str] = super().find_kernel_specs()
        return found

    def _bring_up_to_date(self, place: Path) -> None:
        """Front ends ask every minute: nothing is done while the store stays as it is."""
        try:
            store = Store.open()
            seen = tuple((image.name, image.digest, image.added) for image in store.images.list())
            if seen != self._seen:
                for change in sync.sync(store, directory=place, add=True):
                    self.log.info("kernel spec %s: %s %s", *change)
                self._seen = seen
        except (LpmxError, OSError) as error:
            self.log.warning("%s", error)
