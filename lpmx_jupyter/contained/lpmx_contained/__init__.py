"""What runs inside a contained Python kernel: `%lpmx`, and the live environment.

This package is seen at /.lpmx/python by whatever Python a kernel runs on, an
image's own or the host's in a kernel view. It uses the standard library and
IPython only, and knows nothing of the packages outside.
"""
import os
import sys
from typing import Any, Optional

#: How the kernel view ends its description in LPMX_KERNEL (lpmx_jupyter/kernels.py).
KERNEL_VIEW = "in a kernel view"


def load_ipython_extension(shell: Any) -> None:
    """Give the kernel its magic, and have os.environ follow the container's variables."""
    leave_python_path()
    try:
        from . import completion, core, environment
        from .magics import LpmxMagics
    except ImportError as error:
        excuse(shell, error)
        return
    live = environment.LiveEnvironment()
    magics = LpmxMagics(shell, live)
    shell.register_magics(magics)
    completion.install(shell, magics.candidates)
    if core.inside():
        live.follow()
        shell.events.register("pre_run_cell", live.before_cell)
        shell.banner2 = banner(shell)
        warn(shell, os.environ.pop("LPMX_KERNEL_WARNING", ""))
    if os.environ.get("LPMX_KERNEL", "").endswith(KERNEL_VIEW):
        from . import packages
        packages.set_up(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magic away again."""
    from . import completion
    magics = shell.magics_manager.registry.pop("LpmxMagics", None)
    completion.remove(shell)
    shell.magics_manager.magics["line"].pop("lpmx", None)
    shell.magics_manager.magics["cell"].pop("lpmx", None)
    if magics is not None:
        try:
            shell.events.unregister("pre_run_cell", magics.live.before_cell)
        except ValueError:
            pass  # it was loaded outside a container


def excuse(shell: Any, error: ImportError) -> None:
    """Have `%lpmx` say why it is none: a Python that was built without libffi has no ctypes, and in
    an image that has lost libffi it cannot be loaded. All else of the kernel works."""
    from IPython.core.error import UsageError
    message = (f"cannot use %lpmx in this kernel: its Python cannot load what it needs ({error})\n"
               'hint: the command "lpmx" does the same: !lpmx env list')

    def lpmx(line: str, cell: Optional[str] = None) -> None:
        raise UsageError(message)

    shell.register_magic_function(lpmx, "line_cell")
    print(f"lpmx: {message}", file=sys.stderr, flush=True)


def warn(shell: Any, text: str) -> None:
    """Say `text` before the first cell's output: notebooks show no banner."""
    def say(*unused: Any) -> None:
        shell.events.unregister("pre_run_cell", say)
        print(f"lpmx: {text}", file=sys.stderr, flush=True)

    if text:
        shell.events.register("pre_run_cell", say)


def leave_python_path() -> None:
    """Put PYTHONPATH, which brought us here, back to what the image says: our part of
    it is not for the programs that this kernel starts."""
    if "LPMX_PYTHONPATH" in os.environ:
        own = os.environ.pop("LPMX_PYTHONPATH")
        os.environ.pop("PYTHONPATH", None)
        if own:
            os.environ["PYTHONPATH"] = own


def banner(shell: Any) -> str:
    """One line on where this kernel runs, for front ends that show banners."""
    from .info import facts
    known = facts()
    why = f"LPMX: {known['why']}\n" if "why" in known else ""
    return (f"{shell.banner2 or ''}LPMX: {known['kernel']} in image {known['image']}, "
            f"container {known['container']}\n{why}")
