"""The engine on this machine: loaded, measured, and what of the memory it takes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fimls.assembly import calibrations_dir, embedded_settings
from fimls.cancel import Cancel
from fimls.config import Config, EngineOptions, templates_dir
from fimls.doctor.finding import Finding, Level
from fimls.engine.embedded import open_embedded, open_vocabulary, supports_gpu, waiting
from fimls.engine.embedded.memory import available_bytes
from fimls.errors import FimlsError
from fimls.machine import CpuMeter, on_battery

if TYPE_CHECKING:
    from fimls.engine.base import Engine
    from fimls.engine.embedded.calibration import Calibration
    from fimls.engine.embedded.engine import EmbeddedEngine
    from fimls.vocabulary import Vocabulary

# A line has about ten tokens; people wait a second for one, and notice 150 ms.
GOOD_TOKENS_PER_S = 15.0
POOR_TOKENS_PER_S = 7.0
# A cold window of 1,200 tokens takes 10 s at this rate; it is paid once a file.
GOOD_PROMPT_TOKENS_PER_S = 120.0
_N_GENERATED = 24
# Systems begin to swap, or to end processes, when less than this remains.
_SPARE_BYTES = 500_000_000
_LOOK_S = 0.5


def examine(
    config: Config, path: Path, *, quick: bool, calibrate: bool
) -> Generator[Finding, None, int]:
    """Whether the model can fill in the middle, how fast, and what it takes: in bytes, at last."""
    settings = embedded_settings(config.engine)
    try:
        if quick:
            yield from _template(config, open_vocabulary(path))
            return 0
        started_s = time.perf_counter()
        engine = open_embedded(path, settings)
    except FimlsError as error:
        yield Finding("engine", Level.BROKEN, str(error), "fimls models list")
        return 0
    try:
        load_ms = (time.perf_counter() - started_s) * 1000
        yield Finding(
            "engine",
            Level.GOOD,
            f"loaded in {load_ms:,.0f} ms: {engine.n_ctx} tokens of context in each of "
            f"{engine.settings.n_sequences} sequences, micro-batches of {engine.n_ubatch} tokens, "
            f"flash attention {engine.flash_attention}, weights "
            f"{'mapped' if engine.settings.mmap else 'read into memory'}, "
            f"{_gpu_layers(engine.settings.n_gpu_layers)} on a graphics processor",
        )
        yield from _template(config, engine.vocabulary)
        yield _machine()
        yield _threads(config.engine, *_calibration(engine, path, config, calibrate=calibrate))
        yield from _speed(engine)
        return (yield from _memory(engine))
    except FimlsError as error:
        yield Finding("engine", Level.BROKEN, str(error), "fimls models list")
    finally:
        engine.close()
    return 0


def beside(config: Config, path: Path, taken: int) -> Iterator[Finding]:
    """What a model of their own takes for reviews, beside the ``taken`` bytes of the other."""
    try:
        engine = open_embedded(path, embedded_settings(config.engine))
    except FimlsError as error:
        yield Finding("review engine", Level.BROKEN, str(error), "fimls models list")
        return
    try:
        yield Finding("review engine", Level.NOTE, "with a model of its own, once a review asks:")
        yield from _memory(engine, taken)
    finally:
        engine.close()


def _calibration(
    engine: EmbeddedEngine, path: Path, config: Config, *, calibrate: bool
) -> tuple[Calibration | None, bool]:
    """What is known of this machine, and whether it was found out just now."""
    from fimls.engine.embedded import calibration  # noqa: PLC0415
    from fimls.engine.embedded.measuring import Calibrator, apply  # noqa: PLC0415

    settings = embedded_settings(config.engine)
    known = calibration.load(calibrations_dir(), path, settings)
    if known is not None and not known.was_busy and not calibrate:
        apply(engine, known)
        return known, False
    found = Calibrator(engine, path, settings, calibrations_dir()).measure(Cancel())
    return found, True


def _gpu_layers(n: int) -> str:
    if n == 0 or not supports_gpu():
        return "no layers"
    return "as many layers as fit" if n < 0 else f"up to {n} layers"


def _machine() -> Finding:
    """What else there is to do, and what with."""
    meter = CpuMeter()
    before = meter.read()
    time.sleep(_LOOK_S)
    share = meter.others_share(before, meter.read())
    power = "on battery" if on_battery() else "not on battery"
    return Finding(
        "machine",
        Level.NOTE,
        f"{power}, other programs use {share:.0%} of {len(meter.cpus)} logical processors",
    )


def _threads(options: EngineOptions, known: Calibration | None, is_new: bool) -> Finding:
    """How many, and who says so."""
    if known is None:
        return Finding("threads", Level.POOR, "could not be measured: the model says nothing")
    when = "measured just now" if is_new else f"measured {known.measured_at}"
    parts = [
        f"{n} for {what} ({'engine.' + name if getattr(options, name) else when})"
        for n, what, name in (
            (known.n_threads, "tokens", "n_threads"),
            (known.n_threads_batch, "prompts", "n_threads_batch"),
        )
    ]
    tried = ", ".join(f"{n}: {known.decode_ms[n]:.0f} ms" for n in sorted(known.decode_ms))
    rates = ", ".join(f"{n}: {known.prompt_rates[n]:,.0f}/s" for n in sorted(known.prompt_rates))
    says = (
        f"{'; '.join(parts)}. A token with {tried}; prompt tokens with {rates}. "
        f"They wait with {waiting.told()}"
    )
    if known.was_busy:
        return Finding(
            "threads",
            Level.POOR,
            f"{says}; others used {known.others_share:.0%} of the processors meanwhile",
            "Measure again on a quiet machine: fimls doctor --calibrate (a server does so by "
            "itself when it finds a quiet moment).",
        )
    return Finding("threads", Level.GOOD, says)


def _memory(engine: EmbeddedEngine, taken: int = 0) -> Generator[Finding, None, int]:
    """Each part, and what makes it smaller; returns the sum, with what others have ``taken``."""
    settings, buffers = engine.settings, engine.buffers
    mapped = sum(b.n_bytes for b in buffers if b.kind == "model" and b.is_mapped)
    loaded = sum(b.n_bytes for b in buffers if b.kind == "model" and not b.is_mapped)
    cache = sum(b.n_bytes for b in buffers if b.kind == "KV")
    compute = sum(b.n_bytes for b in buffers if b.kind in {"compute", "output"})
    warm = settings.memory_mb * 1_000_000
    parts = [f"{_mb(mapped)} mapped from the file, shared by all processes"] if mapped else []
    parts += [f"{_mb(loaded)} of their own"] if loaded else []
    yield Finding(
        "weights", Level.NOTE, f"{', '.join(parts)}. Less: a smaller model (fimls models list)"
    )
    n_tokens = engine.n_ctx * settings.n_sequences
    yield Finding(
        "KV cache",
        Level.NOTE,
        f"{_mb(cache)}: {settings.n_sequences} sequences x {engine.n_ctx} tokens x "
        f"{cache / n_tokens / 1000:,.1f} kB ({settings.kv_type}). Less: engine.n_sequences, "
        "engine.n_ctx, engine.kv_type",
    )
    yield Finding(
        "warm places",
        Level.NOTE,
        f"at most {_mb(warm)}, about {warm / max(cache / n_tokens, 1):,.0f} tokens of other places "
        "in files. Less: engine.memory_mb",
    )
    yield Finding(
        "compute", Level.NOTE, f"{_mb(compute)} of buffers. Less: engine.n_ubatch, engine.n_ctx"
    )
    remains = available_bytes()
    whole = mapped + loaded + cache + warm + compute + taken
    says = f"{_mb(whole)} at most, in all{' for both models' if taken else ''}"
    if remains is None:
        yield Finding("memory", Level.NOTE, says)
        return whole
    # What is kept warm is still to come, and mapped weights count as free: they can be dropped.
    remains -= warm + mapped + taken
    yield Finding(
        "memory",
        Level.GOOD if remains > _SPARE_BYTES else Level.POOR,
        f"{says}; {_mb(max(0, remains))} remain for everything else",
        ""
        if remains > _SPARE_BYTES
        else "Close other programs, or lower engine.memory_mb, engine.n_sequences, engine.n_ctx.",
    )
    return whole


def _mb(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"


def _template(config: Config, vocabulary: Vocabulary) -> Iterator[Finding]:
    from fimls.template import detect, load_all  # noqa: PLC0415
    from fimls.template.examine import Level as Outcome  # noqa: PLC0415
    from fimls.template.examine import examine as examine_template  # noqa: PLC0415

    try:
        templates = load_all(templates_dir())
        template = detect(vocabulary.info, vocabulary, templates, config.completion.template)
    except FimlsError as error:
        yield Finding("template", Level.BROKEN, str(error), "fimls templates list")
        return
    wrong = [
        finding.message
        for finding in examine_template(template, vocabulary)
        if finding.level is Outcome.ERROR
    ]
    if wrong:
        remedy = f"fimls templates check {config.completion.model}"
        yield Finding("template", Level.BROKEN, f"{template.name}: {'; '.join(wrong)}", remedy)
    else:
        says = f"{template.name} ({template.status}), every marker is one token of this model"
        yield Finding("template", Level.GOOD, says)


def _speed(engine: Engine) -> Iterator[Finding]:
    """A short measurement: this file as the prompt, a few tokens after it."""
    from fimls.engine.base import Request  # noqa: PLC0415
    from fimls.fim import Prompt, Segment, SegmentKind  # noqa: PLC0415

    assert engine.vocabulary is not None
    text = Path(__file__).read_text(encoding="utf-8")
    tokens = tuple(engine.vocabulary.tokenize(text)[:256])
    prompt = Prompt((Segment(SegmentKind.SOURCE, "", tokens),))
    # Once to touch the weights: read from disk, the first tokens say nothing about the CPU.
    few = Prompt((Segment(SegmentKind.SOURCE, "", tokens[-8:]),))
    for _ in engine.stream(Request(few, 1), Cancel()):
        pass
    stream = engine.stream(Request(prompt, _N_GENERATED), Cancel())
    started_s = time.perf_counter()
    next(stream)
    first_s = time.perf_counter() - started_s
    n_more = sum(1 for _ in stream)
    rest_s = time.perf_counter() - started_s - first_s
    prompt_rate = len(tokens) / first_s
    rate = n_more / rest_s if n_more else 0.0
    level = Level.GOOD
    remedy = ""
    if rate < GOOD_TOKENS_PER_S or prompt_rate < GOOD_PROMPT_TOKENS_PER_S:
        level = Level.POOR
        remedy = "Close what keeps the CPU busy and run this again; else take a smaller model."
    verdict = "fast enough" if level is Level.GOOD else "slow"
    if rate < POOR_TOKENS_PER_S:
        verdict = "too slow to type with"
    yield Finding(
        "speed",
        level,
        f"{verdict}: a prompt at {prompt_rate:,.0f} tokens/s, a completion at {rate:,.0f} tokens/s "
        f"(a keystroke waits about {1000 / max(rate, 0.1):,.0f} ms)",
        remedy,
    )
