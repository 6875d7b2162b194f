"""Singularity image files that we make, and signatures in them."""
from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import stat
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import pytest
from support import layers
from support.gpg import Signer, make_signer
from support.made import BASE, make_image
from support.sif import ENTRY, GROUP, HEAD, SQUASHFS, TABLE, oci_sif, sha

from lpmx_runtime.container import Container, Options
from lpmx_runtime.errors import ArchiveDamaged, UnsupportedImage
from lpmx_runtime.image.archive import load, load_all
from lpmx_runtime.image.build_sif import build_sif
from lpmx_runtime.image.ext import Ext
from lpmx_runtime.image.sif_overlay import overlay_tar
from lpmx_runtime.image.squashfs import Squashfs
from lpmx_runtime.image.squashfs_writer import BLOCK, Unwritable, write_squashfs
from lpmx_runtime.progress import Note
from lpmx_runtime.store import Image, Store

SEED = 20261126


# -- the file system


def written(tar: bytes, path: Path, compression: str = "gzip") -> Path:
    with open(path, "wb") as file:
        size = write_squashfs(file, io.BytesIO(tar), compression=compression)
    assert size == path.stat().st_size
    return path


def rich(tmp_path: Path) -> bytes:
    """A tar with files of all sizes that matter, many names, holes, links and devices."""
    root, generator = tmp_path / "tree", random.Random(SEED)
    (root / "many").mkdir(parents=True)
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5):
        (root / f"random-{size}").write_bytes(generator.randbytes(size))
        (root / f"text-{size}").write_bytes((b"a line of text\n" * (size // 10))[:size])
    for number in range(900):
        (root / f"many/file-{number:03}-{'x' * (number % 60)}").write_bytes(b"%d" % number * 9)
    with open(root / "holes", "wb") as file:
        file.seek(5 * BLOCK)
        file.write(b"middle")
        file.truncate(9 * BLOCK + 77)
    os.link(root / "text-1", root / "linked")
    (root / "link").symlink_to("many/../text-1")
    (root / "text-0").chmod(0o4711)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as opened:
        opened.add(root, ".", filter=owned)
        for name, kind, major, minor in (("disk", tarfile.BLKTYPE, 259, 70000),
                                         ("null", tarfile.CHRTYPE, 1, 3),
                                         ("pipe", tarfile.FIFOTYPE, 0, 0)):
            member = tarfile.TarInfo(name)
            member.type, member.devmajor, member.devminor, member.mode = kind, major, minor, 0o620
            opened.addfile(attributed(member))
    return tar.getvalue()


def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid = 1000, 70000
    return attributed(member)


#: Of some objects of every kind. The format has no access control lists, and so they are not kept.
ATTRIBUTES = {
    ".": {"user.root": "of all"}, "many": {"user.colour": "green"}, "link": {"trusted.x": "1"},
    "disk": {"security.selinux": "disk_t"}, "pipe": {"trusted.x": "1"}, "linked": {"user.n": "\u00e9"},
    "text-1": {"user.n": "\u00e9"},
    **{f"many/file-{number:03}-{'x' * (number % 60)}": {
        "user.colour": "green", "security.capability": f"capabilities of {number % 500}",
        "system.posix_acl_access": "an ACL"} for number in range(900)}}


def attributed(member: tarfile.TarInfo) -> tarfile.TarInfo:
    found = ATTRIBUTES.get(os.path.normpath(member.name), {})
    member.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in found.items()}
    return member


def attributes(tar: bytes) -> Dict[str, Dict[str, str]]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        found = {os.path.normpath(member.name): {
            name[13:]: value for name, value in member.pax_headers.items()
            if name.startswith("SCHILY.xattr.") and "posix_acl" not in name} for member in opened}
    return {name: values for name, values in found.items() if values}


def facts(tar: bytes) -> Dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {os.path.normpath(member.name): (
            member.type if not member.issparse() else tarfile.REGTYPE, member.mode, member.uid,
            member.gid, int(member.mtime), os.path.normpath(member.linkname),
            member.devmajor if not member.isreg() else 0,
            member.devminor if not member.isreg() else 0,
            hashlib.sha256(opened.extractfile(member).read()).hexdigest()  # type: ignore[union-attr]
            if member.isreg() else "") for member in opened}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_is_written_is_read(tmp_path: Path, compression: str) -> None:
    """By our own reader, which the real mksquashfs has tested."""
    tar = rich(tmp_path)
    path = written(tar, tmp_path / "made", compression)

    with open(path, "rb") as file:
        back = b"".join(Squashfs(file.fileno(), 0, path.stat().st_size, "cannot").tar())

    expected, found = facts(tar), facts(back)
    links = {"text-1", "linked"}   # which of them is the first is nobody's business
    assert {name: expected[name] for name in expected if name not in links} == \
        {name: found[name] for name in found if name not in links}
    assert {tarfile.REGTYPE, tarfile.LNKTYPE} == {found[name][0] for name in links}
    before, after = attributes(tar), attributes(back)
    names = {name: after.pop(name, None) for name in links}
    assert {"user.n": "\u00e9"} in names.values()
    assert {name: values for name, values in before.items() if name not in links} == after


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_is_written_the_real_tool_unpacks(tmp_path: Path, compression: str) -> None:
    """unsquashfs gives back names, content, modes, times, links, and the attributes that it may."""
    path = written(rich(tmp_path), tmp_path / "made", compression)

    subprocess.run(["unsquashfs", "-q", "-n", "-user-xattrs", "-d", tmp_path / "out", "-excludes", path, "disk",
                    "null"], check=True, stdout=subprocess.DEVNULL)

    ours, theirs = tmp_path / "tree", tmp_path / "out"
    names = {str(each.relative_to(ours)) for each in ours.rglob("*")}
    assert names | {"pipe"} == {str(each.relative_to(theirs)) for each in theirs.rglob("*")}
    for name in names:
        before, after = (ours / name).lstat(), (theirs / name).lstat()
        assert (before.st_mode & ~0o6000, int(before.st_mtime), before.st_nlink) == (
            after.st_mode, int(after.st_mtime), after.st_nlink), name
        if stat.S_ISREG(before.st_mode):
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    for name in (".", "many", "text-1", "linked", "many/file-007-xxxxxxx"):
        expected = ATTRIBUTES.get(name, {}).items()
        assert {key: value for key, value in expected if key.startswith("user.")} == {
            key: os.getxattr(theirs / name, key).decode() for key in os.listxattr(theirs / name)}
    assert "many/../text-1" == os.readlink(theirs / "link")
    assert (theirs / "holes").stat().st_blocks * 512 < 4 * BLOCK


def test_an_empty_tree(tmp_path: Path) -> None:
    path = written(layers.tar(), tmp_path / "made")

    listed = subprocess.run(["unsquashfs", "-l", "-q", path], check=True, capture_output=True)

    assert b"squashfs-root" == listed.stdout.split()[-1]


@pytest.mark.parametrize("member", [
    layers.file(b"../x"), layers.link(b"a", b"nowhere"),
    layers.header(b"tty", kind=tarfile.CHRTYPE, major=1 << 12),
    layers.header(b"disk", kind=tarfile.BLKTYPE, minor=1 << 20)])
def test_a_tar_that_is_no_tree(tmp_path: Path, member: bytes) -> None:
    with pytest.raises(Unwritable):
        written(layers.tar(member), tmp_path / "made")


def test_more_owners_than_can_be(tmp_path: Path) -> None:
    """65536 of files, and 0, whose the root is."""
    tar = layers.tar(*(layers.header(b"%d" % number, uid=number, gid=number + 0x8000)
                       for number in range(1, 0x8001)))

    with pytest.raises(Unwritable, match="more owners"):
        written(tar, tmp_path / "made")


# -- the image file


CONFIG = {"Env": ["PATH=/opt/bin:/bin", 'ODD=a "b" $c `d` \\e', "LATER=x=y"],
          "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo 'two  words'"],
          "Labels": {"purpose": "test"}}


def made(store: Store, thing: Any, path: Path) -> Path:
    path.write_bytes(b"".join(build_sif(store, thing)))
    return path


def test_an_image_comes_back(opened: Store, tmp_path: Path) -> None:
    """Its files, variables, labels; what it runs is the runscript."""
    image = make_image(opened, "base:1", BASE, config=CONFIG)

    back, = load(opened, made(opened, image, tmp_path / "x.sif"))

    assert image.config["config"]["Env"][0] in back.config["config"]["Env"]
    assert "LATER=x=y" in back.config["config"]["Env"]
    assert "test" == back.config["config"]["Labels"]["purpose"]
    assert "/.singularity.d/runscript" in back.config["config"]["Cmd"][2]
    assert "amd64" == back.config["architecture"]
    container = Container.create(opened, back, options=Options(contain=True))
    with container.view() as view:
        assert (b"deep", 0o4755) == (view.read("/kept/deep"),
                                     stat.S_IMODE(view.lstat("/suid").st_mode))
        script = view.read("/.singularity.d/env/10-docker2singularity.sh")
        run = view.read("/.singularity.d/runscript")
    shell = subprocess.run(["env", "-i", "LATER=mine", "sh", "-c",
                            script.decode() + 'printf "%s\\n" "$ODD" "$LATER" "$PATH"'],
                           check=True, capture_output=True, text=True)
    assert 'a "b" $c `d` \\e\nmine\n/opt/bin:/bin\n' == shell.stdout
    for arguments, said in (([], "two  words\n"), (["echo other"], "other\n")):
        done = subprocess.run(["sh", "-s", "--", *arguments], input=run, check=True,
                              capture_output=True)
        assert said == done.stdout.decode()


def test_the_same_image_makes_the_same_file(opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    image = make_image(opened, "base:1", BASE, config=CONFIG)

    assert b"".join(build_sif(opened, image)) == b"".join(build_sif(opened, image))


def test_a_container_is_taken_as_it_is(images: Any, lpmx: Any, tmp_path: Path) -> None:
    """With what was changed in it and its variables; `lpmx run` runs what comes back, and of
    its apps the one that a variable names."""
    lpmx("load", images.archive("tiny", "oci-archive"), "--name", "tiny:1", check=True)
    lpmx("create", "--name", "work", "-e", "GIVEN=1", "tiny:1", check=True)
    lpmx("env", "set", "work", "LIVE=2", check=True)
    lpmx("exec", "work", "--", "sh", "-c",
         "mkdir -p /scif/apps/greet/scif && cd /scif/apps/greet/scif && "
         "echo '#!/bin/sh\necho app $GIVEN $LIVE $1' >runscript && chmod +x runscript", check=True)
    sif = tmp_path / "work.sif"

    lpmx("build-sif", "work", sif, check=True)
    lpmx("load", "--name", "back:1", sif, check=True)

    assert os.access(sif, os.X_OK)
    assert "1 2\n" == lpmx("run", "back:1", input="echo $GIVEN $LIVE\n", check=True).stdout
    assert "app 1 2 x\n" == lpmx("run", "-e", "SINGULARITY_APPNAME=greet", "--entrypoint",
                                 "", "back:1", "--", *_run(lpmx), "x", check=True).stdout


def _run(lpmx: Any) -> List[str]:
    """The command of the image that came back."""
    image, = json.loads(lpmx("inspect", "back:1", check=True).stdout)
    return list(image["config"]["config"]["Cmd"])


def test_this_machine_is_no_image(opened: Store) -> None:
    with pytest.raises(UnsupportedImage, match="this machine itself"):
        list(build_sif(opened, opened.images.get("host")))


# -- an overlay inside


def overlay(tree: Path, path: Path, *options: str) -> Path:
    """The ext3 file system that mke2fs makes of a tree."""
    subprocess.run(["mke2fs", "-q", "-F", "-d", tree, *options, path, "16M"], check=True,
                   env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
    return path


def with_overlay(path: Path, system: bytes, *, kind: int = 2, entry: int = 1,
                 group: int = GROUP) -> Path:
    """Add the file system as Apptainer does (`apptainer overlay create`)."""
    data = bytearray(path.read_bytes())
    ENTRY.pack_into(data, TABLE + entry * ENTRY.size, 0x4004, True, entry + 1, group, 0, len(data),
                    len(system), len(system), 0, 0, 0, 0, b"overlay",
                    struct.pack("<2i3s", kind, 4, b"02\0"))
    path.write_bytes(bytes(data) + system)
    return path


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """What a writable overlay has in it, after something of everything was done over BASE."""
    tree, generator = tmp_path / "overlay/upper", random.Random(SEED)
    (tmp_path / "overlay/work").mkdir(parents=True)
    (tree / "etc/new").mkdir(parents=True)
    (tree / "old").mkdir()
    os.setxattr(tree / "old", "user.overlay.opaque", b"y")
    (tree / "old/only").write_bytes(b"only")
    os.mknod(tree / "etc/motd", stat.S_IFCHR | 0o600, 0)
    os.mkfifo(tree / "pipe")
    for number in range(300):
        (tree / f"etc/new/file-{number}").write_bytes(b"%d" % number)
    (tree / "large").write_bytes(generator.randbytes(700_001))
    os.link(tree / "large", tree / "same")
    os.setxattr(tree / "large", "user.colour", b"green")
    with open(tree / "holes", "wb") as file:
        for place in (0, 5 << 20, 70 << 20):
            file.seek(place)
            file.write(b"here")
    (tree / "short").symlink_to("old/only")
    (tree / "long").symlink_to("/" + "x/" * 40 + "y")
    (tree / "large").chmod(0o4755)
    return tree


@pytest.mark.parametrize("options", [
    ("-t", "ext3"), ("-t", "ext3", "-b", "1024"), ("-t", "ext2", "-I", "128"),
    ("-t", "ext4"), ("-t", "ext4", "-b", "1024", "-O", "^64bit,^flex_bg")], ids=" ".join)
def test_an_overlay_is_one_more_layer(opened: Store, upper: Path, tmp_path: Path,
                                      options: Any) -> None:
    """Files of every size, holes, links and deletions, from every form of the file system."""
    path = with_overlay(made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif"),
                        overlay(upper.parent, tmp_path / "system", *options).read_bytes())

    image, = load(opened, path)

    shows(opened, image, upper)


def test_an_overlay_of_squashfs(opened: Store, upper: Path, tmp_path: Path) -> None:
    """As `mksquashfs` makes it of what a writable one has; it lies over the image as it is."""
    subprocess.run(["mksquashfs", upper, tmp_path / "system", "-quiet", "-no-progress"], check=True,
                   stdout=subprocess.DEVNULL)
    path = with_overlay(made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif"),
                        (tmp_path / "system").read_bytes(), kind=1)

    image, = load(opened, path)

    shows(opened, image, upper)


def shows(opened: Store, image: Image, upper: Path) -> None:
    """BASE with the overlay on top."""
    assert 2 == len(image.diff_ids)
    container = Container.create(opened, image, options=Options(contain=True))
    with container.view() as view:
        assert ["only"] == view.listdir("/old")
        assert not view.exists("/etc/motd") and view.exists("/etc/passwd")
        for name in ("large", "same", "holes", *(f"etc/new/file-{n}" for n in range(300))):
            assert (upper / name).read_bytes() == view.read(f"/{name}"), name
        assert view.lstat("/large").st_ino == view.lstat("/same").st_ino
        assert 0o4755 == stat.S_IMODE(view.lstat("/large").st_mode)
        assert b"green" == view.getxattr("/large", "user.colour")
        assert int((upper / "large").stat().st_mtime) == view.lstat("/large").st_mtime_ns // 10 ** 9
        assert ["old/only", "/" + "x/" * 40 + "y"] == [view.readlink("/short"), view.readlink("/long")]
        assert stat.S_ISFIFO(view.lstat("/pipe").st_mode)
    tree = opened.layers.tree(image.diff_ids[1])
    assert (tree / "holes").stat().st_blocks * 512 < 1 << 20


def test_an_overlay_that_is_damaged(opened: Store, upper: Path, tmp_path: Path) -> None:
    """Bytes of it changed at random: an answer, or an error that speaks of it; nothing else."""
    path = overlay(upper.parent, tmp_path / "system", "-t", "ext4", "-b", "1024")
    system = path.read_bytes()
    used = [at for at in range(0, len(system), 1024) if system[at:at + 1024].strip(b"\0")]
    generator = random.Random(SEED)
    with open(path, "r+b", buffering=0) as file:
        for _ in range(60):
            places = [generator.choice(used[:400]) + generator.randrange(1024) for _ in range(4)]
            for place in places:
                os.pwrite(file.fileno(), generator.randbytes(1), place)
            try:
                size = sum(len(piece) for piece in overlay_tar(
                    Ext(file.fileno(), 0, len(system), "cannot load"), "cannot load"))
            except ArchiveDamaged as error:
                assert "overlay" in str(error)
            else:
                assert size < 1 << 30
            for place in places:
                os.pwrite(file.fileno(), system[place:place + 1], place)


def _extents(*runs: Tuple[int, int, int], depth: int = 0) -> bytes:
    """A node of a tree of extents: (first block, place, length), or (first block, node, 0)."""
    return struct.pack("<4HI", 0xF30A, len(runs), len(runs), depth, 0) + b"".join(
        struct.pack("<IIHH", first, place, 0, 0) if depth
        else struct.pack("<IHHI", first, length, 0, place) for first, place, length in runs)


@pytest.mark.parametrize(("name", "form"), [("file", "tree"), ("directory", "tree"),
                                            ("file", "runs")])
def test_an_overlay_that_says_more_than_fits_in_it(tmp_path: Path, name: str, form: str) -> None:
    """Of 16 MiB: blocks that belong to a file again and again, or lists of blocks that lead to
    the same ones, which lead nowhere; 84 to the power of 5 would be read."""
    (tmp_path / "tree/upper/directory").mkdir(parents=True)
    (tmp_path / "tree/upper/file").write_bytes(b"x" * 5000)
    path = overlay(tmp_path / "tree", tmp_path / "system", "-t", "ext4", "-b", "1024")
    data = bytearray(path.read_bytes())
    with open(path, "r+b", buffering=0) as file:
        system = Ext(file.fileno(), 0, len(data), "cannot load")
        upper = system.inode(dict(system.names(system.root()))[b"upper"])
        inode = system.inode(dict(system.names(upper))[name.encode()])
        at = data.index(inode.raw)
        spare = [number for number in range(len(data) // 1024 - 1, 0, -1)
                 if not any(data[number * 1024:number * 1024 + 1024])][:5]
        first, = struct.unpack_from("<I", inode.raw, 40 + 12 + 8)
        if form == "runs":
            root = _extents(*((n * 12000, first, 12000) for n in range(4)))
        else:
            root = _extents(*((0, spare[0], 0) for _ in range(4)), depth=5)
            for level, number in enumerate(spare[:4]):
                os.pwrite(file.fileno(), _extents(
                    *((0, spare[level + 1], 0) for _ in range(84)), depth=4 - level), number * 1024)
            os.pwrite(file.fileno(), _extents(), spare[4] * 1024)
        os.pwrite(file.fileno(), root, at + 40)
        os.pwrite(file.fileno(), struct.pack("<I", 100 << 20), at + 4)
        system = Ext(file.fileno(), 0, len(data), "cannot load")

        with pytest.raises(ArchiveDamaged, match="blocks in it belong to several files"):
            for _ in overlay_tar(system, "cannot load"):
                pass


@pytest.mark.parametrize("at", [1 << 20, (1 << 63) - 1])
def test_a_table_of_parts_that_is_elsewhere(opened: Store, tmp_path: Path, at: int) -> None:
    path = made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif")
    data = bytearray(path.read_bytes())
    struct.pack_into("<q", data, HEAD.size - 5 * 8 + 8, at)
    path.write_bytes(data)

    with pytest.raises(ArchiveDamaged, match="its table of parts is cut short"):
        load(opened, path)


@pytest.mark.parametrize(("kind", "system", "cause"), [
    (1, b"hsqs", "cut short"), (3, b"x", "its overlay is an archive"), (5, b"x", "its overlay is encrypted"),
    (2, bytes(4096), "it is no ext3 file system"), (2, b"short", "points outside itself")])
def test_an_overlay_that_cannot_be_read(opened: Store, tmp_path: Path, kind: int, system: bytes,
                                        cause: str) -> None:
    path = made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif")

    with pytest.raises(ArchiveDamaged, match=cause):
        load(opened, with_overlay(path, system, kind=kind))


# -- signatures


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    yield from make_signer(tmp_path_factory.mktemp("gpg"))


def sign(path: Path, signer: Union[Signer, Callable[[bytes], bytes], None], *, link: int = GROUP,
         digest: int = 1, edit: Callable[[Dict[str, Any]], object] = lambda said: None) -> Path:
    """Add a signature as Apptainer does (sif's pkg/integrity): a message in a part of its own."""
    data = bytearray(path.read_bytes())
    head = HEAD.unpack_from(data)
    entry = ENTRY.unpack_from(data, TABLE)
    kind, used, number, _, linked, offset, size, _, ctime, _, uid, gid, name, extra = entry
    said = {"version": 1, "header": {"digest": sha(head[0] + head[1] + head[2] + head[4])},
            "objects": [{
                "relativeId": 0, "objectDigest": sha(bytes(data[offset:offset + size])),
                "descriptorDigest": sha(struct.pack("<i?II4q", kind, used, 0, linked, size, ctime,
                                                    uid, gid) + name + extra)}]}
    edit(said)
    text = json.dumps(said).encode()
    if callable(signer):
        message = signer(text)
    else:
        message = signer.clear_sign(text.decode()) if signer else b"a signature"
    place = next(at for at in range(TABLE + ENTRY.size, TABLE + 9 * ENTRY.size, ENTRY.size)
                 if not ENTRY.unpack_from(data, at)[1])
    ENTRY.pack_into(data, place, 0x4005, True, (place - TABLE) // ENTRY.size + 1, 0, link,
                    len(data), len(message), len(message), 0, 0, 0, 0, b"signature",
                    struct.pack("<i20s", digest, b"" if callable(signer) else b"\xab" * 20))
    path.write_bytes(bytes(data) + message)
    return path


@pytest.fixture
def signed(opened: Store, tmp_path: Path, signer: Signer) -> Path:
    image = make_image(opened, "base:1", BASE, config=CONFIG)
    return sign(made(opened, image, tmp_path / "x.sif"), signer)


@pytest.mark.parametrize("ring", ["ring", "armored"])
def test_a_signature_is_verified(opened: Store, signed: Path, signer: Signer, ring: str) -> None:
    """With a keyring; the key is told."""
    told: List[object] = []

    load_all(opened, signed, keyring=getattr(signer, ring), progress=told.append)

    assert [text for text in notes(told) if text.startswith("signed with the key ")]


def notes(told: List[object]) -> List[str]:
    return [event.text for event in told if isinstance(event, Note)]


def test_without_a_keyring_it_is_only_shown(opened: Store, signed: Path) -> None:
    told: List[object] = []

    load(opened, signed, progress=told.append)

    assert f"said to be signed with {'AB' * 20}; --keyring has that verified" in notes(told)


def changed_byte(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [50, TABLE + 77, 36864 + 1000], ids=["id", "table", "content"])
def test_a_file_that_was_changed_is_refused(opened: Store, signed: Path, signer: Signer,
                                            at: int) -> None:
    """In its head, its table or its files."""
    changed_byte(signed, at)

    with pytest.raises(ArchiveDamaged, match="it is not what was signed"):
        load_all(opened, signed, keyring=signer.ring)


@pytest.mark.parametrize(("how", "cause"), [
    (dict(signer=None), "of a kind that nobody knows"),
    (dict(link=7), "for other parts of it than its files"),
    (dict(edit=lambda said: said.update(version=9)), "version 9"),
    (dict(edit=lambda said: said.update(objects=[])), "other parts than when it was signed"),
    (dict(edit=lambda said: said.update(objects=3)), "makes no sense"),
    (dict(edit=lambda said: said["header"].update(digest="md5:0")), "not what was signed"),
])
def test_a_signature_of_something_else(opened: Store, tmp_path: Path, signer: Signer,
                                       how: Dict[str, Any], cause: str) -> None:
    image = make_image(opened, "base:1", BASE)
    path = made(opened, image, tmp_path / "x.sif")

    with pytest.raises(ArchiveDamaged, match=cause):
        load_all(opened, sign(path, how.pop("signer", signer), **how), keyring=signer.ring)


@pytest.mark.parametrize(("content", "cause"), [
    (None, "no such file"), (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQE\n-----END", "bad message"),
    (b"no keys", "not in the keyring")])
def test_a_keyring_that_is_none(opened: Store, signed: Path, tmp_path: Path, cause: str,
                                content: Optional[bytes]) -> None:
    if content is not None:
        (tmp_path / "ring").write_bytes(content)

    with pytest.raises(ArchiveDamaged, match=cause):
        load_all(opened, signed, keyring=tmp_path / "ring")


@pytest.mark.parametrize("group", [0, GROUP + 1])
def test_an_overlay_that_is_not_signed_is_refused(opened: Store, signed: Path, signer: Signer,
                                                  upper: Path, tmp_path: Path, group: int) -> None:
    """In a group that the signature is not for: the one that is signed is as it was."""
    system = overlay(upper.parent, tmp_path / "system", "-t", "ext3").read_bytes()
    with_overlay(signed, system, entry=2, group=group)
    assert 2 == len(load(opened, signed)[0].diff_ids)

    with pytest.raises(ArchiveDamaged, match="it has an overlay that its signature is not for"):
        load_all(opened, signed, keyring=signer.ring)


def with_part(path: Path, kind: int, extra: bytes, system: Optional[bytes] = None) -> Path:
    """The file with one more entry, the first of its table, in no group that is signed: of
    `system`, or of the bytes of the part that was first."""
    data = bytearray(path.read_bytes())
    first = ENTRY.unpack_from(data, TABLE)
    place, size = (first[5], first[6]) if system is None else (len(data), len(system))
    entries = data[TABLE:TABLE + 40 * ENTRY.size]
    ENTRY.pack_into(data, TABLE, kind, True, 40, GROUP + 1, 0, place, size, size, 0, 0, 0, 0,
                    b"added", extra)
    data[TABLE + ENTRY.size:TABLE + 41 * ENTRY.size] = entries
    path.write_bytes(bytes(data) + (system or b""))
    return path


PRIMARY = struct.pack("<2i3s", 1, 2, b"02\0")


def test_a_root_that_was_put_before_the_signed_one(opened: Store, signed: Path, signer: Signer,
                                                   tmp_path: Path) -> None:
    """It is what would be read, also where another entry calls the signed bytes a blob of OCI."""
    other = written(layers.tar(layers.file(b"evil", b"evil")), tmp_path / "other").read_bytes()
    with_part(signed, 0x4004, PRIMARY, other)
    for _ in range(2):
        with pytest.raises(ArchiveDamaged, match="for other parts of it than its files"):
            load_all(opened, signed, keyring=signer.ring)
        data = bytearray(signed.read_bytes())
        entry = list(ENTRY.unpack_from(data, TABLE + ENTRY.size))
        entry[0], entry[2], entry[3] = 0x400B, 41, GROUP + 1
        ENTRY.pack_into(data, TABLE + 5 * ENTRY.size, *entry)
        signed.write_bytes(data)


@pytest.mark.parametrize(("extra", "cause"), [
    (PRIMARY[:8] + b"04\0", "for other parts of it than its files"),
    (struct.pack("<2i3s", 1, 4, b"02\0"), "an overlay that its signature is not for")])
def test_what_else_is_said_of_signed_bytes(opened: Store, signed: Path, signer: Signer,
                                           extra: bytes, cause: str) -> None:
    """That they are for another machine, or an overlay: whoever signed them did not say so."""
    with_part(signed, 0x4004, extra)

    with pytest.raises(ArchiveDamaged, match=cause):
        load_all(opened, signed, keyring=signer.ring)


def test_a_file_with_thousands_of_signatures(opened: Store, signed: Path) -> None:
    """Of which each may be as large as one can be: they are not all read."""
    data = bytearray(signed.read_bytes())
    entry = ENTRY.unpack_from(data, TABLE + ENTRY.size)
    struct.pack_into("<q", data, 32 + 10 + 3 + 3 + 16 + 3 * 8, 4096)
    struct.pack_into("<q", data, 32 + 10 + 3 + 3 + 16 + 4 * 8, len(data))
    signed.write_bytes(bytes(data) + bytes(data[TABLE:TABLE + ENTRY.size])
                       + ENTRY.pack(*entry) * 4095)

    with pytest.raises(ArchiveDamaged, match="more than 64 signatures"):
        load(opened, signed)


def test_a_key_that_is_not_in_the_keyring(opened: Store, signed: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")

    with pytest.raises(ArchiveDamaged, match="keys that are not in the keyring"):
        load_all(opened, signed, keyring=tmp_path / "empty")


def test_what_is_not_signed_is_refused(opened: Store, tmp_path: Path, signer: Signer) -> None:
    """A file without a signature, and one that cannot have one."""
    image = make_image(opened, "base:1", BASE)
    path = made(opened, image, tmp_path / "x.sif")
    (tmp_path / "x.tar").write_bytes(layers.tar(layers.directory(b"bin")))

    for file, cause in ((path, "it is not signed"), (tmp_path / "x.tar", "it is none")):
        with pytest.raises(ArchiveDamaged, match=cause):
            load_all(opened, file, keyring=signer.ring)


def test_one_good_signature_among_others_is_enough(opened: Store, tmp_path: Path,
                                                   signer: Signer) -> None:
    """Whatever the others are, and wherever it stands: of nobody known, of another file."""
    path = made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif")
    sign(path, None)
    sign(path, signer, edit=lambda said: said["header"].update(digest="sha256:0"))
    with pytest.raises(ArchiveDamaged, match="it is not what was signed"):
        load_all(opened, path, keyring=signer.ring)
    sign(path, signer)
    sign(path, signer, edit=lambda said: said.update(version=9))
    told: List[object] = []

    load_all(opened, path, keyring=signer.ring, progress=told.append)

    assert [text for text in notes(told) if text.startswith("signed with the key ")]


# -- signatures by bare keys


class BareKey:
    """One that openssl makes; it signs an envelope (DSSE) as Apptainer does."""

    def __init__(self, directory: Path, kind: str, digest: int) -> None:
        self.private, self.public = directory / f"{kind}.key", directory / f"{kind}.pem"
        self.kind, self.digest, self.scratch = kind, digest, directory / f"{kind}.data"
        options = {"rsa": ["-algorithm", "RSA"], "ed25519": ["-algorithm", "ED25519"],
                   "ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]}[kind]
        self.openssl("genpkey", *options, "-out", self.private)
        self.openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def openssl(self, *words: object) -> bytes:
        return subprocess.run(["openssl", *map(str, words)], check=True,
                              capture_output=True).stdout

    def __call__(self, text: bytes, kind: str = "application/vnd.sylabs.sif-metadata+json") -> bytes:
        self.scratch.write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(text), text))
        if self.kind == "ed25519":
            sig = self.openssl("pkeyutl", "-sign", "-inkey", self.private, "-rawin", "-in",
                               self.scratch)
        else:
            sig = self.openssl("dgst", {1: "-sha256", 2: "-sha384"}[self.digest], "-sign",
                               self.private, self.scratch)
        return json.dumps({"payloadType": kind, "payload": base64.b64encode(text).decode(),
                           "signatures": [{"keyid": "SHA256:x", "sig": base64.b64encode(sig).decode()}],
                           }).encode()


@pytest.fixture(scope="module", params=["rsa", "ecdsa", "ed25519"])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BareKey:
    return BareKey(tmp_path_factory.mktemp("keys"), request.param,
                   2 if request.param == "ecdsa" else 1)


def test_a_bare_key_has_signed(opened: Store, tmp_path: Path, bare: BareKey) -> None:
    """RSA, ECDSA or Ed25519, by openssl; one of several in the file of keys."""
    path = made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif")
    sign(path, bare, digest=bare.digest)
    other = BareKey(tmp_path, "ed25519", 1)
    (tmp_path / "keys").write_bytes(other.public.read_bytes() + bare.public.read_bytes())
    told: List[object] = []

    load(opened, path, progress=told.append)
    load_all(opened, path, keyring=tmp_path / "keys", progress=told.append)

    assert "said to be signed with SHA256:x; --keyring has that verified" in notes(told)
    assert [text for text in notes(told) if text.startswith("signed with the key SHA256:")]
    changed_byte(path, 36864 + 1000)
    with pytest.raises(ArchiveDamaged, match="it is not what was signed"):
        load_all(opened, path, keyring=tmp_path / "keys")


def test_a_bare_key_has_not_signed(opened: Store, tmp_path: Path, signer: Signer) -> None:
    """Another has, or the signature is for something else, or the keys are of another kind."""
    key, other = BareKey(tmp_path, "ed25519", 1), BareKey(tmp_path, "rsa", 1)
    whole = made(opened, make_image(opened, "base:1", BASE), tmp_path / "x.sif").read_bytes()
    for number, (how, ring, cause) in enumerate([
            (other, key.public, "none of the keyring has done that"),
            (key, signer.ring, "the keyring has none"),
            (lambda text: key(text, "text/plain"), key.public, "something else, \"text/plain\""),
            (lambda text: key(text).replace(b"payload\": \"", b"payload\": \"e30="), key.public,
             "none of the keyring")]):
        path = tmp_path / f"{number}.sif"
        path.write_bytes(whole)

        with pytest.raises(ArchiveDamaged, match=cause):
            load_all(opened, sign(path, how), keyring=ring)


# -- the blobs of an OCI image in one


@pytest.fixture
def with_oci(opened: Store, upper: Path, tmp_path: Path) -> Path:
    """BASE in squashfs, a layer that is a tar, and changes in an ext3 file system."""
    base = written(BASE, tmp_path / "base").read_bytes()
    tar = layers.tar(layers.file(b"opt/tar", b"of a tar"))
    system = overlay(upper.parent, tmp_path / "system", "-t", "ext3").read_bytes()
    return oci_sif(tmp_path / "image.sif", [
        (SQUASHFS, base), ("application/vnd.oci.image.layer.v1.tar", tar),
        ("application/vnd.sylabs.image.layer.v1.ext3", system)],
        {"Env": ["A=1"], "Cmd": ["sh"], "Labels": {"purpose": "test"}})


def test_an_oci_image_in_one(opened: Store, with_oci: Path, upper: Path) -> None:
    """Its config stays, and so do its layers, whatever each of them is."""
    image, = load(opened, with_oci)

    config = image.config["config"]
    assert (["A=1"], ["sh"], {"purpose": "test"}) == (config["Env"], config["Cmd"], config["Labels"])
    assert 3 == len(image.diff_ids)
    container = Container.create(opened, image, options=Options(contain=True))
    with container.view() as view:
        assert b"of a tar" == view.read("/opt/tar")
        assert (upper / "large").read_bytes() == view.read("/large")
        assert ["only"] == view.listdir("/old") and not view.exists("/etc/motd")
        assert 0o4755 == stat.S_IMODE(view.lstat("/suid").st_mode)


def test_deletions_in_layers_of_squashfs(opened: Store, upper: Path, tmp_path: Path) -> None:
    """As overlayfs has them, into which Singularity turns those of the image that it pulls."""
    subprocess.run(["mksquashfs", upper, tmp_path / "changes", "-quiet", "-no-progress"],
                   check=True, stdout=subprocess.DEVNULL)
    path = oci_sif(tmp_path / "x.sif", [
        (SQUASHFS, written(BASE, tmp_path / "base").read_bytes()),
        (SQUASHFS, (tmp_path / "changes").read_bytes())], {})

    shows(opened, load(opened, path)[0], upper)


def test_an_oci_image_that_is_damaged(opened: Store, with_oci: Path, signer: Signer) -> None:
    """A blob is gone, or not what its digest says; a signature must be for all of them."""
    entry = TABLE + 0 * ENTRY.size
    for at, cause in ((entry + 4, "lacks the blob"), (36864 + 99, "lacks the blob"),
                      (TABLE + 5 * ENTRY.size + 4, "no root file system")):
        data = with_oci.read_bytes()
        changed_byte(with_oci, at)
        with pytest.raises(ArchiveDamaged, match=cause):
            load(opened, with_oci)
        with_oci.write_bytes(data)
    sign(with_oci, signer, link=1)
    with pytest.raises(ArchiveDamaged, match="for other parts of it than its files"):
        load_all(opened, with_oci, keyring=signer.ring)
