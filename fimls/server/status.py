"""What the server is doing, for status lines: the ``fimls/status`` notification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

STATUS = "fimls/status"


class State(str, Enum):
    """One word for a status line."""

    LOADING = "loading"  # the weights are on their way, from disk or from the network
    IDLE = "idle"
    THINKING = "thinking"
    OFF = "off"  # nothing is completed here, and ``message`` says why
    ERROR = "error"  # nothing can be completed, and ``next_step`` says what to do

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Status:
    """The state, why, and what a person can do about it."""

    state: State = State.IDLE
    message: str = ""
    next_step: str = ""
    model: str = ""

    def as_params(self) -> dict[str, Any]:
        """The notification's parameters; empty members are left out."""
        values = asdict(self) | {"state": self.state.value}
        values["nextStep"] = values.pop("next_step")
        return {key: value for key, value in values.items() if value}

    @classmethod
    def of(cls, error: Exception, model: str = "") -> Status:
        """An error as status: what happened, and after the semicolon the next move."""
        message, _, next_step = str(error).partition("; ")
        return cls(State.ERROR, message, next_step, model)


class Board:
    """Of all that goes on, what a person wants to know now; ``tell`` hears every change of it.

    A download comes first, then a completion in the making, then that nothing is completed
    where the person is, then the engine. Whatever ends uncovers what lies below, in any order
    of events: an engine that gets ready must not say "idle" over a file that is left alone.
    """

    def __init__(self, tell: Callable[[Status], None]) -> None:
        self._tell = tell
        self._engine = self.shown = Status()
        self._thinking: Status | None = None
        self._off = ""
        self._downloading = ""

    def engine_is(self, status: Status) -> None:
        """Loading, ready, or in trouble."""
        self._engine = status
        self._show()

    def off(self, reason: str) -> None:
        """Why nothing is completed where the person is, or nothing."""
        self._off = reason
        self._show()

    def downloading(self, model: str) -> None:
        """A model is fetched; nothing: no longer."""
        self._downloading = model
        self._show()

    def thinking(self, model: str, condition: str) -> None:
        """A completion is made; what was wrong before is over, or will be told again."""
        self._thinking = Status(State.THINKING, condition, model=model)
        if self._engine.state is State.ERROR:
            self._engine = Status(model=model)
        self._show()

    def thought(self, model: str, condition: str) -> None:
        """The last completion has been made; ``condition`` is what is unusual about them."""
        self._thinking = None
        if self._engine.state is State.IDLE:
            self._engine = Status(State.IDLE, condition, model=model)
        self._show()

    def _show(self) -> None:
        if self._downloading:
            name = self._downloading
            status = Status(State.LOADING, f"downloading {name}", model=name)
        elif self._thinking:
            status = self._thinking
        elif self._off:
            status = Status(State.OFF, self._off)
        else:
            status = self._engine
        if status != self.shown:
            self.shown = status
            self._tell(status)
