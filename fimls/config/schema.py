"""The schema: every option with its type, default, unit, limits and explanation.

This is the only place where an option is described. The table in
docs/configuration.md, editor settings and error messages are made from it.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

Value: TypeAlias = "bool | int | float | str | tuple[str, ...]"


class Project(str, Enum):
    """What a project file may do to an option."""

    NO = "no"  # nothing: the option could redirect code, load a file or write one
    SET = "set"  # anything in range: it only tunes
    NARROW = "narrow"  # less only: a flag off, a number down, a list longer


def option(
    default: Value,
    doc: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    project: Project = Project.NO,
) -> Any:
    """A dataclass field that carries its own documentation and limits."""
    facts = {
        "doc": doc,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "project": project,
    }
    return field(default=default, metadata=facts)


@dataclass(frozen=True, slots=True)
class CompletionOptions:
    """What is completed, by which model, within which budgets."""

    enabled: bool = option(True, "Whether to complete at all.", project=Project.NARROW)
    model: str = option("qwen2.5-coder-0.5b", "Catalogue name or path of a GGUF file.")
    engine: str = option(
        "embedded",
        "`embedded` (llama.cpp on this machine) or the name of an `[engines.NAME]` table.",
    )
    fallback: str = option(
        "",
        "Engine that answers while `completion.engine` is down: `embedded` or the name of an "
        "`[engines.NAME]` table; empty: none.",
    )
    template: str = option(
        "", "Name of the FIM template; empty: found from the model's own metadata and vocabulary."
    )
    n_prefix: int = option(
        900, "Text before the cursor that the model sees.", unit="tokens", minimum=16,
        maximum=1_000_000, project=Project.SET,
    )  # fmt: skip
    n_suffix: int = option(
        300, "Text after the cursor that the model sees.", unit="tokens", minimum=0,
        maximum=1_000_000, project=Project.SET,
    )  # fmt: skip
    n_chunks: int = option(
        0, "Signatures from other open files of the workspace that the model sees, about so many; "
        "0: none. They are read once for each file that you come to.",
        unit="tokens", minimum=0, maximum=100_000, project=Project.NARROW,
    )  # fmt: skip
    n_predict: int = option(
        256, "Longest completion; it ends with its scope long before, as a rule.",
        unit="tokens", minimum=1, maximum=8192, project=Project.SET,
    )  # fmt: skip
    t_max_predict_ms: int = option(
        4000, "Time for a completion that nobody asked for; then what is complete is shown.",
        unit="ms", minimum=50, maximum=600_000, project=Project.SET,
    )  # fmt: skip
    t_max_invoked_ms: int = option(
        20_000, "Time for a completion asked for by hand.",
        unit="ms", minimum=50, maximum=600_000, project=Project.SET,
    )  # fmt: skip
    t_max_cold_ms: int = option(
        1000, "Time to evaluate the text around a place that is new to the model: the window is "
        "made small enough, and grows while nobody types; 0: always the whole window.",
        unit="ms", minimum=0, maximum=600_000, project=Project.SET,
    )  # fmt: skip
    t_idle_ms: int = option(
        1500, "Pause in typing after which a window that was made small is evaluated whole, at the "
        "lowest priority; 0: never.",
        unit="ms", minimum=0, maximum=600_000, project=Project.SET,
    )  # fmt: skip
    debounce_ms: int = option(
        -1, "Pause in typing before a request is worked on; -1: from the engine's measured speed, "
        "none for a quick one. What is known already, or asked for by hand, waits for nothing.",
        unit="ms", minimum=-1, maximum=10_000, project=Project.SET,
    )  # fmt: skip
    economy: bool = option(
        True, "On battery, or while other programs keep the processors busy: half of `n_predict`, "
        "a longer pause (where `debounce_ms` is -1), nothing prepared ahead.",
        project=Project.SET,
    )  # fmt: skip
    anchor_lines: int = option(
        3, "Lines above the cursor at which the typed middle begins (see ARCHITECTURE.md).",
        unit="lines", minimum=0, maximum=100, project=Project.SET,
    )  # fmt: skip
    temperature: float = option(
        0.0, "0 always takes the likeliest token.", minimum=0.0, maximum=5.0, project=Project.SET
    )
    top_p: float = option(
        1.0, "Sample from the likeliest tokens that together have this probability.",
        minimum=0.0, maximum=1.0, project=Project.SET,
    )  # fmt: skip
    min_p: float = option(
        0.0, "Drop tokens less likely than this share of the likeliest one.",
        minimum=0.0, maximum=1.0, project=Project.SET,
    )  # fmt: skip
    seed: int = option(
        0, "Seed of the sampler when the temperature is above 0.",
        minimum=0, maximum=2**32 - 1, project=Project.SET,
    )  # fmt: skip
    languages_off: tuple[str, ...] = option(
        (), "LSP language identifiers in which nothing is completed.", project=Project.NARROW
    )

    @property
    def runs(self) -> str:
        """What runs, for people: the model, or the engine where that is not ours."""
        return self.model if self.engine == "embedded" else self.engine


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the embedded llama.cpp runs. Zero or `auto` lets fimls choose for this machine."""

    process: str = option(
        "shared",
        "Where it runs: `shared` (one process for all editors of a user), `own` (one process "
        "for each server), or `inside` the server itself. A crash inside ends the server.",
        choices=("shared", "own", "inside"),
    )
    n_ctx: int = option(
        4096, "Context: prompt and completion together. Larger costs memory and time.",
        unit="tokens", minimum=256, maximum=1_048_576,
    )  # fmt: skip
    n_threads: int = option(
        0, "Threads that decode; 0: measured at first load.", minimum=0, maximum=1024
    )
    n_threads_batch: int = option(
        0, "Threads that evaluate prompts; 0: measured at first load.", minimum=0, maximum=1024
    )
    n_sequences: int = option(
        2, "Prompts that are held ready for evaluation at once (completion, review, preparation); "
        "each takes room for `n_ctx` tokens.", minimum=1, maximum=64,
    )  # fmt: skip
    memory_mb: int = option(
        256, "Memory for other places in files that stay warm, besides those held ready, for each "
        "model; the least recently used go first. 0: none.",
        unit="MB", minimum=0, maximum=1_048_576,
    )  # fmt: skip
    n_ubatch: int = option(
        128, "Tokens evaluated between two chances to cancel.", unit="tokens",
        minimum=16, maximum=4096,
    )  # fmt: skip
    n_gpu_layers: int = option(
        -1, "Layers on the GPU, where llama.cpp was built for one; -1: as many as fit.",
        minimum=-1, maximum=1024,
    )  # fmt: skip
    kv_type: str = option(
        "f16", "Type of the KV cache; `q8_0` halves its memory.", choices=("f16", "q8_0", "q4_0")
    )
    flash_attention: str = option("auto", "Flash attention.", choices=("auto", "on", "off"))
    mmap: bool = option(True, "Map the weights into memory instead of reading them.")
    idle_unload_s: int = option(
        900, "Idle time after which the weights are released; 0: never.", unit="s",
        minimum=0, maximum=604_800,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """Code review. Empty names mean: as for completion."""

    model: str = option("", "Catalogue name or path of a GGUF file; empty: `completion.model`.")
    engine: str = option("", "Engine for reviews; empty: `completion.engine`.")
    n_predict: int = option(
        512, "Longest answer for one function.", unit="tokens", minimum=16, maximum=8192,
        project=Project.SET,
    )  # fmt: skip
    slips: bool = option(
        True,
        "Look for slips (a wrong operator, swapped arguments, a missing `return`) by how likely "
        "the model would have written the code without them. Needs the embedded engine and a "
        "model that fills holes.",
        project=Project.SET,
    )
    slip_confidence: float = option(
        -1.0, "Slips whose correction is less likely than this, against the code as it is, are "
        "not reported; -1: as was found best for the model (docs/review.md).",
        minimum=-1.0, maximum=1.0, project=Project.SET,
    )  # fmt: skip
    ask: bool = option(
        True, "Ask the model in words as well what is wrong with a function.",
        project=Project.SET,
    )  # fmt: skip
    second_look: str = option(
        "auto",
        "Weigh each finding's correction against the line that is there, or put the finding to the "
        "model again as a yes/no question; `auto`: where that is cheap "
        "(engines that show their vocabulary).",
        choices=("auto", "on", "off"), project=Project.SET,
    )  # fmt: skip
    min_confidence: float = option(
        0.5, "Findings whose probability at the second look is lower are dropped.",
        minimum=0.0, maximum=1.0, project=Project.SET,
    )  # fmt: skip
    categories_off: tuple[str, ...] = option(
        (),
        "Categories that are not reported: bug, security, resource, error-handling, performance, "
        "clarity.",
        project=Project.NARROW,
    )


@dataclass(frozen=True, slots=True)
class FilesOptions:
    """Which files are left alone."""

    max_bytes: int = option(
        2_000_000, "Larger files are not completed in.", unit="bytes", minimum=1,
        maximum=1_000_000_000, project=Project.NARROW,
    )  # fmt: skip
    ignore: tuple[str, ...] = option(
        (".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_ed25519*",
         "id_ecdsa*", ".netrc", ".pgpass", ".npmrc", ".pypirc", "credentials", "credentials.json",
         "secrets.json", "secrets.toml", "secrets.yaml", "secrets.yml"),
        "Files never sent to a model, in gitignore syntax.", project=Project.NARROW,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelsOptions:
    """Where model files are kept."""

    directory: str = option("", "Folder of the model files; empty: the user's cache folder.")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is written down. Source code never is, below level `debug`."""

    level: str = option(
        "info", "How much is written.", choices=("debug", "info", "warning", "error")
    )
    file: str = option("", "Log file; empty: standard error, which editors keep.")


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force. ``engines`` holds the `[engines.NAME]` tables, unread.

    ``origins`` maps each option that is not at its default (``"completion.model"``) to
    the name of the source that set it.
    """

    completion: CompletionOptions = CompletionOptions()
    engine: EngineOptions = EngineOptions()
    review: ReviewOptions = ReviewOptions()
    files: FilesOptions = FilesOptions()
    models: ModelsOptions = ModelsOptions()
    log: LogOptions = LogOptions()
    engines: Mapping[str, Mapping[str, Any]] = field(default_factory=_nothing)
    origins: Mapping[str, str] = field(default_factory=_nothing, compare=False)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the schema, as a table, an editor or an error message needs it."""

    section: str
    key: str
    type: type
    default: Value
    doc: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    project: Project

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def environment_name(self) -> str:
        return f"FIMLS_{self.section}_{self.key}".upper()

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        words = {
            bool: "true or false",
            int: "an integer",
            float: "a number",
            str: "a string",
            tuple: "a list of strings",
        }[self.type]
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:g} to {self.maximum:.10g}"
        return f"{words} ({self.unit})" if self.unit else words


SECTIONS: Mapping[str, type] = MappingProxyType(
    {
        "completion": CompletionOptions,
        "engine": EngineOptions,
        "review": ReviewOptions,
        "files": FilesOptions,
        "models": ModelsOptions,
        "log": LogOptions,
    }
)

# Keys that editors keep beside ours and send along; they are theirs.
CLIENT_KEYS = frozenset({"client", "trace"})


@functools.cache
def options() -> Mapping[str, Option]:
    """The whole schema, by dotted name, in the order of the documentation."""
    schema: dict[str, Option] = {}
    for section, owner in SECTIONS.items():
        hints = typing.get_type_hints(owner)
        for item in dataclasses.fields(owner):
            kind = typing.get_origin(hints[item.name]) or hints[item.name]
            default = typing.cast("Value", item.default)
            made = Option(section, item.name, kind, default, **item.metadata)
            schema[made.name] = made
    return MappingProxyType(schema)
