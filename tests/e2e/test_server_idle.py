"""What the server prepares while nobody types, over a real process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from session import scripted

LINES = 300
TEXT = "".join(f"value_{number} = compute({number})\n" for number in range(LINES))


async def test_a_small_window_is_whole_after_a_pause(edit: Callable[..., Any]) -> None:
    """The first answer sees what could be read in time; one after a pause sees much more."""
    settings = scripted("1\n", t_idle_ms=20, economy=False)  # whatever else runs here
    settings["engines"]["scripted"]["prompt_tokens_per_s"] = 400
    async with edit(settings) as editor:
        uri = editor.open(TEXT)
        line = f"value_{LINES - 1} = compute({LINES - 1})"

        async def shown(n_typed: int) -> int:
            await editor.ghost(uri, LINES - 1, len(line) + n_typed)
            return len((await editor.explain())["prompt"]) - n_typed

        first = now = await shown(0)
        for n_typed in range(200):  # until it is ready, however busy the machine
            editor.type(uri, LINES - 1, len(line) + n_typed, "+")
            now = await shown(n_typed + 1)
            if now > 1.5 * first:
                break
            await editor.pause(0.1)
        assert now > 1.5 * first
