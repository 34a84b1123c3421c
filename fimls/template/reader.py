"""Reading a TOML table with errors that name the file, the key and the nearest key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

from fimls.errors import TemplateError

E = TypeVar("E", bound=Enum)
_REQUIRED: Any = object()


class Table:
    """A table that is asked for each key it may hold; ``finish`` refuses the rest."""

    def __init__(self, values: Mapping[str, Any], origin: str, path: str = "") -> None:
        self._values = values
        self._origin = origin
        self._path = path
        self._asked: set[str] = set()

    def error(self, key: str, message: str) -> TemplateError:
        where = f"{self._path}.{key}" if self._path else key
        return TemplateError(f'{self._origin}: "{where}" {message}')

    def unknown(self, key: str, name: str, known: Iterable[str], what: str) -> TemplateError:
        near = difflib.get_close_matches(name.strip("{}"), list(known), n=1, cutoff=0.4)
        hint = f'; did you mean "{near[0]}"?' if near else f"; known {what}: {_list(known)}"
        return self.error(key, f"names {name}, which is unknown{hint}")

    def finish(self) -> None:
        """Raise ``TemplateError`` for the first key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1, cutoff=0.5)
                hint = f'did you mean "{near[0]}"?' if near else f"known: {_list(self._asked)}"
                raise self.error(key, f"is not a key of a template; {hint}")

    def text(self, key: str, default: str = _REQUIRED) -> str:
        value: str = self._get(key, str, "a string", default)
        return value

    def integer(self, key: str, default: int = _REQUIRED) -> int:
        value: int = self._get(key, int, "a whole number", default)
        if isinstance(value, bool):
            raise self.error(key, "must be a whole number")
        return value

    def text_list(
        self, key: str, allowed: Collection[str] = (), *, required: bool = False
    ) -> tuple[str, ...]:
        values = self._get(key, list, "a list of strings", _REQUIRED if required else [])
        if not all(isinstance(value, str) and value for value in values):
            raise self.error(key, "must be a list of strings, none of them empty")
        if required and not values:
            raise self.error(key, "must name at least one")
        for value in values:
            if allowed and value not in allowed:
                raise self.unknown(key, value, allowed, "names")
        return tuple(values)

    def choice(self, key: str, kind: type[E], default: E = _REQUIRED) -> E:
        value = self._get(key, str, "a string", "" if isinstance(default, kind) else _REQUIRED)
        if not value:
            return default
        try:
            return kind(value)
        except ValueError:
            raise self.error(
                key, f'is "{value}"; must be one of {_list(member.value for member in kind)}'
            ) from None

    def pattern(self, key: str) -> re.Pattern[str]:
        try:
            return re.compile(self.text(key))
        except re.error as error:
            raise self.error(key, f"is not a regular expression: {error}") from None

    def table(self, key: str) -> Table:
        values = self._get(key, dict, "a table", {})
        return Table(values, self._origin, f"{self._path}.{key}" if self._path else key)

    def tables(self, key: str) -> list[Table]:
        values = self._get(key, list, "a list of tables", [])
        if not all(isinstance(value, dict) for value in values):
            raise self.error(key, "must be a list of tables")
        return [Table(v, self._origin, f"{self._path}.{key}[{n}]") for n, v in enumerate(values)]

    def texts(self) -> dict[str, str]:
        """The whole table as strings, whatever its keys."""
        return {key: self.text(key) for key in self._values}

    def numbers(self, allowed: Collection[str]) -> dict[str, float]:
        for key in allowed:
            self._asked.add(key)
        self.finish()
        return {key: float(self._get(key, (int, float), "a number")) for key in self._values}

    def _get(self, key: str, kind: Any, what: str, default: Any = _REQUIRED) -> Any:
        self._asked.add(key)
        if key not in self._values:
            if default is _REQUIRED:
                raise self.error(key, f"is missing; it must be {what}")
            return default
        value = self._values[key]
        if not isinstance(value, kind):
            raise self.error(key, f"must be {what}, not {value!r}")
        return value


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
