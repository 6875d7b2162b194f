"""The packages' own scripts, run by the image's own dpkg inside the image.

They run as root of a view whose lower is the unpacked layer: what they change is
in the upper afterwards. Nothing of the host is in the view but /proc, /sys and
/dev; two programs are covered by ones that do nothing, so that no script starts a
service (the protocol of policy-rc.d(8); start-stop-daemon for those that do not ask).
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
from typing import Sequence

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
class Workplace:
    """Where packages are configured: the unpacked layer, and a directory of our own
    in the store's file system, in which the upper comes to be."""

    index: Path
    layers: Sequence[Path]
    directory: Path

    @property
    def upper(self) -> Path:
        return self.directory / "upper"

    def view(self, shown: Sequence[tuple[str, Path]]) -> Path:
        """The view file; `shown` are further files and directories (path in the view,
        what shows there)."""
        for name in ("upper", "work"):
            (self.directory / name).mkdir()
        control = self.directory / "control"
        _native.control_create(control)
        native = _native.loader_path().parent
        binds = [Bind(path, path) for path in ("/proc", "/sys", "/dev")]
        binds.append(Bind(str(native), "/.lpmx/lib", True))
        binds += [Bind(str(host), at, True) for at, host in shown]
        spec = ViewSpec(kind="container", name="bootstrap", loader=_native.loader_path(),
                        directory=self.directory, index=self.index, layers=list(self.layers),
                        upper=self.upper, work=self.directory / "work", control=control,
                        preload=_native.preload_path(), binds=binds, uid=0, gid=0)
        path = self.directory / "view"
        path.write_bytes(spec.encode())
        return path


def configure(place: Workplace, packages: Sequence[Unpacked], *, service_starter: str,
              what: str, progress: Sink) -> None:
    """Run the scripts of `packages`, which are unpacked, and have dpkg configure them.

    `service_starter` is where the image has start-stop-daemon. Raises
    `BootstrapFailed` with what the failing script said.
    """
    job = _write_job(place.directory / "job", packages)
    view = place.view([(_JOB, job), (service_starter, job / "start-stop-daemon"),
                       ("/usr/sbin/policy-rc.d", job / "policy-rc.d")])
    progress(TaskStarted("configure", "Configuring packages", len(packages), "packages"))
    lines: list[str] = []
    child = subprocess.Popen(
        ["sh", _JOB + "/script"], executable=os.fspath(_native.loader_path()),
        env={**_ENVIRONMENT, "LPMX_VIEW": str(view), "LPMX_PROGRAM": "/bin/sh", "LPMX_CWD": "/"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True)
    assert child.stdout is not None
    done = 0
    try:
        for line in child.stdout:
            lines.append(line.rstrip("\n"))
            if _SETTING_UP.match(line):
                done += 1
                progress(TaskAdvanced("configure", min(done, len(packages))))
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
    progress(TaskFinished("configure"))


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


def _write_job(job: Path, packages: Sequence[Unpacked]) -> Path:
    """The directory that the image sees as `_JOB`: our script and what it needs."""
    job.mkdir()
    (job / "script").write_text(script(packages))
    for name, text in (("start-stop-daemon", _NOTHING), ("policy-rc.d", _NO_SERVICES)):
        (job / name).write_text(text)
        (job / name).chmod(0o755)
    for unpacked in packages:
        if "preinst" in unpacked.control:
            (job / f"{unpacked.file_stem}.control").write_bytes(unpacked.control["control"].content)
    return job


def script(packages: Sequence[Unpacked]) -> str:
    """The shell script that configures `packages`, which are in the order of their needs."""
    names = {unpacked.package.name for unpacked in packages}
    lines = ["set -e", "umask 022",
             # the link that others count on until mawk's alternatives are there
             "[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk"]
    lines += [line for unpacked in packages if "preinst" in unpacked.control
              for line in _preinst(unpacked)]
    dpkg = "dpkg --force-confdef --force-confold --force-unsafe-io"
    lines += [f"{dpkg} --force-depends --configure {name}" for name in _FIRST if name in names]
    lines.append(f"{dpkg} --configure -a")
    lines.append("rm -f " + " ".join(_TRACES))
    lines.append("rm -rf /tmp/..?* /tmp/.[!.]* /tmp/* /var/tmp/* /run/lock/*")
    return "\n".join(lines) + "\n"


def _preinst(unpacked: Unpacked) -> list[str]:
    """What dpkg does before it unpacks a package for the first time (Debian Policy, 6.5).

    It has the control files in a place of their own then, where debconf looks for
    the package's name and its questions.
    """
    package = unpacked.package
    variables = {"DPKG_MAINTSCRIPT_PACKAGE": package.name,
                 "DPKG_MAINTSCRIPT_ARCH": package.architecture,
                 "DPKG_MAINTSCRIPT_NAME": "preinst", "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
                 "DPKG_MAINTSCRIPT_DEBUG": "0", "DPKG_ADMINDIR": "/var/lib/dpkg",
                 "DPKG_ROOT": "", "DPKG_RUNNING_VERSION": _DPKG_VERSION}
    setting = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    stem = shlex.quote(f"/var/lib/dpkg/info/{unpacked.file_stem}")
    lines = [f"mkdir {_CONTROL}",
             f"cp {shlex.quote(f'{_JOB}/{unpacked.file_stem}.control')} {_CONTROL}/control"]
    lines += [f"cp {stem}.{shlex.quote(name)} {_CONTROL}/{shlex.quote(name)}"
              for name in unpacked.control if name != "control"]
    lines.append(f"{setting} {_CONTROL}/preinst install || "
                 f"{{ echo 'the preinst script of {package.name} failed'; exit 1; }}")
    lines.append(f"rm -rf {_CONTROL}")
    return lines


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
