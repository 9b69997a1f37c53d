"""The standard error of the process, and the handler that writes our records to it.

Access lines of requests that went well may be held back for a moment, to be made and written together: between two
requests, code that makes a line takes three times as long as when it has just made another one. Rules: what is held
back is written before anything that comes after it; a write is whole lines, and as long as a pipe takes at once
(POSIX, "write", PIPE_BUF), so that the lines of several processes do not mix; a process that ends in the regular way
leaves nothing behind.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TextIO

# Makes a line, without its end, of whatever it is about and the time of that in seconds since the epoch.
MakeLine = Callable[[Any, float], str]

MAX_HELD: Final = 64
HOLD_S: Final = 1.0
_MAX_WRITE: Final[int] = getattr(select, "PIPE_BUF", 4096)  # not on Windows


class HeldLines:
    """Lines of a stream that are written together. May be shared between threads.

    find_stream: called for each write; None for no stream. A line that comes alone is written at once. Those that
    follow wait until there are `MAX_HELD`, or at most `hold_s` seconds.
    """

    def __init__(self, find_stream: Callable[[], TextIO | None], *, hold_s: float = HOLD_S) -> None:
        self._find_stream = find_stream
        self._hold_s = hold_s
        self._lock = threading.RLock()
        self._held: deque[tuple[MakeLine, Any, float]] = deque()  # append and popleft need no lock
        self._due = 0.0
        self._is_awaited = False

    def hold(self, make: MakeLine, said: Any, now: float) -> None:
        """Have `make(said, now)` written soon. It returns ASCII and never raises. now: seconds since the epoch."""
        held = self._held
        held.append((make, said, now))
        if now >= self._due or len(held) >= MAX_HELD:
            self.flush()
        elif not self._is_awaited:
            self._await()

    def flush(self) -> None:
        """Write what is held back."""
        with self._lock:
            self._due = time.time() + self._hold_s
            # As many as there are now: other threads may go on adding.
            held = [self._held.popleft() for _ in range(len(self._held))]
            for text in _join_lines(make(said, at) + "\n" for make, said, at in held):
                write_to(self._find_stream(), text)

    def write(self, text: str) -> None:
        """Write what is held back, and then a text."""
        with self._lock:
            if self._held:
                self.flush()
            write_to(self._find_stream(), text)

    def _await(self) -> None:
        """Have the lines written when they waited long enough, should no further one come."""
        self._is_awaited = True
        timer = threading.Timer(self._hold_s, self._end_wait)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            self._end_wait()

    def _end_wait(self) -> None:
        self._is_awaited = False  # before the lines are taken: one that comes meanwhile is awaited anew
        self.flush()

    def before_fork(self) -> None:
        """Write everything, and let nobody write until `after_fork_in_parent`: the child would write it again."""
        self._lock.acquire()
        self.flush()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        """Begin anew in the child: another thread of the parent, which writes them, may have added lines since."""
        self._lock = threading.RLock()
        self._held.clear()
        self._is_awaited = False


def write_to(stream: Any, text: str) -> None:
    """Write a text; a stream that does not take it is ignored."""
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError, AttributeError):  # full, closed or no stream
        return  # there is nowhere to say so


def _join_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines in texts of at most `_MAX_WRITE` characters; a longer line is one of its own."""
    joined: list[str] = []
    length = 0
    for line in lines:
        length += len(line)
        if length > _MAX_WRITE and joined:
            yield "".join(joined)
            joined, length = [], len(line)
        joined.append(line)
    if joined:
        yield "".join(joined)


# Of the stream of the process, not of what `sys.stderr` was replaced by for a while.
_held: Final = HeldLines(lambda: sys.__stderr__)
atexit.register(_held.flush)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_held.before_fork, after_in_parent=_held.after_fork_in_parent, after_in_child=_held.after_fork
    )


class StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at the time; a stream that does not take the line is ignored.

    holds_lines: access lines may wait for others.
    """

    def __init__(self, *, holds_lines: bool = False) -> None:
        super().__init__()
        self.holds_lines = holds_lines

    def emit(self, record: logging.LogRecord) -> None:
        _write(self.format(record) + "\n")

    def write_line(self, make: MakeLine, said: Any, now: float, *, at_once: bool) -> None:
        """Write a line as `HeldLines.hold` takes it; unless at once, it may wait for others."""
        if at_once or not self.holds_lines or sys.stderr is not sys.__stderr__:
            _write(make(said, now) + "\n")
        else:
            _held.hold(make, said, now)

    def flush(self) -> None:
        _held.flush()


def _write(text: str) -> None:
    if sys.stderr is sys.__stderr__:
        _held.write(text)
    else:
        write_to(sys.stderr, text)
