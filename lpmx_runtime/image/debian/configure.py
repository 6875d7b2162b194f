"""The packages' own scripts, run by the image's own dpkg inside the image.

They run as root of a view whose lower is the unpacked layer: what they change is
in the upper afterwards. Nothing of the host is in the view but /proc, /sys and
/dev; two programs are covered by ones that do nothing, so that no script starts a
service (the protocol of policy-rc.d(8); start-stop-daemon for those that do not ask).

It is done in two parts, as by tools that have a base system first and then let its
dpkg install the rest. The base system's preinst scripts find their own files, which
they know from debootstrap. Those of other packages must not: some take them for what
an older installation left and remove them. So there are two views with one upper,
and what only the second packages have is not in the first one's index.
"""
from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Sequence

from ... import _native
from ...container.spec import Bind, ViewSpec
from ...errors import BootstrapFailed
from ...progress import Sink, TaskAdvanced, TaskFinished, TaskStarted
from .tree import Unpacked

_NO_SERVICES = "#!/bin/sh\nexit 101\n"
_NOTHING = "#!/bin/sh\nexit 0\n"

#: What other scripts count on although no dependency says so: accounts, the base
#: directories, the database's own tools, the shell's helpers (as debootstrap has it).
_FIRST = ("base-passwd", "base-files", "dpkg", "libc6", "perl-base", "mawk", "debconf")

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root", "LC_ALL": "C", "SHELL": "/bin/sh", "TZ": "UTC",
    "DEBIAN_FRONTEND": "noninteractive", "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "DEBCONF_NOWARNINGS": "yes",
}
#: What the scripts leave behind that is about this run and not about the system.
_TRACES = ("/var/log/dpkg.log", "/var/log/alternatives.log", "/var/log/apt/history.log",
           "/var/log/apt/term.log", "/var/cache/ldconfig/aux-cache", "/var/lib/dpkg/status-old",
           "/var/lib/dpkg/diversions-old", "/var/lib/dpkg/statoverride-old",
           "/var/cache/debconf/config.dat-old", "/var/cache/debconf/templates.dat-old",
           "/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/.pwd.lock",
           "/run/utmp")

#: Where the image sees what we have for it, and where dpkg keeps a package's control files
#: while it unpacks the package.
_JOB, _CONTROL = "/.lpmx/job", "/var/lib/dpkg/tmp.ci"
#: The oldest whose manners we have; scripts ask for it.
_DPKG_VERSION = "1.20.0"

_SETTING_UP = re.compile(r"Setting up (\S+)")
_FAILURE = "dpkg: error processing"
_KEPT_LINES = 40


@dataclass(frozen=True)
class Parts:
    """The packages, in the order of their needs: the first ones are configured while the
    second ones cannot be seen yet. `status` and `triggers` are what the database needs
    for the second ones to be unpacked (`LayerWriter.second_database`)."""

    first: Sequence[Unpacked]
    second: Sequence[Unpacked]
    status: bytes
    triggers: Mapping[bytes, bytes]

    @property
    def packages(self) -> list[Unpacked]:
        return [*self.first, *self.second]


class Workplace:
    """Where packages are configured: a directory in the store's file system, in which the
    upper comes to be, over the unpacked layers."""

    def __init__(self, directory: Path, layers: Sequence[Path]) -> None:
        self._directory = directory
        self._layers = layers
        self.job = directory / "job"
        self.upper = directory / "upper"
        for name in ("job", "upper", "work"):
            (directory / name).mkdir(parents=True)
        _native.control_create(directory / "control")

    def view(self, index: Path, shown: Sequence[tuple[str, Path]]) -> Path:
        """A view file of what `index` has of the layers, with the same upper each time;
        `shown` are further files and directories (path in the view, what shows there)."""
        native = os.path.dirname(_native.loader_path())
        binds = [Bind(path, path) for path in ("/proc", "/sys", "/dev")]
        binds += [Bind(native, "/.lpmx/lib", True), Bind(str(self.job), _JOB, True)]
        binds += [Bind(str(host), at, True) for at, host in shown]
        return self._view(index, f"view-{index.name[:16]}", binds)

    def bare_view(self, index: Path) -> Path:
        """The same with nothing bound in it, to see what is in the upper."""
        return self._view(index, f"view-{index.name[:16]}-bare", [])

    def _view(self, index: Path, name: str, binds: list[Bind]) -> Path:
        spec = ViewSpec(kind="container", name="bootstrap", loader=_native.loader_path(),
                        directory=self._directory, index=index, layers=list(self._layers),
                        upper=self.upper, work=self._directory / "work",
                        control=self._directory / "control", preload=_native.preload_path(),
                        binds=binds, uid=0, gid=0)
        path = self._directory / name
        path.write_bytes(spec.encode())
        return path


def configure(place: Workplace, parts: Parts, *, first_index: Path, index: Path,
              service_starter: str, what: str, progress: Sink) -> None:
    """Run the scripts of packages that are unpacked, and have dpkg configure them.

    `first_index` is of the layers without what only the second packages have, `index`
    of all. `service_starter` is where the image has start-stop-daemon. Raises
    `BootstrapFailed` with what the failing script said.
    """
    _write_job(place.job, parts)
    covered = [(service_starter, place.job / "start-stop-daemon"),
               ("/usr/sbin/policy-rc.d", place.job / "policy-rc.d")]
    total = len(parts.packages)
    progress(TaskStarted("configure", "Configuring packages", total, "packages"))
    done = 0

    def tell(line: str) -> None:
        nonlocal done
        if _SETTING_UP.match(line):
            done = min(done + 1, total)
            progress(TaskAdvanced("configure", done))

    _run(place.view(first_index, covered), "first", what, tell)
    _run(place.view(index, covered), "second", what, tell)
    progress(TaskFinished("configure"))


def _run(view: Path, name: str, what: str, tell: Callable[[str], None]) -> None:
    """Run the script `name` of the job in `view`."""
    lines: list[str] = []
    child = subprocess.Popen(
        ["sh", f"{_JOB}/{name}"], executable=os.fspath(_native.loader_path()),
        env={**_ENVIRONMENT, "LPMX_VIEW": str(view), "LPMX_PROGRAM": "/bin/sh", "LPMX_CWD": "/"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True)
    assert child.stdout is not None
    try:
        for line in child.stdout:
            lines.append(line.rstrip("\n"))
            tell(line)
        code = child.wait()
    except BaseException:
        # all of them: what goes on would write to an upper that is being removed
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.stdout.read()
        raise
    finally:
        child.stdout.close()
        child.wait()
    if code:
        raise BootstrapFailed(f"cannot {what}: configuring its packages ended with "
                              f"{_ending(code)}:\n"
                              + "\n".join(f"  {line}" for line in _telling(lines)),
                              hint="report this with the lines above; another suite may work")


def _telling(lines: Sequence[str]) -> list[str]:
    """What the packages said that failed; dpkg goes on with others meanwhile. If none
    did, the end of it all."""
    said: list[list[str]] = [[]]
    for line in lines:
        if _SETTING_UP.match(line):
            said.append([])
        said[-1].append(line)
    failing = [line for about in said for line in about
               if any(other.startswith(_FAILURE) for other in about)]
    return (failing or list(lines))[-_KEPT_LINES:]


def _write_job(job: Path, parts: Parts) -> None:
    """Fill the directory that the image sees as `_JOB`: our scripts and what they need."""
    (job / "first").write_text(first_script(parts))
    (job / "second").write_text(second_script())
    for name, text in (("start-stop-daemon", _NOTHING), ("policy-rc.d", _NO_SERVICES)):
        (job / name).write_text(text)
        (job / name).chmod(0o755)
    (job / "status").write_bytes(parts.status)
    (job / "triggers").mkdir()
    for trigger, content in parts.triggers.items():
        (job / "triggers" / os.fsdecode(trigger)).write_bytes(content)
    for unpacked in parts.packages:
        if "preinst" in unpacked.control:
            place = job / "control" / unpacked.file_stem
            place.mkdir(parents=True)
            for name, control in unpacked.control.items():
                (place / name).write_bytes(control.content)
                (place / name).chmod(control.mode & 0o777 | 0o600)


_DPKG = "dpkg --force-confdef --force-confold --force-unsafe-io"


def first_script(parts: Parts) -> str:
    """The shell script that configures the first packages and prepares the second ones."""
    names = {unpacked.package.name for unpacked in parts.first}
    lines = ["set -e", "umask 022",
             # the link that others count on until mawk's alternatives are there
             "[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk"]
    lines += [line for unpacked in parts.first for line in _preinst(unpacked)]
    lines += [f"{_DPKG} --force-depends --configure {name}" for name in _FIRST if name in names]
    lines.append(f"{_DPKG} --configure -a")
    lines += [line for unpacked in parts.second for line in _preinst(unpacked)]
    return "\n".join(lines) + "\n"


def second_script() -> str:
    """The one that configures the second packages, which can be seen now, and tidies up."""
    return "\n".join([
        "set -e", "umask 022",
        f"cat {_JOB}/status >>/var/lib/dpkg/status",
        f"for file in {_JOB}/triggers/*; do",
        "  [ ! -e \"$file\" ] || cp \"$file\" /var/lib/dpkg/triggers/",
        "done",
        f"{_DPKG} --configure -a",
        "rm -f " + " ".join(_TRACES),
        "rm -rf /tmp/..?* /tmp/.[!.]* /tmp/* /var/tmp/* /run/lock/*"]) + "\n"


def _preinst(unpacked: Unpacked) -> list[str]:
    """What dpkg does before it unpacks a package for the first time (Debian Policy, 6.5).

    It has the control files in a place of their own then, where debconf looks for
    the package's name and its questions.
    """
    if "preinst" not in unpacked.control:
        return []
    package = unpacked.package
    variables = {"DPKG_MAINTSCRIPT_PACKAGE": package.name,
                 "DPKG_MAINTSCRIPT_ARCH": package.architecture,
                 "DPKG_MAINTSCRIPT_NAME": "preinst", "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
                 "DPKG_MAINTSCRIPT_DEBUG": "0", "DPKG_ADMINDIR": "/var/lib/dpkg",
                 "DPKG_ROOT": "", "DPKG_RUNNING_VERSION": _DPKG_VERSION}
    setting = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return [f"cp -r {shlex.quote(f'{_JOB}/control/{unpacked.file_stem}')} {_CONTROL}",
            f"{setting} {_CONTROL}/preinst install || "
            f"{{ echo 'the preinst script of {package.name} failed'; exit 1; }}",
            f"rm -rf {_CONTROL}"]


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
