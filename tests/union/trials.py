"""One call of the core, stopped or refused at each of its system calls in turn.

A `Trial` is a file system as the layers and some preparation leave it, and one call. It is
made again and again; what the view shows afterwards is compared with what it showed before
the call and with what it shows after the call went through.
"""
from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from lpmx_runtime import _native
from lpmx_runtime._native import View

from .bare import Bare

#: What a kernel may answer anywhere.
ERRORS = [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EDQUOT, errno.ENOMEM, errno.EMFILE]

#: Times from here on are the clock's.
CLOCK = 1_500_000_000 * 10**9

Call = Sequence[object]
State = Dict[str, Tuple]


class Story(NamedTuple):
    """What is done before, and the call (or calls, of which only the last is disturbed)."""

    prepare: Optional[Callable[[View], object]]
    calls: List[Call]


class Answer(NamedTuple):
    """What came of a disturbed call."""

    result: Optional[int]       # None: killed
    calls: int = 0              # system calls that the core made
    descriptors: int = 0        # more than before
    mappings: int = 0


def _word(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    if value == "$":
        return "$"
    return "=" + os.fsencode(value).hex() if value else "="  # type: ignore[arg-type]


class Trials:
    """A container on which calls are tried, by a program with the hosted core in it."""

    def __init__(self, bare: Bare, program: Path) -> None:
        self.bare = bare
        self.kind = ""      # for who tells of it
        self.process = subprocess.Popen([str(program), str(bare.file)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/")

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.stdout
        self.process.stdout.close()
        self.process.wait(timeout=30)

    def fresh(self, prepare: Optional[Callable[[View], object]]) -> None:
        """The container as it was made, and prepared."""
        for place in (self.bare.upper, self.bare.work):
            shutil.rmtree(place)
            place.mkdir()
        _native.control_create(self.bare.control)
        with self.bare.view() as view:
            view.make_bind_points()
            if prepare:
                prepare(view)

    def disturb(self, calls: Sequence[Call], error: int = 0, at: int = 0) -> Answer:
        """Make the calls; `error` 0 kills."""
        assert self.process.stdin and self.process.stdout
        told = " ; ".join(" ".join(map(_word, call)) for call in calls)
        self.process.stdin.write(f"{error} {at} {told}\n")
        answer = self.process.stdout.readline()
        if answer == "killed\n":
            return Answer(None)
        assert answer and not answer.startswith("status"), f"{answer!r} at call {at} of {told}"
        return Answer(*map(int, answer.split()))

    def state(self) -> State:
        """All that the view shows, but for what the clock says."""
        found: State = {}
        numbers: Dict[int, str] = {}
        with self.bare.view() as view:
            for path in _walk(view, "/"):
                found[path] = _told(view, path, numbers)
            found["live"] = (tuple(sorted(view.environment_list().items(), key=str)),
                             tuple(sorted(view.exec_map_list().items())))
        return found

    def in_order_after_a_start(self) -> State:
        """A container's next start clears away, and would come by the same without its page."""
        assert not _native.control_ensure(self.bare.file, alone=True)
        assert [] == self.bare.work_left()
        before = self.state()
        kept = self.bare.control.with_name("kept")
        os.rename(self.bare.control, kept)
        assert _native.control_ensure(self.bare.file, alone=True)
        after = self.state()
        os.rename(kept, self.bare.control)
        after["live"] = before["live"]    # that is in the page alone
        assert before == after
        return before


def _walk(view: View, path: str) -> Iterator[str]:
    yield path
    for name in sorted(view.listdir(path)):
        below = path.rstrip("/") + "/" + name
        if below == "/proc":
            continue
        if stat.S_ISDIR(view.lstat(below).st_mode):
            yield from _walk(view, below)
        else:
            yield below


def _told(view: View, path: str, numbers: Dict[int, str]) -> Tuple:
    st = view.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    told: Tuple = (oct(st.st_mode), st.st_uid, st.st_gid)
    if kind == stat.S_IFDIR:
        return told + (tuple(sorted((n, view.getxattr(path, n)) for n in view.listxattr(path))),)
    # which names are one file, by the first of them
    told += (st.st_nlink, numbers.setdefault(st.st_ino, path),
             st.st_mtime_ns if st.st_mtime_ns < CLOCK else "now")
    if kind == stat.S_IFLNK:
        return told + (view.readlink(path),)
    if kind == stat.S_IFREG:
        told += (hashlib.sha256(view.read(path)).hexdigest(),
                 tuple(sorted((n, view.getxattr(path, n)) for n in view.listxattr(path))))
    return told


def _uncounted(state: State) -> State:
    """The state but for the numbers of links of files."""
    return {path: told[:3] + told[4:] if path != "live" and len(told) > 4 else told
            for path, told in state.items()}


def _without(state: State, path: str) -> State:
    """The same but for what is at the path, or below it: of the names of a file, too."""
    firsts: Dict[object, str] = {}
    found = {}
    for each, told in _uncounted(state).items():
        if each == path or each.startswith(path + "/"):
            continue
        if each != "live" and len(state[each]) > 4:
            told = told[:3] + (firsts.setdefault(told[3], each),) + told[4:]
        found[each] = told
    return found


def difference(one: State, other: State) -> List[str]:
    """Where two states differ, for a message."""
    return [f"{path}: {one.get(path)} and {other.get(path)}"
            for path in sorted(set(one) | set(other)) if one.get(path) != other.get(path)]


def measured(trials: Trials, story: Story) -> Tuple[State, State, int, int]:
    """The state before, the state after, how many system calls are made, and the result."""
    trials.fresh(story.prepare)
    before = trials.state()
    answer = trials.disturb(story.calls)
    assert answer.result is not None
    after = trials.state()
    assert [] == trials.bare.work_left()
    assert 0 == answer.mappings
    return before, after, answer.calls, answer.result


def refused(trials: Trials, story: Story, error: int, at: int, before: State, after: State,
            result: int) -> List[str]:
    """One system call fails: what is wrong then."""
    trials.fresh(story.prepare)
    answer = trials.disturb(story.calls, error, at)
    assert answer.result is not None
    found = trials.state()
    wrong = []
    failed = answer.result < 0 <= result
    if failed and found != before:
        wrong += ["failed, but changed", *difference(before, found)]
    if not failed and found != after:
        wrong += ["went through, but did not all", *difference(after, found)]
    if answer.result == -errno.EINTR:
        wrong.append("was interrupted")
    # a staged object that cannot be removed stays until the next start
    if answer.result < 0 and trials.bare.work_left():
        wrong.append(f"left {trials.bare.work_left()}")
    if answer.descriptors > (1 if answer.result > 0 else 0):
        wrong.append("left a descriptor open")
    if answer.mappings > 0:
        wrong.append("left memory mapped")
    if failed and not wrong:
        again = trials.disturb(story.calls)
        if (again.result is None or again.result < 0) or trials.state() != after:
            wrong += [f"gives {again.result} when tried again", *difference(after, trials.state())]
    name = errno.errorcode[error]
    return [f"{name} at system call {at} gives {answer.result}: {line}" for line in wrong]


def killed(trials: Trials, story: Story, at: int, before: State, after: State,
           but: str = "/.") -> List[str]:
    """The process is killed before a system call: what is wrong then, `but` for what is
    found below that path."""
    trials.fresh(story.prepare)
    assert trials.disturb(story.calls, 0, at).result is None
    at_once = trials.state()
    # a staged link counts until the next start
    if _uncounted(at_once) not in (_uncounted(before), _uncounted(after)) and (
            _without(at_once, but) != _without(after, but)):
        return [f"killed at system call {at}:", *difference(before, at_once)]
    found = trials.in_order_after_a_start()
    if found not in (before, after) and _without(found, but) != _without(after, but):
        return [f"killed at system call {at}, then started:", *difference(before, found)]
    if found == before:
        again = trials.disturb(story.calls)
        if again.result is None or again.result < 0 or trials.state() != after:
            return [f"killed at system call {at}, {again.result} when tried again",
                    *difference(after, trials.state())]
    return []
