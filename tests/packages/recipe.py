"""Sets of packages, what their programs must be able to do, and the steps of a suite."""
from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Iterator

from .inventory import LEFT_OUT, pack


@dataclass(frozen=True)
class Step:
    """A script for both places; what it prints must be the same where `same`, with `shows` in it."""

    name: str
    script: str
    same: bool = False
    shows: str = ""


@dataclass(frozen=True)
class Set:
    """Packages that are installed together, and a script that makes their programs work."""

    name: str
    packages: str
    works: str
    shows: str


#: Each suite, and the one that it is upgraded to.
SUITES = {"bullseye": "bookworm", "bookworm": "trixie", "trixie": "forky", "forky": "sid"}

APT = "apt-get -q -y -o Dpkg::Use-Pty=0 -o Dpkg::Progress-Fancy=0"

SETS = (
    Set("build-essential", "build-essential", r"""
mkdir -p /root/c && cd /root/c
printf '#include <stdio.h>\nint main(void) { printf("c %%d\\n", 6 * 7); return 0; }\n' >a.c
printf '#include <iostream>\n#include <vector>\nint main() { std::vector<int> v(42); std::cout << "c++ " << v.size() << "\\n"; }\n' >b.cc
printf 'all: a b\n\t./a\n\t./b\na: a.c\n\tgcc -O2 -Wall -o $@ $<\nb: b.cc\n\tg++ -O2 -o $@ $<\n' >Makefile
make
ar rcs liba.a && strip a && ldd ./b | sed 's/ (0x.*//'
""", "c 42\n./b\nc++ 42"),
    Set("git", "git", r"""
export GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z'
git config --global user.email a@example.org && git config --global user.name A
git config --global init.defaultBranch main
mkdir -p /root/git && cd /root/git && git init -q . && cp -r /usr/share/perl5 . && git add .
git commit -q -m 'All of it' && git mv perl5 moved && git commit -q -m Moved
git gc -q && git fsck && git clone -q --no-hardlinks . ../clone && cd ../clone
git status --short && git log --format='%H %s'
rm -rf /root/git /root/clone
""", "Moved"),
    Set("python3-dev", "python3-dev python3-pip python3-venv", r"""
mkdir -p /root/py && cd /root/py
cat >ext.c <<'END'
#include <Python.h>
static PyObject *f(PyObject *s, PyObject *a) { return PyLong_FromLong(42); }
static PyMethodDef m[] = {{"f", f, METH_NOARGS, 0}, {0}};
static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "ext", 0, -1, m};
PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&d); }
END
gcc -shared -fPIC $(python3-config --includes) -o ext.so ext.c
python3 -c 'import ext; print("extension", ext.f())'
python3 -m venv /root/venv && /root/venv/bin/pip --version && python3 -m pip --version
""", "extension 42"),
    Set("r-base-core", "r-base-core", r"""
cd /root
Rscript -e 'm <- matrix(c(2, 1, 1, 3), 2); print(solve(m) %*% m); cat("fit", coef(lm(dist ~ speed, cars)), "\n")'
""", "fit -17.57909 3.932409"),
    Set("texlive-base", "texlive-base", r"""
mkdir -p /root/tex && cd /root/tex
export SOURCE_DATE_EPOCH=981173106 FORCE_SOURCE_DATE=1
printf 'Hello, $x^2$.\\bye\n' >a.tex
pdftex a.tex && tex a.tex && sha256sum a.dvi
if command -v pdflatex; then
    printf '\\documentclass{article}\\begin{document}Hello\\end{document}\n' >b.tex; pdflatex b.tex; fi
""", "Output written on a.pdf (1 page"),
    Set("default-jdk-headless", "default-jdk-headless", r"""
mkdir -p /root/java && cd /root/java
printf 'public class A { public static void main(String[] a) { System.out.println("java " + java.util.stream.IntStream.range(0, 10).sum()); } }\n' >A.java
javac A.java && java -Xshare:auto A && jar cf a.jar A.class && java -cp a.jar A
""", "java 45\njava 45"),
    Set("nodejs-npm", "nodejs npm", r"""
mkdir -p /root/js && cd /root/js
printf '{"name": "a", "version": "1.0.0", "scripts": {"hello": "node -p \\"6 * 7\\""}}\n' >package.json
npm run --silent --cache /tmp/npm hello
node -e 'require("fs").readdir("/usr/share", (e, l) => console.log("entries", l.length))'
""", "42\nentries"),
)

#: For `make test`: users and groups, modes of their own, alternatives, triggers, scripts.
SMALL = Set("small", "man-db less dbus", r"""
stat -c '%U:%G %a %n' /usr/lib/dbus-1.0/dbus-daemon-launch-helper /var/cache/man
readlink -f /usr/bin/pager && man --version
""", "root:messagebus 4754")

DEBSUMS = Set("debsums", "debsums", "", "")
TOOLS = Set("tools", "rpm file rsync attr libcap2-bin", "", "")

#: What the package manager itself says of its state.
STATE = r"""
echo '== audit'; dpkg --audit
echo '== verify'; dpkg -V; if command -v debsums >/dev/null; then debsums -s 2>&1; fi
echo '== list'; dpkg -l
echo '== marks'; apt-mark showmanual
echo '== alternatives'; update-alternatives --get-selections
echo '== libraries'; ldconfig -p
echo '== users'; getent passwd; getent group
"""

PIP = r"""
python3 -m venv /root/science
wheels=/mnt/wheels-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
/root/science/bin/pip install -q --no-index --find-links "$wheels" numpy scipy pandas matplotlib
cd /root && MPLBACKEND=agg MPLCONFIGDIR=/tmp/mpl /root/science/bin/python - <<'END'
import numpy, scipy.linalg, pandas, matplotlib.pyplot as plt
a = numpy.arange(9.).reshape(3, 3) + numpy.eye(3)
print("determinant", round(float(scipy.linalg.det(a)), 6))
print(pandas.DataFrame(a).describe().round(3).to_string())
plt.plot(a); plt.savefig("/tmp/a.png"); print("plotted")
END
"""

NPM = r"""
given=/mnt/npm; [ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ] || given=/mnt/npm-old
mkdir -p /root/app && cd /root/app && cp $given/package.json $given/package-lock.json .
cp -r $given/cache /tmp/cache
npm ci --offline --no-audit --no-fund --cache /tmp/cache | sed 's/ in [0-9.]*m*s$//'
printf 'const n: number = 42; console.log("typed", n);\n' >a.ts
node_modules/.bin/tsc --ignoreConfig a.ts || node_modules/.bin/tsc a.ts; node a.js
npm ls --all 2>&1 | sort
"""


#: Owners, modes, hard links, scripts: all that rpm writes and verifies. rpm 4.20 would give each
#: script mounts and a network of its own, for which one must be allowed to mount, and "/" a mount.
RPM = r"""
set -e
echo '%__transaction_unshare %{nil}' >/root/.rpmmacros
mkdir -p /root/rpm && cd /root/rpm
cat >demo.spec <<'END'
Name: demo
Version: %{wanted}
Release: 1
Summary: Owners, modes and links
License: none
BuildArch: noarch
AutoReqProv: no
%description
A package for a test.
%install
mkdir -p %{buildroot}/opt/demo/tmp %{buildroot}/etc
for name in plain setuid capable secret; do echo "$name %{version}" >%{buildroot}/opt/demo/$name; done
ln %{buildroot}/opt/demo/plain %{buildroot}/opt/demo/same
ln -s plain %{buildroot}/opt/demo/link
echo configured >%{buildroot}/etc/demo.conf
%pre
getent group demo >/dev/null || groupadd -r -g 850 demo
getent passwd demo >/dev/null || useradd -r -u 850 -g demo -d /opt/demo -s /bin/sh demo
%post
echo "post $1" >>/var/log/demo
%preun
echo "preun $1" >>/var/log/demo
%postun
echo "postun $1" >>/var/log/demo
%files
%dir %attr(0755,root,root) /opt/demo
%dir %attr(1777,demo,games) /opt/demo/tmp
%attr(0755,root,root) /opt/demo/plain
%attr(0755,root,root) /opt/demo/same
/opt/demo/link
%attr(6755,demo,mail) /opt/demo/setuid
%attr(0755,root,root) /opt/demo/capable
%attr(0600,demo,demo) /opt/demo/secret
%config(noreplace) /etc/demo.conf
END
for version in 1 2; do
    SOURCE_DATE_EPOCH=981173106 rpmbuild --quiet -bb --define "wanted $version" \
        --define '_topdir /root/rpm' \
        --define 'use_source_date_epoch_as_buildtime 1' --define '_buildhost demo' \
        --define 'clamp_mtime_to_source_date_epoch 1' demo.spec
done
install() { rpm --nodeps $(rpm --help | grep -o -m1 -e --force-debian || true) "$@"; }
install -i RPMS/noarch/demo-1-1.noarch.rpm
rpm -Va --nodeps && echo 'verified'
install -U RPMS/noarch/demo-2-1.noarch.rpm
rpm -Va --nodeps && echo 'verified again'
rpm -q --queryformat '[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILECAPS}\n]' demo
ls -lnR /opt/demo | sed 's/ [A-Z][a-z][a-z] .*:.. / /'
cat /var/log/demo
chmod 0700 /opt/demo/secret; chown 1:2 /opt/demo/plain; rpm -Va --nodeps || true
install --setperms demo || true; install --setugids demo || true
"""

#: Capabilities of a file, as setcap gives them, an rpm has them, and a copy keeps them.
CAPABILITIES = r"""
set -e
mkdir -p /root/caps && cd /root/caps && cp /bin/true raw && setcap cap_net_raw=ep raw
cp -a raw copy && getcap raw copy
sed -e 's/^Name: demo/Name: caps/' -e 's/%attr(0755,root,root) \/opt\/demo\/capable/%caps(cap_net_raw=ep) &/' \
    -e 's/opt.demo/opt\/caps/g' -e '/demo.conf/d' ../rpm/demo.spec >caps.spec
rpmbuild --quiet -bb --define 'wanted 1' --define '_topdir /root/caps' --define '_buildhost caps' caps.spec
rpm --nodeps $(rpm --help | grep -o -m1 -e --force-debian || true) -i RPMS/noarch/caps-1-1.noarch.rpm
rpm -V --nodeps caps && getcap /opt/caps/capable
rm -rf BUILD BUILDROOT RPMS
"""

#: What packages rarely have, and what a copy of a whole system must keep.
ODD = r"""
set -e
mkdir -p /srv/odd/shared && cd /srv/odd
mknod -m 666 null c 1 3 && mknod -m 640 disk b 7 0 && mkfifo -m 600 fifo && chown 0:6 disk
echo content >file && ln file same && ln -s /nowhere dangling
chown 1234:4321 file && chmod 6751 file && chmod 2775 shared && chown 0:50 shared
echo 0 >unreadable && chmod 0 unreadable
setfattr -n user.colour -v blue file && setfattr -n user.empty shared
truncate -s 1M holes && echo end >>holes
mkdir 'a name' && touch "a name/$(printf 'new\nline')" "a name/$(printf '\351')"
"""


def prepare(archive: str, suite: str) -> Step:
    """Point apt at the archive; the same steps take less time where dpkg does not sync."""
    return Step("prepare", f"""
echo 'deb {archive} {suite} main' >/etc/apt/sources.list
rm -f /etc/apt/sources.list.d/*
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/soak
echo 'Acquire::Check-Valid-Until "false"; Acquire::Languages "none";' >/etc/apt/apt.conf.d/soak
{APT} update
""")


def install(packages: Set) -> Step:
    return Step(f"install {packages.name}",
                f"{APT} install --no-install-recommends {packages.packages} && {APT} clean")


def works(packages: Set) -> Step:
    return Step(f"use {packages.name}", "set -e" + packages.works, same=True, shows=packages.shows)


def purge(packages: Set) -> Step:
    return Step(f"purge {packages.name}", f"{APT} purge --autoremove {packages.packages}")


def state() -> Step:
    return Step("state", STATE, same=True, shows="== audit\n== verify\n")


def copy_with_tar(top: str) -> Step:
    """The whole tree, through tar, to the directory `top`."""
    return Step("tar", f"rm -rf {top}; mkdir {top}; {shlex.join(pack('/', top))} | tar -C {top} --numeric-owner -p "
                       "--xattrs '--xattrs-include=*' -xf -")


def copy_with_rsync(top: str) -> Step:
    """The whole tree, by rsync, to the directory `top`; times to the nanosecond."""
    left_out = " ".join(f"--exclude=/{name}" for name in [*LEFT_OUT, top.lstrip("/")])
    return Step("rsync", f"rm -rf {top}; mkdir {top}; "
                         "rsync -aHAX --numeric-ids --devices --specials --modify-window=-1 "
                         f"{left_out} / {top}/")


def upgrade(archive: str, suite: str) -> Iterator[Step]:
    """To the next release, as its notes say: first without new packages, then all."""
    yield prepare(archive, suite)
    yield Step("upgrade", f"{APT} -o Dpkg::Options::=--force-confnew upgrade --without-new-pkgs")
    yield Step("dist-upgrade", f"{APT} -o Dpkg::Options::=--force-confnew dist-upgrade && "
                               f"{APT} autoremove --purge && {APT} clean")
