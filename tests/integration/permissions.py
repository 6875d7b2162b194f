"""Everything that an ordinary user may not do; prints what came of each attempt."""
from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile

def attempt(name, call, *arguments):
    try:
        result = call(*arguments)
    except OSError as error:
        print(name, errno.errorcode[error.errno])
        return None
    print(name, "ok")
    if isinstance(result, int) and call is os.open:
        os.close(result)
    return result

def make(path, mode):
    with open(path, "w") as file:
        file.write("content\n")
    os.chmod(path, mode)
    return path

def attempts_at(path, name):
    for flags in ("O_RDONLY", "O_WRONLY", "O_RDWR"):
        attempt(f"{name}: open {flags}", os.open, path, getattr(os, flags))
    attempt(f"{name}: open O_TRUNC", os.open, path, os.O_RDONLY | os.O_TRUNC)
    attempt(f"{name}: open O_PATH", os.open, path, os.O_PATH)
    attempt(f"{name}: truncate", os.truncate, path, 1)
    attempt(f"{name}: times now", os.utime, path)
    attempt(f"{name}: times", os.utime, path, (1, 1))
    attempt(f"{name}: getxattr", lambda: os.getxattr(path, "user.none"))
    attempt(f"{name}: listxattr", lambda: os.listxattr(path))
    attempt(f"{name}: setxattr", os.setxattr, path, "user.some", b"x")
    attempt(f"{name}: removexattr", lambda: os.removexattr(path, "user.some"))
    attempt(f"{name}: chown to another", os.chown, path, os.getuid() + 1, -1)
    attempt(f"{name}: chown to the same", os.chown, path, os.getuid(), os.getgid())
    attempt(f"{name}: another group", os.chown, path, -1, os.getgid() + 1)
    print(f"{name}: access", [os.access(path, mode) for mode in (os.R_OK, os.W_OK, os.X_OK)])
    attempt(f"{name}: exec", lambda: os.posix_spawn(path, [path], {}))

def attempts_in(path, name, inner="inner"):
    at = os.path.join
    attempt(f"{name}: listdir", os.listdir, path)
    attempt(f"{name}: chdir", lambda: os.chdir(path))
    os.chdir("/")
    attempt(f"{name}: stat in it", os.stat, at(path, inner))
    attempt(f"{name}: stat of nothing in it", os.stat, at(path, "nothing"))
    attempt(f"{name}: stat through it", os.stat, at(path, ".."))
    attempt(f"{name}: create", os.open, at(path, "new"), os.O_CREAT | os.O_WRONLY)
    attempt(f"{name}: open of what is", os.open, at(path, inner), os.O_CREAT | os.O_RDONLY)
    attempt(f"{name}: exclusively of what is", os.open, at(path, inner), os.O_CREAT | os.O_EXCL | os.O_RDONLY)
    attempt(f"{name}: O_TMPFILE", os.open, path, os.O_TMPFILE | os.O_RDWR)
    attempt(f"{name}: mkdir", os.mkdir, at(path, "newdir"))
    attempt(f"{name}: mkdir of what is", os.mkdir, at(path, inner))
    attempt(f"{name}: mkfifo", os.mkfifo, at(path, "fifo"))
    attempt(f"{name}: symlink", os.symlink, "x", at(path, "link"))
    attempt(f"{name}: link", os.link, own, at(path, "hard"))
    attempt(f"{name}: bind", socket.socket(socket.AF_UNIX).bind, at(path, "socket"))
    attempt(f"{name}: rename into", os.rename, own, at(path, "own"))
    attempt(f"{name}: rename out of", os.rename, at(path, inner), own + ".out")
    attempt(f"{name}: unlink", os.unlink, at(path, inner))
    attempt(f"{name}: unlink of nothing", os.unlink, at(path, "nothing"))
    attempt(f"{name}: rmdir", os.rmdir, at(path, inner))
    print(f"{name}: access", [os.access(path, mode) for mode in (os.R_OK, os.W_OK, os.X_OK)])

os.umask(0o022)
top = tempfile.mkdtemp()
for mode in (0o000, 0o200, 0o400, 0o444, 0o555, 0o644):
    own = make(f"{top}/own", 0o644)
    attempts_at(make(f"{top}/{mode:o}", mode), f"file {mode:04o}")
for mode in (0o000, 0o111, 0o222, 0o333, 0o444, 0o555, 0o666):
    own = make(f"{top}/own", 0o644)
    os.mkdir(f"{top}/d{mode:o}")
    make(f"{top}/d{mode:o}/inner", 0o644)
    os.chmod(f"{top}/d{mode:o}", mode)
    attempts_in(f"{top}/d{mode:o}", f"directory {mode:04o}")
own = make(f"{top}/own", 0o644)
for path in ("/etc/shadow", "/etc/passwd", "/usr/bin/env"):
    attempts_at(path, path)
    attempt(f"{path}: chmod", os.chmod, path, 0o777)
    attempt(f"{path}: link", os.link, path, f"{top}/hard{os.path.basename(path)}")
for path, inner in (("/usr/bin", "env"), ("/etc", "passwd"), ("/var", "tmp")):
    own = make(f"{top}/own", 0o644)
    attempts_in(path, path, inner)
attempt("device", os.mknod, f"{top}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
attempt("block device", os.mknod, f"{top}/loop", stat.S_IFBLK | 0o666, os.makedev(7, 0))
for mode in (0o4755, 0o2755, 0o6755, 0o1755):
    os.chmod(own, mode)
    print("mode", oct(os.stat(own).st_mode))
os.chmod(own, 0o6755)
attempt("chown ends set-user-ID", os.chown, own, os.getuid(), os.getgid())
print("mode", oct(os.stat(own).st_mode))
