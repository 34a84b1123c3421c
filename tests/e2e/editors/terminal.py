"""A program in a real terminal: type into it, look at its screen.

The terminal is a pty whose output a terminal emulator (pyte) draws, so a test
sees what a person would, colours included.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyte
from typing_extensions import Self

# Questions about the terminal's abilities, and modes of newer keyboards: pyte does not know them.
_DEVICE_CONTROL = re.compile(
    rb"\x1bP.*?\x1b\\"  # device control strings
    rb"|\x1b\[[<=>][\d;]*[a-zA-Z]"  # key modifiers, secondary attributes
    rb"|\x1b\[\??[\d;]*(?:n|u|\$p)"  # reports
    rb"|\x1b\[\?[\d;]*m",  # which attributes there are
    re.DOTALL,
)


@dataclass(frozen=True)
class Cell:
    """One character of the screen; colours are six hex digits, a name, or ``default``."""

    text: str
    fg: str
    bg: str
    bold: bool
    italic: bool
    reverse: bool


class Running(ABC):
    """Something that is closed when its ``with`` block ends."""

    @abstractmethod
    def close(self) -> None:
        """End it, and what it has started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class Terminal(Running):
    """A running program and its screen of ``columns`` by ``rows`` characters."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        columns: int = 80,
        rows: int = 20,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        self._slave = os.dup(slave)  # to see what has not been read yet
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        variables = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        variables |= {"LC_ALL": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=variables,
            start_new_session=True,
            # The terminal becomes the program's own: Emacs opens /dev/tty.
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call
        )
        os.close(slave)
        # A program that nobody listens to would stand still.
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def type(self, text: str, *, every_s: float = 0.0) -> None:
        """Press keys, as bytes; with ``every_s`` one after the other, as a person does."""
        if not every_s:
            os.write(self._master, text.encode())
            return
        for key in text:
            os.write(self._master, key.encode())
            self.watch(every_s)

    def has_read(self) -> bool:
        """Whether the program has taken all the keys that were pressed."""
        waiting = fcntl.ioctl(self._slave, termios.FIONREAD, struct.pack("i", 0))
        return bool(struct.unpack("i", waiting)[0] == 0)

    @contextmanager
    def sampled(self, look: Callable[[], str], every_s: float = 0.01) -> Iterator[list[str]]:
        """What ``look`` sees on the screen, again and again while the block runs."""
        seen: list[str] = []
        over = threading.Event()

        def sample() -> None:
            while not over.wait(every_s):
                seen.append(look())

        sampler = threading.Thread(target=sample, daemon=True)
        sampler.start()
        try:
            yield seen
        finally:
            over.set()
            sampler.join()

    def watch(self, seconds: float) -> None:
        """Let the program draw for so long."""
        time.sleep(seconds)

    def _listen(self) -> None:
        while True:
            try:
                drawn = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            if not drawn:
                return
            with self._lock:
                self._answer(drawn)
                self._stream.feed(_DEVICE_CONTROL.sub(b"", drawn))

    def _answer(self, drawn: bytes) -> None:
        """What a terminal says when it is asked what it is and where its cursor stands."""
        if b"\x1b[c" in drawn or b"\x1b[0c" in drawn:
            os.write(self._master, b"\x1b[?62;22c")
        if b"\x1b]11;?" in drawn:  # what is the background's colour?
            os.write(self._master, b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\")
        if b"\x1b[5n" in drawn:  # all well?
            os.write(self._master, b"\x1b[0n")
        if b"\x1b[6n" in drawn:
            cursor = self.screen.cursor
            os.write(self._master, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())

    @property
    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def cells(self) -> list[list[Cell]]:
        """The screen as it is drawn, for pictures."""
        with self._lock:
            drawn = [
                [self.screen.buffer[y][x] for x in range(self.screen.columns)]
                for y in range(self.screen.lines)
            ]
        return [
            [Cell(c.data, c.fg, c.bg, c.bold, c.italics, c.reverse) for c in row] for row in drawn
        ]

    def wait(
        self,
        what: str,
        there: Callable[[], object] | None = None,
        *,
        timeout_s: float = 30.0,
        gone: bool = False,
    ) -> None:
        """Until ``what`` stands on the screen (or is ``gone``), or ``there()`` is true."""
        until = time.monotonic() + timeout_s
        while True:
            found = bool(there()) if there else what in self.text
            if found != gone:
                return
            if time.monotonic() > until:
                wish = "still there" if gone else "never came"
                raise AssertionError(f"{what!r} {wish}; the screen shows:\n{self.text}")
            self.watch(0.02)

    def close(self) -> None:
        """End the program and what it started."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(3)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                self.process.kill()
        self.process.wait()
        os.close(self._slave)  # the reader comes to the end when nobody holds the other side
        self._reader.join(2)
        if not self._reader.is_alive():  # or it would read what is opened next under this number
            os.close(self._master)
