"""Put the layers of an image into the store, several at a time."""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import BinaryIO, Callable, Iterable, Optional, Sequence, cast

from ..errors import DigestMismatch, LayerDamaged, UnsafeMember
from ..progress import Note, Sink, TaskAdvanced, TaskFinished, TaskStarted
from ..registry.stop import Stop, Stopped
from ..store import Store
from .streams import CHUNK, Counted, ReadAhead, Stream, decompressed

_WORKERS = 3
_PATIENCE = 10.0  # seconds for the workers to clean up, once it is over


@dataclass(frozen=True)
class LayerSource:
    """Where a layer comes from. `open` gives its bytes as they are kept there,
    `size` of them, compressed or not; `attempts` says how often that is worth
    trying if they turn out to be the wrong ones."""

    diff_id: str
    label: str
    size: Optional[int]
    open: Callable[[], Stream]
    attempts: int = 1


def store_layers(store: Store, sources: Iterable[LayerSource], progress: Sink,
                 stop: Stop) -> None:
    """Have all these layers in the store. What it has already is not read.

    The first failure ends the others and is raised here; so does an interrupt
    of the waiting thread. Nothing of this is at work any more on return, and a
    layer that is not complete has left nothing behind.
    """
    team = _Team(store, _missing(store, sources, progress), progress, stop)
    try:
        team.start()
        team.wait()
    except BaseException:
        stop.set()
        team.wait(_PATIENCE)
        raise
    if team.failure is not None:
        raise team.failure
    stop.check()  # somebody else may have ended it


def _missing(store: Store, sources: Iterable[LayerSource], progress: Sink) -> list[LayerSource]:
    """What is to be fetched, each layer once however often the image has it."""
    todo: dict[str, LayerSource] = {}
    for source in sources:
        if source.diff_id in todo:
            continue
        if store.layers.has(source.diff_id):
            progress(TaskStarted(source.diff_id, source.label))
            progress(TaskFinished(source.diff_id, "already in the store"))
        else:
            todo[source.diff_id] = source
    return list(todo.values())


class _Team:
    """Threads that take one layer after the other, base first."""

    def __init__(self, store: Store, todo: Sequence[LayerSource], progress: Sink,
                 stop: Stop) -> None:
        self._store = store
        self._todo = list(todo)[::-1]
        self._progress = progress
        self._stop = stop
        self._lock = threading.Lock()
        self._working = 0
        self._all_done = threading.Event()
        self.failure: Optional[BaseException] = None

    def start(self) -> None:
        """Begin; `wait` returns when all threads are done with everything."""
        self._working = 1  # this one, until the others are under way
        started = 0
        try:
            for number in range(min(_WORKERS, len(self._todo))):
                with self._lock:
                    self._working += 1
                try:
                    threading.Thread(target=self._work, name=f"lpmx-layer-{number}",
                                     daemon=True).start()
                    started += 1
                except RuntimeError:  # no more threads are to be had: fewer do it, too
                    self._leave()
            if not started:
                self._take_layers()
        finally:
            self._leave()

    def wait(self, seconds: Optional[float] = None) -> None:
        # Not Thread.join: one that is interrupted takes the thread for ended in
        # several versions of Python, and the next join returns at once.
        self._all_done.wait(seconds)

    def _leave(self) -> None:
        with self._lock:
            self._working -= 1
            if not self._working:
                self._all_done.set()

    def _work(self) -> None:
        try:
            self._take_layers()
        finally:
            self._leave()

    def _take_layers(self) -> None:
        try:
            while not self._stop.is_set:
                with self._lock:
                    if not self._todo:
                        return
                    source = self._todo.pop()
                self._fetch(source)
        except BaseException as error:
            with self._lock:
                # What the others say once they are stopped is no news.
                if self.failure is None and not isinstance(error, Stopped):
                    self.failure = error
            self._stop.set()

    def _fetch(self, source: LayerSource) -> None:
        attempts = source.attempts
        while True:
            attempts -= 1
            self._progress(TaskStarted(source.diff_id, source.label, source.size))
            try:
                self._unpack(source)
            except DigestMismatch as error:
                if attempts <= 0:
                    raise
                self._progress(TaskFinished(source.diff_id, "damaged on the way"))
                self._progress(Note(f"{source.label}: {error}; trying again"))
            else:
                self._progress(TaskFinished(source.diff_id))
                return

    def _unpack(self, source: LayerSource) -> None:
        stream = source.open()
        try:
            counted = Counted(stream, self._reporter(source))
            try:
                with ReadAhead(decompressed(counted, source.label)) as ahead:
                    self._store.layers.put(source.diff_id, cast(BinaryIO, ahead))
            except (LayerDamaged, UnsafeMember, DigestMismatch):
                # Wrong bytes make no sense, but that is not what is wrong with
                # them: the stream says so at its end.
                while counted.read(CHUNK):
                    pass
                raise
        finally:
            stream.close()

    def _reporter(self, source: LayerSource) -> Callable[[int], None]:
        def report(count: int) -> None:
            self._stop.check()
            self._progress(TaskAdvanced(source.diff_id, count, source.size))
        return report
