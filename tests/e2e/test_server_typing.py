"""What a key takes back is gone on with, where the key typed what was being generated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from session import scripted

Edit = Callable[..., Any]

HEAD = "def total(rows):\n    "
LOOP = "for row in rows:\n        n += row.price\n        print(n, row.name)\n        show(n)"
# Some 40 tokens, 2.4 seconds: much longer than any of the requests below is given.
SLOW = scripted({"total": LOOP + "\n\n\nprint()\n"}, delay_ms=60)
KEY_S = 0.2


async def test_requests_that_are_taken_back_add_up(edit: Edit) -> None:
    """No request has the time for a whole completion; the person gets it all the same."""
    async with edit({**SLOW, "client": {"grows": True}}) as editor:
        uri = editor.open(HEAD)
        first = (await editor.ghost_texts(uri, 1, 4))[0]
        assert LOOP.startswith(first + "\n")
        typed = "for ro"
        editor.type(uri, 1, 4, typed)
        for _ in range(100):
            asked = editor.ask(uri, 1, 4 + len(typed), invoked=True)
            done, _ = await asyncio.wait({asked.answer}, timeout=KEY_S)
            if done:
                break
            editor.cancel(asked)
        answer = await asked.answer
        [item, *_] = getattr(answer, "items", answer)
        assert str(item.insert_text) == LOOP[len(typed) :]
