"""What was measured of a model on a machine, and kept: threads, and the speed they give.

One small JSON file for each combination of model file, llama.cpp, processor and the
settings that change speed. A changed combination has another name, so that nothing
outdated is ever read. Needs no llama.cpp.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fimls.engine.embedded.settings import EmbeddedSettings
from fimls.engine.embedded.waiting import n_cores
from fimls.machine import cpu_name

# From this share of the processors' time on, used by others while it was measured, a
# calibration is repeated when the machine is quieter.
BUSY_SHARE = 0.2
# A model file is known by its size and its two ends: reading all of it takes seconds.
_END_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Calibration:
    """Speeds in tokens per second and milliseconds a token, with the threads that gave them.

    ``decode_ms`` and ``prompt_rates`` are all that was tried, by number of threads.
    ``others_share`` is the part of the processors' time that others used meanwhile.
    """

    n_threads: int
    n_threads_batch: int
    prompt_tokens_per_s: float
    ms_per_token: float
    others_share: float
    measured_at: str  # ISO 8601, UTC
    decode_ms: Mapping[int, float] = field(default_factory=dict)
    prompt_rates: Mapping[int, float] = field(default_factory=dict)

    @property
    def was_busy(self) -> bool:
        """Whether others used so much of the machine that it should be measured again."""
        return self.others_share >= BUSY_SHARE


def load(folder: Path, path: Path, settings: EmbeddedSettings) -> Calibration | None:
    """What is known of the model file at ``path`` under ``settings``; ``None`` for nothing."""
    try:
        told = json.loads(_place(folder, path, settings).read_text("utf-8"))["calibration"]
        for tried in ("decode_ms", "prompt_rates"):
            told[tried] = {int(n): float(value) for n, value in told[tried].items()}
        found = Calibration(**told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # never measured, or by another version of fimls: measure
    return found if min(found.n_threads, found.n_threads_batch) > 0 else None


def store(folder: Path, path: Path, settings: EmbeddedSettings, found: Calibration) -> None:
    """Keep ``found``. A folder that cannot be written to costs a measurement at the next load."""
    target = _place(folder, path, settings)
    facts = {"of": _facts(path, settings), "calibration": asdict(found)}
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Several editors may do this at once: each writes a file of its own, the last one stays.
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, suffix=".part", delete=False
        ) as file:
            json.dump(facts, file, indent=1)
        os.replace(file.name, target)  # noqa: PTH105  # a name, not a path


def _place(folder: Path, path: Path, settings: EmbeddedSettings) -> Path:
    facts = json.dumps(_facts(path, settings), sort_keys=True)
    digest = hashlib.sha256(facts.encode()).hexdigest()[:16]
    return folder / f"{path.stem}-{digest}.json"


def _facts(path: Path, settings: EmbeddedSettings) -> dict[str, Any]:
    """All that a measurement depends on."""
    return {
        "size": path.stat().st_size,
        "ends": _ends(path),
        "llama-cpp-python": importlib.metadata.version("llama-cpp-python"),
        "cpu": cpu_name(),
        "n_cores": n_cores(),
        "settings": {
            name: getattr(settings, name)
            for name in (
                "n_threads", "n_threads_batch", "n_ubatch", "n_gpu_layers",
                "flash_attention", "kv_type",
            )
        },
    }  # fmt: skip


def _ends(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_END_BYTES)
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        return hashlib.sha256(head + file.read(_END_BYTES)).hexdigest()
