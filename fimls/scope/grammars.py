"""The choice of grammars, in one place, and what the watcher asks of a parse.

Official ``tree-sitter-<language>`` wheels carry the compiled grammar: nothing
is downloaded at run time. A grammar is loaded when it is first asked for
(0.5 to 20 ms). Where one is missing or does not load, the answer is ``None`` and
the watcher goes by the scanner and the layout alone.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from tree_sitter import Language, Parser, Point, Tree

from fimls.scope.site import plain

log = logging.getLogger(__name__)

# Language: (module of the wheel, function that returns the grammar).
WHEELS: dict[str, tuple[str, str]] = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "java": ("tree_sitter_java", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "swift": ("tree_sitter_swift", "language"),
    "scala": ("tree_sitter_scala", "language"),
    "lua": ("tree_sitter_lua", "language"),
    "julia": ("tree_sitter_julia", "language"),
    "bash": ("tree_sitter_bash", "language"),
    "html": ("tree_sitter_html", "language"),
    "css": ("tree_sitter_css", "language"),
    "json": ("tree_sitter_json", "language"),
    "yaml": ("tree_sitter_yaml", "language"),
    "toml": ("tree_sitter_toml", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "markdown": ("tree_sitter_markdown", "language"),
}

# A parser that takes longer is stuck, or the text is no text: 64 kB parse in 5 to 20 ms.
T_MAX_PARSE_MS = 100
_CHUNK = 8192
# Which of two texts is more broken than that does not matter.
_MOST_FAULTS = 100


class _Buffers:
    """What one parser at a time reads from, piece by piece.

    py-tree-sitter 0.26 never lets go of what it is given to read (``parser_read_wrapper``
    keeps a reference). So it is always given the same objects, one for each power of two.
    """

    def __init__(self) -> None:
        self._by_size = {1 << n: bytearray(1 << n) for n in range(_CHUNK.bit_length())}

    def filled(self, source: bytes, offset: int) -> bytes:
        """Some of ``source`` from ``offset`` on; empty at its end."""
        n_left = len(source) - offset
        if n_left <= 0:
            return b""
        size = min(_CHUNK, 1 << (n_left.bit_length() - 1))
        buffer = self._by_size[size]
        buffer[:] = source[offset : offset + size]
        return cast("bytes", buffer)  # any buffer will do


_idle_buffers: list[_Buffers] = []


@dataclass(frozen=True, slots=True)
class Grammar:
    """A loaded grammar. What its trees count in bytes are characters, whatever a text holds."""

    name: str
    language: Language

    def parse(self, text: str, t_max_ms: float = T_MAX_PARSE_MS) -> Tree | None:
        """The tree of ``text``, ``None`` when the parser does not come to an end in time."""
        # Kotlin's scanner never comes back from an annotation right at the end of the text
        # (tree-sitter-kotlin 1.1.0), and nothing stops it there; behind a line end it does.
        source = (plain(text).removesuffix("\n") + "\n").encode("ascii")
        # The thread's own time: a busy machine makes no parser stuck.
        deadline = time.thread_time() + t_max_ms / 1000

        try:
            buffers = _idle_buffers.pop()
        except IndexError:  # as many as there are threads that parse at the same time
            buffers = _Buffers()

        def read(offset: int, _point: Point) -> bytes:
            return buffers.filled(source, offset)

        def is_over(_offset: int, _has_error: bool) -> bool:
            return time.thread_time() > deadline  # true: give up

        try:
            return Parser(self.language).parse(read, progress_callback=is_over)
        except (ValueError, RuntimeError):
            return None
        finally:
            _idle_buffers.append(buffers)

    def n_errors(self, text: str, t_max_ms: float = T_MAX_PARSE_MS) -> int | None:
        """How many ERROR and MISSING nodes the tree of ``text`` has."""
        tree = self.parse(text, t_max_ms)
        if tree is None:
            return None
        return _count_faults(tree)


def _count_faults(tree: Tree) -> int:
    """Walk what has errors in it: a query for them is quadratic in the width of an ERROR."""
    n, cursor = 0, tree.walk()
    while True:
        node = cursor.node
        assert node is not None  # a cursor is always at a node
        n += node.is_error or node.is_missing
        if n >= _MOST_FAULTS:
            return n
        if node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return n


@lru_cache(maxsize=64)
def load(name: str) -> Grammar | None:
    """The grammar of a language, or ``None``: not ours, not installed, or not loadable."""
    if name not in WHEELS:
        return None
    module, function = WHEELS[name]
    try:
        pointer: Callable[[], object] = getattr(importlib.import_module(module), function)
        language = Language(pointer())
    except Exception as error:  # noqa: BLE001 (a grammar is foreign code: whatever it raises)
        log.warning("grammar for %s does not load, going by brackets and layout: %s", name, error)
        return None
    return Grammar(name, language)
