"""llama.cpp inside this process: loaded once, its log in ours, its failures in our words.

Everything here is process-wide state of the C library: the backend, the log
callback, and the one abort callback that needs no GIL.
"""

from __future__ import annotations

import ctypes
import logging
import re
import sys
import threading
from collections import deque
from dataclasses import dataclass

import llama_cpp.llama_cpp as c

# Where llama.cpp puts what: "load_tensors:   CPU_Mapped model buffer size =   462.96 MiB".
_BUFFER = re.compile(r": +(\S+) +(model|KV|compute|output) buffer size += +([\d.]+) MiB")

_FLASH_ATTENTION = re.compile(
    r"llama_context: flash_attn += (\w+)|Flash Attention (enabled|disabled)"
)

logger = logging.getLogger("fimls.llama")

# ggml_log_level: 1 debug, 2 info, 3 warning, 4 error, 5 continues the line before it. All of it
# is for debugging: a model file that is a little odd is a warning there, a decode that was
# cancelled three errors, and a real error is raised with what was said of it.
_ERROR = 4


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that llama.cpp has taken; its log is the only place that tells.

    ``kind`` is "model", "KV", "compute" or "output".
    """

    device: str
    kind: str
    n_bytes: int

    @property
    def is_mapped(self) -> bool:
        """Whether it is the file itself, which processes share and the system can drop."""
        return self.device.endswith("_Mapped")


_lock = threading.Lock()
_started = False
_complaints: deque[str] = deque(maxlen=4)
_buffers: deque[Buffer] = deque(maxlen=64)
_flash_attention: deque[str] = deque(["unknown"], maxlen=1)


@c.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes prototype
def _log(level: int, text: bytes, _user_data: object) -> None:
    """Hand a line of llama.cpp's log to Python's; for debugging."""
    line = text.decode("utf-8", "replace").rstrip()
    if not line.strip("."):
        return
    if level == _ERROR:
        _complaints.append(line)
    found = _BUFFER.search(line)
    if found:
        device, kind, mebibytes = found.groups()
        _buffers.append(Buffer(device, kind, int(float(mebibytes) * 1024**2)))
    if found := _FLASH_ATTENTION.search(line):  # of "auto", the last word follows
        _flash_attention.append(found[1] or found[2])
    logger.debug("%s", line)


def start() -> None:
    """Initialise the backend and take over its log. Safe to call again."""
    global _started  # noqa: PLW0603  # the C library has one backend per process
    with _lock:
        if _started:
            return
        c.llama_log_set(_log, ctypes.c_void_p(0))
        c.llama_backend_init()
        _started = True


def forget_complaints() -> None:
    _complaints.clear()


def forget_buffers() -> None:
    _buffers.clear()


def buffers() -> tuple[Buffer, ...]:
    """What was taken since ``forget_buffers``, by whatever was opened in this process."""
    return tuple(_buffers)


def flash_attention() -> str:
    """Whether the last context that was made has it: enabled or disabled."""
    return _flash_attention[0]


def complaints() -> str:
    """What llama.cpp said went wrong since ``forget_complaints``, on one line."""
    return "; ".join(_complaints) or "llama.cpp gives no reason"


class AbortFlag:
    """A flag that llama.cpp polls while it computes, without ever taking the GIL.

    The callback runs once per graph node, some 700 times a token. A Python
    callback there waits for the GIL whenever another thread runs Python, up to
    5 ms each time. libc's ``strlen`` does the same work natively: given a
    two-byte buffer it returns 0 for an empty string and 1 once the first byte
    is set, and only the lowest byte of the result is read as a C ``bool``.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
        self.callback = ctypes.cast(libc.strlen, c.ggml_abort_callback)
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self, on: bool) -> None:
        self._buffer[0] = b"\x01" if on else b"\x00"
