"""Models and machines that do not fit each other: each failure is one sentence with a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

from fimls.assembly import open_engine, unshared
from fimls.config import Config
from fimls.engine.embedded import EmbeddedSettings, open_embedded, open_vocabulary
from fimls.engine.embedded.memory import available_bytes
from fimls.errors import ModelUnusable, OutOfMemory

# Opens a model in a process that may have only so much memory.
CONFINED = """
import resource, sys
from pathlib import Path
from fimls.engine.embedded import EmbeddedSettings, open_embedded
import llama_cpp
path, megabytes, n_ctx, mmap = sys.argv[1], *map(int, sys.argv[2:])
resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)
try:
    open_embedded(Path(path), EmbeddedSettings(n_ctx=n_ctx, mmap=bool(mmap))).close()
except Exception as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""


@pytest.mark.model
@pytest.mark.skipif(sys.platform != "linux", reason="MEMORY IS LIMITED BY RLIMIT_AS, ON LINUX")
@pytest.mark.parametrize(
    ("megabytes", "n_ctx", "mmap", "words"),
    [
        (700, 4096, 1, ["does not fit into memory", "a smaller model (fimls models list)"]),
        (1100, 32768, 1, ["no room for a context of", "lower n_ctx", "a smaller model"]),
    ],
)
def test_memory_that_runs_out(
    default_model: Path, megabytes: int, n_ctx: int, mmap: int, words: list[str]
) -> None:
    """The system really refuses it: while the weights are loaded, and for the KV cache."""
    arguments = [str(default_model), str(megabytes), str(n_ctx), str(mmap)]
    ran = subprocess.run(
        [sys.executable, "-c", CONFINED, *arguments],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.stdout.startswith("OutOfMemory "), ran.stdout + ran.stderr
    for word in words:
        assert word in ran.stdout


def test_weights_larger_than_the_memory_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before anything is read, with both sizes."""
    path = written(tmp_path, "llama")
    monkeypatch.setattr("fimls.engine.embedded.model.available_bytes", lambda: 10)
    with pytest.raises(OutOfMemory, match=r"0\.0 GB are free; choose a smaller model"):
        open_embedded(path)


def test_weights_that_do_not_fit_name_a_model_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of 1 GB the size of the 1.5B is refused, whatever process loads it."""
    path = written(tmp_path, "llama")
    os.truncate(path, 1_117_320_768)
    for module in ("fimls.engine.embedded.model", "fimls.assembly"):
        monkeypatch.setattr(f"{module}.available_bytes", lambda: 1_000_000_000)
    with pytest.raises(OutOfMemory, match=r"needs 1\.1 GB and 1\.0 GB .*-0\.5b takes 0\.9 GB"):
        open_engine(unshared(Config()), "embedded", str(path))


GIB = 2**30
MACHINE = {"proc/meminfo": "MemTotal: 99 kB\nMemAvailable: 8388608 kB\n"}
V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/memory/"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (MACHINE, 8 * GIB),
        # A container that sees its own group at the top.
        ({"proc/self/cgroup": "0::/\n", V2 + "memory.max": f"{3 * GIB}\n",
          V2 + "memory.current": f"{GIB}\n", V2 + "memory.stat": "anon 7\n"}, 2 * GIB),
        # What holds files can be had: mapped weights are among it.
        ({"proc/self/cgroup": "0::/\n", V2 + "memory.max": f"{3 * GIB}",
          V2 + "memory.current": f"{3 * GIB}",
          V2 + "memory.stat": f"anon 7\ninactive_file {GIB}\nactive_file {GIB}\n"}, 2 * GIB),
        ({"proc/self/cgroup": "0::/a/b\n", V2 + "a/memory.max": "max\n",
          V2 + "a/memory.current": f"{GIB}\n", V2 + "a/b/memory.max": "max\n",
          V2 + "a/b/memory.current": f"{GIB}\n"}, 8 * GIB),
        # The limit of a group further up holds for those in it.
        ({"proc/self/cgroup": "0::/a/b\n", V2 + "a/memory.max": f"{2 * GIB}\n",
          V2 + "a/memory.current": f"{GIB}\n", V2 + "a/b/memory.max": "max\n",
          V2 + "a/b/memory.current": f"{GIB}\n"}, GIB),
        ({"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n",
          V1 + "x/memory.limit_in_bytes": f"{4 * GIB}", V1 + "x/memory.usage_in_bytes": f"{GIB}",
          V1 + "x/memory.stat": f"total_inactive_file {GIB}\ninactive_file 5\n"}, 4 * GIB),
        # Mounted under another path than it has outside.
        ({"proc/self/cgroup": "4:memory:/docker/x\n",
          V1 + "memory.limit_in_bytes": f"{4 * GIB}", V1 + "memory.usage_in_bytes": f"{GIB}"},
         3 * GIB),
        ({"proc/self/cgroup": "4:memory:/x\n",
          V1 + "x/memory.limit_in_bytes": "9223372036854771712",
          V1 + "x/memory.usage_in_bytes": f"{GIB}"}, 8 * GIB),
        ({"proc/self/cgroup": "0::/\n", V2 + "memory.max": "100",
          V2 + "memory.current": f"{GIB}\n"}, 0),
    ],
)  # fmt: skip
def test_what_is_available_is_the_least_of_machine_and_container(
    files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    for name, text in (MACHINE | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == expected


@pytest.mark.model
@pytest.mark.parametrize(("free_mb", "mmap", "fits"), [(700, True, True), (500, True, False),
                                                       (500, False, True)])  # fmt: skip
def test_mapped_weights_and_the_context_need_room_together(
    default_model: Path, free_mb: int, mmap: bool, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MB for 8,192 tokens beside 485 MB that still count as free, unless they were copied."""
    free = free_mb * 1_000_000
    monkeypatch.setattr("fimls.engine.embedded.context.available_bytes", lambda: free)
    settings = EmbeddedSettings(mmap=mmap)
    if fits:
        open_embedded(default_model, settings).close()
        return
    with pytest.raises(OutOfMemory, match=r"0\.1 GB beside the weights of .*0\.0 GB are free"):
        open_embedded(default_model, settings)


def written(folder: Path, architecture: str) -> Path:
    """A well-formed GGUF file that says it is of ``architecture``, and little else."""
    path = folder / f"{architecture}.gguf"
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("mindreader", "unknown model architecture: 'mindreader'"),  # newer than this llama.cpp
        ("llama", "key not found"),  # well-formed, and half of it missing
    ],
)
@pytest.mark.parametrize("opener", [open_embedded, open_vocabulary])
def test_a_file_that_llama_cpp_cannot_run(
    tmp_path: Path, architecture: str, reason: str, opener: object
) -> None:
    """What llama.cpp says of it is passed on, with the file's name."""
    path = written(tmp_path, architecture)
    with pytest.raises(ModelUnusable, match=rf"cannot run .*{architecture}.gguf \(.*{reason}"):
        opener(path)


@pytest.mark.model
def test_a_context_smaller_than_the_window(default_model: Path) -> None:
    """Whole lines are completed in a context of 256 tokens, with the usual settings."""
    from functools import partial

    from fimls.assembly import choose_template
    from fimls.cancel import Cancel
    from fimls.completer import Completer
    from fimls.config import CompletionOptions
    from fimls.document import Snapshot

    engine = open_embedded(default_model, EmbeddedSettings(n_ctx=256, n_sequences=1))
    try:
        choose = partial(choose_template, "", "qwen2.5-coder-0.5b")
        completer = Completer(engine, CompletionOptions(n_predict=8), choose)
        text = "".join(f"value_{number} = compute({number})\n" for number in range(300))
        place = text.index("compute(150)")
        found = completer.complete(
            Snapshot("file:///a.py", "python", 0, text[:place] + text[place + 12 :], "a.py"),
            place,
            Cancel(),
            invoked=True,
        )
    finally:
        engine.close()
    assert found is not None
    assert found.text.startswith("compute(150)")
    assert found.n_prompt < 256 - 8
