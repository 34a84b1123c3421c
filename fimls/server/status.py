"""What the server is doing, for status lines: the ``fimls/status`` notification."""

from __future__ import annotations

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
