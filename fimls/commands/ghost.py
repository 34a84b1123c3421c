"""How a completion looks in a terminal: the code, with the ghost text set off."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fimls.commands.complete import Place
from fimls.fim import Completion, Prompt, SegmentKind, StopReason

# Enough to see where one is, little enough for a small window.
_LINES_AROUND = 8
_GHOST = "bold black on bright_cyan"
_NUMBER = "dim"

WHY = {
    StopReason.SCOPE: "the next token would have left the enclosing scope",
    StopReason.SUFFIX: "it met what already stands after the cursor",
    StopReason.END: "the model was done",
    StopReason.LOOP: "the model repeated itself",
    StopReason.BUDGET: "the token budget (n_predict) was used up",
    StopReason.TIME: "the time budget was used up",
    StopReason.CANCELLED: "it was cancelled",
}


def show(place: Place, completion: Completion, n_predict: int) -> None:
    """Print the code around the cursor, the ghost text in it, and what it cost."""
    console = Console(highlight=False, soft_wrap=True)
    # NO_COLOR (no-color.org) leaves bold and reverse; they would not set enough off alone.
    plain = not console.is_terminal or bool(os.environ.get("NO_COLOR"))
    name = Path(place.path).name if place.path else "standard input"
    line = place.text.count("\n", 0, place.offset) + 1
    console.print(Text(f"{name}, line {line}, {completion.language or 'no language'}", _NUMBER))
    console.print(_code(place, completion.text, plain=plain))
    for heading, fact in summary(completion, n_predict):
        console.print(Text.assemble((f"{heading:<8}", _NUMBER), fact))


def summary(completion: Completion, n_predict: int) -> list[tuple[str, str]]:
    """Why it stopped and what it cost, a line each."""
    reason = completion.stop_reason
    saved = max(n_predict - completion.n_generated, 0)
    return [
        ("stopped", f"{reason.value}: {WHY.get(reason, '')}"),
        (
            "tokens",
            (
                f"{completion.n_generated} generated ({completion.n_discarded} not shown), "
                f"{saved} of {n_predict} saved; prompt {completion.n_prompt}, "
                f"{completion.n_evaluated} of them evaluated"
            ),
        ),
        (
            "time",
            (
                f"{completion.t_first_token_ms:,.0f} ms to the first token, "
                f"{completion.t_total_ms:,.0f} ms in all, "
                f"{completion.t_scope_ms:.1f} ms of them for the scope"
            ),
        ),
        ("model", f"{completion.model}, template {completion.template}"),
    ]


def _code(place: Place, ghost: str, *, plain: bool) -> Text:
    """Numbered lines around the cursor; without colour ghost text stands in ⟦ ⟧."""
    before = place.text[: place.offset].split("\n")
    after = place.text[place.offset :].split("\n")
    body = Text("\n".join(before[-_LINES_AROUND:]))
    body.append(f"⟦{ghost}⟧" if plain else ghost, "" if plain else _GHOST)
    body.append("\n".join(after[:_LINES_AROUND]))
    first = max(len(before) - _LINES_AROUND, 0) + 1
    view = Text()
    for number, line in enumerate(body.split("\n", allow_blank=True), first):
        line.expand_tabs(4)  # before the number shifts them
        view.append(f"{number:>5}  ", _NUMBER)
        view.append_text(line)
        view.append("\n")
    return view


def show_prompt(prompt: Prompt) -> None:
    """Print the exact prompt on stdout, markers set off, and the rest of the facts on stderr."""
    console = Console(highlight=False, soft_wrap=True)
    text = Text()
    for part in prompt.segments:
        text.append(part.text, "bold magenta" if part.kind is SegmentKind.MARKER else "")
    if not prompt.segments and prompt.window is not None:  # the server fills its own template
        for name, told in (
            ("prefix", prompt.window.prefix + prompt.window.typed),
            ("suffix", prompt.window.suffix),
        ):
            text.append(f"[{name}]\n", "bold magenta").append(f"{told}\n")
    console.print(text)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    n_tokens = len(prompt.tokens)
    notes.print(Text(f"template {prompt.template}, {n_tokens} tokens", _NUMBER))
    if prompt.heal:
        notes.print(Text(f"the model's text has to begin with {prompt.heal!r}", _NUMBER))
