"""What can be said about this kernel from inside."""
import os
import sys
from typing import Dict

from . import core

#: Set by the provisioner for the kernel's process and those it starts.
VARIABLES = {"image": "LPMX_IMAGE", "kernel": "LPMX_KERNEL"}
#: Why it is not a better kernel, where there is something to say.
WHY = "LPMX_KERNEL_WHY"


def system() -> str:
    """The name that the image gives itself."""
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip().strip("\"'")
    except OSError:
        pass
    return "unknown (no /etc/os-release)"


def facts() -> Dict[str, str]:
    """Container, image, kernel, system, Python and the place on the host; where the kernel
    is not the best that such an image could have, why."""
    found = {
        "container": core.name(),
        "image": os.environ.get(VARIABLES["image"], "unknown"),
        "kernel": os.environ.get(VARIABLES["kernel"], "unknown"),
        "system": system(),
        "python": f"{sys.version.split()[0]} ({sys.executable})",
        "directory": core.directory(),
    }
    if os.environ.get(WHY):
        found["why"] = os.environ[WHY]
    return found
