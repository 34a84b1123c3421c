"""How the embedded engine runs: one value object, every field overridable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """Settings of the embedded engine; zero or ``None`` means "let calibration choose".

    ``n_ctx`` is the room of *one* sequence, in tokens. A context holds
    ``n_sequences`` of them, so that several files stay warm; each token of each
    sequence takes about 12 kB (0.5B) or 28 kB (1.5B) with f16.
    """

    n_ctx: int = 4096
    n_sequences: int = 2
    # For the states of sequences that were overwritten: 21 windows of 1,000 tokens (0.5B).
    memory_mb: int = 256
    # A cancelled prompt evaluation loses the micro-batch it is in, so a micro-batch is small:
    # 128 tokens run at full speed on a CPU and are about half a second of the 0.5B on two cores.
    n_ubatch: int = 128
    n_threads: int = 0
    n_threads_batch: int = 0
    n_gpu_layers: int = 0
    flash_attention: bool | None = None
    kv_type: str = "f16"  # f16, q8_0, q4_0
    mmap: bool = True
    mlock: bool = False

    def n_ctx_within(self, n_ctx_train: int) -> int:
        """Room per sequence: no more than the model was trained for, rounded as llama.cpp does.

        ``n_ctx_train`` is 0 where the file does not tell.
        """
        wanted = min(self.n_ctx, n_ctx_train) if n_ctx_train > 0 else self.n_ctx
        return max(256, -(-wanted // 256) * 256)
