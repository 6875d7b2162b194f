"""Every error that the runtime raises on purpose.

A message reads ``cannot <verb> <the thing>: <cause>`` and the hint says what the
reader can do. `code` names the kind for scripts and HTTP, `exit_code` is what the
command line ends with.

    LpmxError
        InvalidReference            a name of an image that cannot be one
        InvalidSetting              a configuration file or variable
        ImageUnknown, ImageInUse
        RegistryError
            RegistryUnreachable, Unauthorized, NotFoundInRegistry
        FetchFailed                 a file from a mirror
            FetchMissing            which the mirror does not have
        DigestMismatch              bytes are not what their name says
        LayerDamaged, UnsafeMember  a layer's tar
        ArchiveDamaged              an image in a file
        ImageDamaged                a manifest or config that makes no sense
        UnsupportedImage            another platform, an old format
        StoreError
            StoreFull, StoreLocked, StoreDamaged
        ContainerUnknown, ContainerExists, ContainerRunning
        RunFailed (125)
            ProgramNotExecutable (126), ProgramMissing (127)
        BootstrapFailed             making an image from a package mirror
        CommitFailed                making an image, or a tar, of a container
        WriteFailed                 a file that the user named for a result
        CopyFailed                  copying into a container or out of it
        CallRefused (126)           a call that the site does not allow
        LinkFailed                  a name that cannot be linked, exposed or taken back
        ComposeFailed               a compose file, or what it asks for
        KernelFailed                a Jupyter kernel in a container
        NativeError                 the compiled core is missing or too old
"""
from __future__ import annotations

from .light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Optional



# What a terminal would obey rather than show. Messages quote names and words of
# registries, archives and images, which anybody may have written.
_CONTROLS = {code: "?" for code in (*range(9), *range(11, 32), *range(127, 160))}


class LpmxError(Exception):
    """Something the user asked for cannot be done; the message says what and why."""

    code = "failed"
    exit_code = 1

    def __init__(self, message: str, *, hint: Optional[str] = None) -> None:
        message = message.translate(_CONTROLS)
        super().__init__(message)
        self.message = message
        self.hint = hint and hint.translate(_CONTROLS)

    def __str__(self) -> str:
        return self.message


class InvalidReference(LpmxError):
    code = "invalid-reference"


class InvalidSetting(LpmxError):
    code = "invalid-setting"


class ImageUnknown(LpmxError):
    code = "image-unknown"


class ImageInUse(LpmxError):
    code = "image-in-use"


class RegistryError(LpmxError):
    code = "registry"


class RegistryUnreachable(RegistryError):
    code = "registry-unreachable"


class Unauthorized(RegistryError):
    code = "unauthorized"


class NotFoundInRegistry(RegistryError):
    code = "not-found-in-registry"


class FetchFailed(LpmxError):
    code = "fetch-failed"


class FetchMissing(FetchFailed):
    code = "fetch-missing"


class DigestMismatch(LpmxError):
    code = "digest-mismatch"


class LayerDamaged(LpmxError):
    code = "layer-damaged"


class UnsafeMember(LpmxError):
    code = "unsafe-member"


class ArchiveDamaged(LpmxError):
    code = "archive-damaged"


class ImageDamaged(LpmxError):
    code = "image-damaged"


class UnsupportedImage(LpmxError):
    code = "unsupported-image"


class StoreError(LpmxError):
    code = "store"


class StoreFull(StoreError):
    code = "store-full"


class StoreLocked(StoreError):
    code = "store-locked"


class StoreDamaged(StoreError):
    code = "store-damaged"


class ContainerUnknown(LpmxError):
    code = "container-unknown"


class ContainerExists(LpmxError):
    code = "container-exists"


class ContainerRunning(LpmxError):
    code = "container-running"


class RunFailed(LpmxError):
    code = "run-failed"
    exit_code = 125


class ProgramNotExecutable(RunFailed):
    code = "program-not-executable"
    exit_code = 126


class ProgramMissing(RunFailed):
    code = "program-missing"
    exit_code = 127


class BootstrapFailed(LpmxError):
    code = "bootstrap-failed"


class CommitFailed(LpmxError):
    code = "commit-failed"


class WriteFailed(LpmxError):
    code = "write-failed"


class CopyFailed(LpmxError):
    code = "copy-failed"


class CallRefused(LpmxError):
    code = "call-refused"
    exit_code = 126


class LinkFailed(LpmxError):
    code = "link-failed"


class ComposeFailed(LpmxError):
    code = "compose-failed"


class KernelFailed(LpmxError):
    code = "kernel-failed"


class NativeError(LpmxError):
    code = "native"
    exit_code = 125
