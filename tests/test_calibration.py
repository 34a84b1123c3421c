"""What is measured of a machine: chosen, kept, applied, and never at somebody's cost."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fimls.cancel import Cancel
from fimls.engine.base import Request
from fimls.engine.embedded import EmbeddedSettings, calibration, open_embedded
from fimls.engine.embedded.calibration import Calibration
from fimls.fim import Prompt, Segment, SegmentKind

FOUND = Calibration(
    n_threads=3,
    n_threads_batch=4,
    prompt_tokens_per_s=230.0,
    ms_per_token=24.5,
    others_share=0.05,
    measured_at="2026-01-01T00:00:00+00:00",
    decode_ms={2: 30.0, 3: 24.5, 4: 24.4},
    prompt_rates={2: 120.0, 3: 180.0, 4: 230.0},
)


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)) * 1000)
    return path


@pytest.mark.parametrize(
    ("n_cores", "expected"),
    [(1, [1]), (2, [2, 1]), (4, [4, 3, 2]), (8, [8, 7, 4]), (16, [16, 15, 8])],
)
def test_what_is_tried(n_cores: int, expected: list[int]) -> None:
    """All cores, one left to others, half of them; each number once."""
    from fimls.engine.embedded.measuring import candidates

    assert candidates(n_cores) == expected


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({2: 25.0, 1: 47.0}, 2),  # an idle machine of two cores
        ({2: 51.0, 1: 46.0}, 1),  # the same beside a busy process
        ({4: 24.0, 3: 24.9, 2: 31.0}, 3),  # memory is what limits: leave a core to others
        ({4: 24.0, 3: 25.5, 2: 31.0}, 4),
        ({1: 60.0}, 1),
    ],
)
def test_the_fewest_threads_that_are_as_good(costs: dict[int, float], expected: int) -> None:
    from fimls.engine.embedded.measuring import fewest

    assert fewest(costs) == expected


def test_a_slow_token_does_not_make_prompts_fast() -> None:
    """On a busy machine a token can take longer than the whole prompt did."""
    from fimls.engine.embedded.measuring import prompt_rate

    assert prompt_rate(0.35, 0.03) == pytest.approx(200)
    assert prompt_rate(0.4, 0.9) == pytest.approx(320)


def test_what_was_measured_is_found_again(gguf: Path, tmp_path: Path) -> None:
    settings = EmbeddedSettings()
    assert calibration.load(tmp_path, gguf, settings) is None
    calibration.store(tmp_path, gguf, settings, FOUND)
    assert calibration.load(tmp_path, gguf, settings) == FOUND
    assert not list(tmp_path.glob("*.part"))


def damage(_gguf: Path, record: Path) -> EmbeddedSettings:
    record.write_text(record.read_text()[:-40])
    return EmbeddedSettings()


def age(_gguf: Path, record: Path) -> EmbeddedSettings:
    record.write_text(record.read_text().replace("ms_per_token", "ms_a_token"))
    return EmbeddedSettings()


def another_end(gguf: Path, _record: Path) -> EmbeddedSettings:
    gguf.write_bytes(gguf.read_bytes()[:-1] + b"\0")
    return EmbeddedSettings()


def other_settings(_gguf: Path, _record: Path) -> EmbeddedSettings:
    return EmbeddedSettings(kv_type="q8_0")


@pytest.mark.parametrize("change", [damage, age, another_end, other_settings])
def test_what_does_not_hold_any_more_is_measured_again(
    gguf: Path, tmp_path: Path, change: Callable[[Path, Path], EmbeddedSettings]
) -> None:
    """A damaged record, one of an older fimls, another file under the same name and size."""
    folder = tmp_path / "calibrations"
    calibration.store(folder, gguf, EmbeddedSettings(), FOUND)
    (record,) = folder.iterdir()
    assert calibration.load(folder, gguf, change(gguf, record)) is None


@pytest.mark.parametrize("what", ["library", "processor", "cores"])
def test_another_machine_is_measured_again(
    gguf: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home folder may travel; another llama.cpp has other kernels."""
    calibration.store(tmp_path, gguf, EmbeddedSettings(), FOUND)
    if what == "library":
        monkeypatch.setattr(calibration.importlib.metadata, "version", lambda _name: "99.0")
    elif what == "processor":
        monkeypatch.setattr(calibration, "cpu_name", lambda: "another")
    else:
        monkeypatch.setattr(calibration, "n_cores", lambda: 999)
    assert calibration.load(tmp_path, gguf, EmbeddedSettings()) is None


def test_a_folder_that_cannot_be_written_to(gguf: Path, tmp_path: Path) -> None:
    """Costs a measurement at the next load, and nothing else."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    calibration.store(blocked / "calibrations", gguf, EmbeddedSettings(), FOUND)
    assert calibration.load(blocked / "calibrations", gguf, EmbeddedSettings()) is None


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (0.19, False), (0.5, True)])
def test_a_busy_machine_is_remembered(share: float, expected: bool) -> None:
    assert dataclasses.replace(FOUND, others_share=share).was_busy is expected


@pytest.mark.model
def test_measured_while_nobody_types(default_model: Path, tmp_path: Path) -> None:
    """The first load measures in the background; a request takes the machine back at once,
    and threads change no text. The second load knows."""
    settings = EmbeddedSettings(n_ctx=512, n_sequences=2)
    engine = open_embedded(default_model, settings, calibrations=tmp_path)
    try:
        assert engine.prompt_tokens_per_s is None
        tokens = tuple(engine.vocabulary.tokenize(Path(__file__).read_text(encoding="utf-8"))[:90])

        def text() -> list[int]:
            prompt = Prompt((Segment(SegmentKind.SOURCE, "", tokens),))
            stream = engine.stream(Request(prompt, 5, logprobs=True), Cancel())
            return [(piece.token, piece.logprob) for piece in stream]

        before = text()
        time.sleep(1.5)  # until somebody asks, the measurement has the engine for itself
        assert text() == before
        deadline_s = time.monotonic() + 120
        while engine.calibration is None and time.monotonic() < deadline_s:
            time.sleep(0.1)
        found = engine.calibration
        assert found is not None
        assert engine.prompt_tokens_per_s == found.prompt_tokens_per_s > 0
        assert engine.settings.n_threads == found.n_threads in found.decode_ms
        assert text() == before
        engine.use_threads(1, 1)
        assert text() == before
    finally:
        engine.close()
    again = open_embedded(default_model, settings, calibrations=tmp_path)
    again.close()
    assert again.calibration == found


@pytest.mark.model
def test_what_is_set_stays_set(default_model: Path, tmp_path: Path) -> None:
    """Calibration measures the speed of threads that the user has set, and sets none."""
    from fimls.engine.embedded.measuring import measure

    settings = EmbeddedSettings(n_ctx=512, n_sequences=1, n_threads=1, n_threads_batch=1)
    engine = open_embedded(default_model, settings)
    try:
        found = measure(engine, settings, Cancel())
    finally:
        engine.close()
    assert found is not None
    assert list(found.decode_ms) == list(found.prompt_rates) == [1]


class Still:
    """An engine, as far as the background knows it; what it computes is not the matter here."""

    def __init__(self) -> None:
        self.closing = Cancel()
        self.calibration: Calibration | None = None
        self.threads: list[tuple[int, int]] = []

    def use_threads(self, n_threads: int, n_threads_batch: int) -> None:
        self.threads.append((n_threads, n_threads_batch))


def test_what_was_disturbed_is_measured_again_in_a_quiet_moment(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record from a busy machine is replaced when others leave us alone.

    Its speeds are used until then; its threads are not, which are far too few once it is quiet.
    """
    from fimls.engine.embedded import measuring

    shares = iter([0.9, 0.5, 0.1])

    class Meter:
        def read(self) -> None: ...

        def others_share(self, *_readings: object) -> float:
            return next(shares)

    asked: list[EmbeddedSettings] = []

    def measure(engine: object, settings: EmbeddedSettings, cancel: Cancel) -> Calibration:
        asked.append(settings)
        return FOUND

    monkeypatch.setattr(measuring, "CpuMeter", Meter)
    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(measuring, "_QUIET_S", 0.01)
    monkeypatch.setattr(measuring, "_AGAIN_S", 0.01)
    settings, engine = EmbeddedSettings(), Still()
    busy = dataclasses.replace(FOUND, n_threads=1, n_threads_batch=1, others_share=0.8)
    calibration.store(tmp_path, gguf, settings, busy)
    measuring.Calibrator(engine, gguf, settings, tmp_path).start()
    assert engine.calibration in (busy, FOUND)
    deadline_s = time.monotonic() + 10
    while calibration.load(tmp_path, gguf, settings) != FOUND and time.monotonic() < deadline_s:
        time.sleep(0.01)
    engine.closing.set()
    assert engine.calibration == FOUND
    assert engine.threads == [(3, 4)]
    assert asked == [settings], "not while others were busy, and not again afterwards"
    assert next(shares, None) is None
