"""Starts ipykernel out of a support layer: `python3 lpmx_kernel.py ARGUMENT...`.

The layer comes last in sys.path, in this process alone: what the image has is preferred,
and programs that the kernel starts, pip among them, know nothing of it. Where packages of
the image are too old for the kernel, it starts once more with the layer in front.
"""
import os
import sys
from typing import List

LAYER = "/.lpmx/kernel"
FIRST = "--lpmx-layer-first"


def main(words: List[str]) -> None:
    """Become the kernel."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if place != own]
    first = words[:1] == [FIRST]
    sys.path[:] = [LAYER, *sys.path, own] if first else [*sys.path, LAYER, own]
    try:
        from ipykernel import kernelapp
    except Exception as error:
        if first:
            raise
        print(f"lpmx: packages of the image do not fit the kernel ({error}), which takes its own "
              "instead", file=sys.stderr, flush=True)
        os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), FIRST, *words])
    sys.argv[1:] = words[1:] if first else words
    kernelapp.launch_new_instance()


if __name__ == "__main__":
    main(sys.argv[1:])
