"""A model with a state instead of a cache cannot go back in part, and stays exact all the same."""

from __future__ import annotations

import random
from pathlib import Path

import gguf
import numpy as np
import pytest

from fimls.engine.embedded import EmbeddedSettings
from fimls.engine.embedded.context import Context
from fimls.engine.embedded.model import Model

N_VOCAB, N_EMBD, N_LAYER, N_INNER, N_CONV, N_STATE, N_RANK = 300, 64, 2, 128, 4, 16, 4
PROMPT = [random.Random(1).randrange(256) for _ in range(300)]


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mamba of 60,000 random weights: what it says is nothing, but always the same."""
    path = tmp_path_factory.mktemp("models") / "mamba.gguf"
    writer = gguf.GGUFWriter(str(path), "mamba")
    writer.add_context_length(2048)
    writer.add_embedding_length(N_EMBD)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(N_LAYER)
    writer.add_ssm_conv_kernel(N_CONV)
    writer.add_ssm_inner_size(N_INNER)
    writer.add_ssm_state_size(N_STATE)
    writer.add_ssm_time_step_rank(N_RANK)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([chr(256 + n) for n in range(N_VOCAB)])
    writer.add_token_types([gguf.TokenType.NORMAL] * N_VOCAB)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(N_VOCAB - 1)
    chance = np.random.default_rng(1)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, chance.normal(0, 0.3, shape).astype(np.float32))

    add("token_embd.weight", N_VOCAB, N_EMBD)
    add("output_norm.weight", N_EMBD)
    add("output.weight", N_VOCAB, N_EMBD)
    for layer in range(N_LAYER):
        block = f"blk.{layer}."
        add(block + "attn_norm.weight", N_EMBD)
        add(block + "ssm_in.weight", 2 * N_INNER, N_EMBD)
        add(block + "ssm_conv1d.weight", N_INNER, N_CONV)
        add(block + "ssm_conv1d.bias", N_INNER)
        add(block + "ssm_x.weight", N_RANK + 2 * N_STATE, N_INNER)
        add(block + "ssm_dt.weight", N_INNER, N_RANK)
        add(block + "ssm_dt.bias", N_INNER)
        decay = -np.exp(chance.normal(-2, 0.1, (N_INNER, N_STATE)))
        writer.add_tensor(block + "ssm_a", decay.astype(np.float32))
        add(block + "ssm_d", N_INNER)
        add(block + "ssm_out.weight", N_EMBD, N_INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("interrupted_at", [None, 0, 128])
def test_what_is_taken_back_in_the_middle_is_evaluated_again(
    recurrent: Path, interrupted_at: int | None
) -> None:
    """The state has moved on by then: it is forgotten whole, and the same comes out."""
    settings = EmbeddedSettings(n_ctx=512, n_threads=1)
    model = Model(recurrent, settings)
    context, undisturbed = Context(model, settings), Context(model, settings)
    try:
        for one, interruptions in ((undisturbed, set()), (context, {interrupted_at})):
            slot = one.place(PROMPT, len(PROMPT) - 1, owner=1)
            while len(slot.tokens) < len(PROMPT):
                done = len(slot.tokens)
                one.abort.set(done in interruptions)
                interruptions.discard(done)
                one.evaluate(slot, PROMPT[done : done + 64], 1)
            assert slot.tokens == PROMPT
        assert (context.logits(-1) == undisturbed.logits(-1)).all()
    finally:
        context.close()
        undisturbed.close()
        model.close()
