"""Screens as SVG: one picture, or several that follow each other in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from editors.terminal import Cell

# The size of a character cell, in user units; fonts differ, so each run is stretched to fit.
WIDTH, HEIGHT, SIZE = 8.4, 19, 14
MARGIN = 14
BACKGROUND, FOREGROUND = "14161b", "e0e2ea"  # Neovim's default colours
NAMES = {
    "black": "14161b", "red": "ffc0b9", "green": "b3f6c0", "brown": "fce094", "blue": "a6dbff",
    "magenta": "ffcaff", "cyan": "8cf8f7", "white": "e0e2ea",
}  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A screen, its cursor (column, row), and for how long it stands."""

    cells: Sequence[Sequence[Cell]]
    cursor: tuple[int, int]
    seconds: float = 1.0
    caption: str = ""


def svg(frames: Sequence[Frame], title: str) -> str:
    """The frames as one SVG; more than one become an animation that starts again at its end."""
    columns, rows = len(frames[0].cells[0]), len(frames[0].cells)
    captions = any(frame.caption for frame in frames)
    width = columns * WIDTH + 2 * MARGIN
    height = (rows + (1.4 if captions else 0)) * HEIGHT + 2 * MARGIN
    total = sum(frame.seconds for frame in frames)
    style = (
        'text{font:14px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;white-space:pre}'
    )
    drawn, start = [], 0.0
    for index, frame in enumerate(frames):
        end = start + frame.seconds
        if len(frames) > 1:
            style += _shown(index, 100 * start / total, 100 * end / total, total)
        drawn.append(f'<g class="f f{index}">{_frame(frame, rows)}</g>')
        start = end
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">'
        f"<title>{escape(title)}</title><style>{style}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#{BACKGROUND}"/>'
        f'<g transform="translate({MARGIN} {MARGIN})">{"".join(drawn)}</g></svg>\n'
    )


def _shown(index: int, begin: float, end: float, total_s: float) -> str:
    """The style that shows one frame between two percentages of the whole."""
    before = f"0%,{begin:.3f}%{{visibility:hidden}}" if begin > 0 else ""
    after = f"{end:.3f}%,100%{{visibility:hidden}}" if end < 100 else ""
    keys = f"{before}{begin + (0.001 if begin else 0):.3f}%{{visibility:visible}}{after}"
    return (
        f"@keyframes k{index}{{{keys}}}"
        f".f{index}{{animation:k{index} {total_s:.2f}s step-end infinite}}"
    )


def _frame(frame: Frame, rows: int) -> str:
    parts = []
    for y, row in enumerate(frame.cells):
        x = 0
        for style, run in groupby(row, key=_style):
            cells = list(run)
            parts.append(_run(x, y, "".join(cell.text for cell in cells), len(cells), *style))
            x += len(cells)
    left, top = frame.cursor[0] * WIDTH, frame.cursor[1] * HEIGHT
    parts.append(
        f'<rect x="{left:.1f}" y="{top}" width="2" height="{HEIGHT}" fill="#{FOREGROUND}"/>'
    )
    if frame.caption:
        y = (rows + 1) * HEIGHT
        parts.append(f'<text x="0" y="{y:.0f}" fill="#a6dbff">{escape(frame.caption)}</text>')
    return "".join(parts)


def _style(cell: Cell) -> tuple[str, str, bool, bool]:
    fg, bg = _colour(cell.fg, FOREGROUND), _colour(cell.bg, BACKGROUND)
    return (bg, fg, cell.bold, cell.italic) if cell.reverse else (fg, bg, cell.bold, cell.italic)


def _colour(name: str, default: str) -> str:
    return default if name == "default" else NAMES.get(name.removeprefix("bright"), name)


def _run(x: int, y: int, text: str, n: int, fg: str, bg: str, bold: bool, italic: bool) -> str:
    left, top = x * WIDTH, y * HEIGHT
    drawn = ""
    if bg != BACKGROUND:
        drawn = (
            f'<rect x="{left:.1f}" y="{top}" width="{n * WIDTH:.1f}" height="{HEIGHT}" '
            f'fill="#{bg}"/>'
        )
    shown = text.rstrip()
    if not shown:
        return drawn
    looks = (' font-weight="bold"' if bold else "") + (' font-style="italic"' if italic else "")
    return (
        f'{drawn}<text x="{left:.1f}" y="{top + SIZE:.0f}" fill="#{fg}"{looks} '
        f'textLength="{len(shown) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs" '
        f'xml:space="preserve">{escape(shown)}</text>'
    )
