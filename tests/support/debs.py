"""Package files made by hand."""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping

from . import layers

_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")


def write(path: Path, control: Mapping[str, bytes], data: bytes, *, suffix: str = "",
          compress: Callable[[bytes], bytes] = bytes) -> Path:
    """The package file `path` with these control files and the tar `data`."""
    files = [layers.file(b"./" + name.encode(), content,
                         mode=0o755 if name in _SCRIPTS else 0o644)
             for name, content in control.items()]
    path.write_bytes(b"!<arch>\n" + _part("debian-binary", b"2.0\n")
                     + _part("control.tar" + suffix, compress(layers.tar(*files)))
                     + _part("data.tar" + suffix, compress(data)))
    return path


def _part(name: str, content: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) & 1)
