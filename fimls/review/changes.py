"""What has changed since a commit, by asking git."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fimls import scope as syntax
from fimls.document import unix
from fimls.errors import BadRequest
from fimls.scope import Scope, is_code

if TYPE_CHECKING:
    from fimls.review.reviewer import Source

_T_MAX_S = 20
# A repository's own settings must not run programs, and looking must not lock it.
_SAFE = (
    "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false",
    "-c", "diff.external=", "-c", "core.hooksPath=/dev/null",
)  # fmt: skip
# Of what "git rev-parse --local-env-vars" lists, that which names another repository's parts.
_OF_A_REPOSITORY = frozenset({
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that is not as it was; ``old`` is what it may have been made from."""

    path: Path
    old: str


def repository(folder: Path) -> Path:
    """The root of the repository that ``folder`` is in. Raises ``BadRequest``."""
    return Path(_git(folder, "rev-parse", "--show-toplevel").strip())


def changed_files(folder: Path, revision: str = "HEAD") -> list[Changed]:
    """Code files of ``folder``'s repository that differ from ``revision``, new ones included.

    A new one may be one that is gone, under another name: it is compared with all that are.
    What is uncommitted in submodules is among them. Raises ``BadRequest`` without git, outside
    a repository, or for an unknown revision.
    """
    root = repository(folder)
    base = _base(root, revision)
    told = _git(root, "diff", "--name-status", "--no-renames", "--no-ext-diff", "-z", base, "--")
    fields = told.split("\0")
    status = dict(zip(fields[1::2], fields[::2], strict=False))
    fresh = _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    status |= dict.fromkeys(filter(None, fresh), "A")
    found: list[Changed] = []
    gone = _Gone(root, base, [name for name, kind in status.items() if kind == "D"])
    for name, kind in status.items():
        path = root / name
        if kind == "D" or path.is_symlink():
            continue
        if kind != "A" and (path / ".git").exists():
            found += changed_files(path)
        elif is_code(name):  # pictures and binaries are not asked for
            found.append(Changed(path, gone.like(path) if kind == "A" else _show(root, base, name)))
    return found


class _Gone:
    """What files that are there no more held, by the ends of their names."""

    def __init__(self, root: Path, base: str, names: Sequence[str]) -> None:
        self._root, self._base, self._names = root, base, names
        self._texts: dict[str, str] = {}

    def like(self, path: Path) -> str:
        end = path.suffix
        if end not in self._texts:
            names = [name for name in self._names if is_code(name) and Path(name).suffix == end]
            self._texts[end] = _show(self._root, self._base, *names) if names else ""
        return self._texts[end]


def listed_files(folder: Path) -> list[Path] | None:
    """The files in ``folder`` that git tracks or would; ``None`` where git does not know."""
    try:
        found = _run(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    except BadRequest:
        return None
    if found.returncode:
        return None
    names = found.stdout.decode("utf-8", "replace").split("\0")
    return [path for name in dict.fromkeys(names) if name and (path := folder / name).is_file()]


def old_text(path: Path, revision: str = "HEAD") -> str:
    """A file as it was at ``revision``; empty when it was not there. Raises ``BadRequest``."""
    root = repository(path.parent)
    base = _base(root, revision)
    try:
        name = path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise BadRequest(f"{path} is outside its repository; review the file itself") from None
    return _show(root, base, name)


@dataclass(frozen=True, slots=True)
class Difference:
    """The scopes that were not there before, and how many lines outside of scopes were not."""

    scopes: tuple[Scope, ...]
    n_outside: int = 0

    @property
    def notes(self) -> list[str]:
        """What of the changes is not reviewed, in sentences."""
        if not self.n_outside:
            return []
        lines = "line" if self.n_outside == 1 else "lines"
        return [f"{self.n_outside} changed {lines} outside of functions left out"]


def difference(source: Source, old: str) -> Difference:
    """What ``source`` has that its ``old`` text had not: moved scopes have not changed."""
    old = unix(old)
    before = syntax.outline(old, source.language).scopes
    known = {old[scope.start : scope.end] for scope in before}
    now = source.outline.scopes
    scopes = tuple(s for s in now if unix(source.text[s.start : s.end]) not in known)
    new_lines = _outside(source.text, now) - _outside(old, before)
    return Difference(scopes, new_lines.total())


def _outside(text: str, scopes: Sequence[Scope]) -> Counter[str]:
    """The lines of ``text`` that belong to no scope, blank ones aside."""
    starts = [0, *(scope.end for scope in scopes)]
    ends = [*(scope.start for scope in scopes), len(text)]
    between = "\n".join(text[s:e] for s, e in zip(starts, ends, strict=True))
    return Counter(line.strip() for line in between.splitlines() if line.strip())


# The tree of no files: a repository without a commit has everything changed.
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def _base(root: Path, revision: str) -> str:
    if revision.startswith("-"):
        raise BadRequest(f"{revision} is no revision")
    found = _run(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if found.returncode == 0:
        return found.stdout.decode().strip()
    if revision == "HEAD":
        return _EMPTY_TREE
    raise BadRequest(f'git knows no revision "{revision}"; say HEAD or a branch first, then paths')


def _show(root: Path, base: str, *names: str) -> str:
    places = [f"{base}:{name}" for name in names]
    found = _run(root, "show", "--no-ext-diff", "--no-textconv", *places)
    return found.stdout.decode("utf-8", "replace") if found.returncode == 0 else ""


def _git(folder: Path, *arguments: str) -> str:
    found = _run(folder, *arguments)
    if found.returncode:
        said = found.stderr.decode("utf-8", "replace").strip().splitlines()
        if any("not a git repository" in line for line in said):
            raise BadRequest(
                f"{folder} is not in a git repository, so what has changed is unknown; "
                "review the file instead"
            )
        raise BadRequest(f"git could not tell what has changed: {said[-1] if said else '?'}")
    return found.stdout.decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """Without what a hook of git, or an editor that git started, says of its own repository."""
    return {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ("git", *_SAFE, "-C", str(folder), *arguments)
    try:
        return subprocess.run(  # noqa: S603 - git, with arguments of our own making
            command, capture_output=True, timeout=_T_MAX_S, check=False, stdin=subprocess.DEVNULL,
            env=_environment(),
        )  # fmt: skip
    except FileNotFoundError:
        raise BadRequest(
            "git is not installed, so what has changed is unknown; review the file instead"
        ) from None
    except subprocess.TimeoutExpired:
        raise BadRequest(f"git did not answer within {_T_MAX_S} s") from None
