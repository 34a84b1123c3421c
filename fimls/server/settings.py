"""The settings of a session: those of the machine, of the editor, of each project."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fimls.config import Config, Source, SourceKind, find_project, project_file, read
from fimls.errors import ConfigError

# Reads one of the machine's own sources (a file, the environment, the command line).
ReadSource = Callable[[], "Source | None"]

_EDITOR = {
    SourceKind.INITIALIZATION_OPTIONS: "initializationOptions",
    SourceKind.WORKSPACE_CONFIGURATION: "editor settings",
}


class Settings:
    """All sources laid over each other; mistakes in one leave the others in force."""

    def __init__(self, machine: Sequence[ReadSource]) -> None:
        self._readers = machine
        self._machine: list[Source] = []
        self._editor: dict[SourceKind, Any] = {}
        self._unreadable: list[str] = []  # of the machine's sources
        self._known: dict[Path | None, tuple[Config, tuple[str, ...]]] = {}
        self._told: set[str] = set()
        self.reload()

    @property
    def config(self) -> Config:
        """The settings in force where no project says otherwise."""
        return self._read(None)[0]

    def of(self, path: str) -> Config:
        """The settings in force for a file."""
        return self._read(_project_of(str(Path(path).parent)) if path else None)[0]

    def reload(self) -> None:
        """Read the files again."""
        _project_of.cache_clear()
        self._known.clear()
        self._machine, self._unreadable = [], []
        for reader in self._readers:
            try:
                source = reader()
            except ConfigError as error:
                self._unreadable += str(error).splitlines()
                continue
            if source is not None:
                self._machine.append(source)

    def take(self, kind: SourceKind, values: Any) -> None:
        """What the editor says: ``initializationOptions``, or its settings for us."""
        self._editor[kind] = values
        self._known.clear()

    def new_mistakes(self) -> list[str]:
        """What is wrong and was not told before, one sentence each."""
        self._read(None)
        found = [*self._unreadable, *(m for _, mistakes in self._known.values() for m in mistakes)]
        fresh = [mistake for mistake in dict.fromkeys(found) if mistake not in self._told]
        self._told.update(fresh)
        return fresh

    def _read(self, root: Path | None) -> tuple[Config, tuple[str, ...]]:
        if root not in self._known:
            sources, trouble = list(self._machine), []
            for kind, values in self._editor.items():
                if isinstance(values, Mapping):
                    sources.append(Source(kind, _EDITOR[kind], values))
                elif values is not None:
                    trouble.append(f"{_EDITOR[kind]}: must be a table of settings")
            try:
                project = project_file(root) if root is not None else None
                sources += [project] if project is not None else []
            except ConfigError as error:
                trouble += str(error).splitlines()
            config, mistakes = read(sources)
            self._known[root] = (config, (*trouble, *mistakes))
        return self._known[root]


@functools.lru_cache(maxsize=512)
def _project_of(folder: str) -> Path | None:
    return find_project(Path(folder))
