"""Control tokens that are known by their spelling, whoever made the model.

The spellings are those by which llama.cpp itself finds them (src/llama-vocab.cpp, as in
llama-cpp-python 0.3.36), and so are the keys by which a GGUF file may name its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fimls.vocabulary import Vocabulary

# The markers that a prompt is built with, and how their makers spell them.
_MARKERS = {
    "PRE": "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|> "
    "<|prefix|>",
    "SUF": "<|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> <|code_suffix|> "
    "<|suffix|>",
    "MID": "<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> <|code_middle|> "
    "<|middle|>",
}
# What else comes with fill-in-the-middle: padding, names of repositories and files.
_OTHER_FIM = (
    "<|fim_pad|> <fim-pad> <fim_pad> <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> "
    "<|file_sep|>"
)
_ENDS = (
    "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> "
    "<|endoftext|> </s> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> "
    "<eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~["
)
_ROLES = {spelling: role for role, known in _MARKERS.items() for spelling in known.split()}

# Current keys, then deprecated ones.
_ROLE_KEYS = {
    "PRE": ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"),
    "SUF": ("tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"),
    "MID": ("tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"),
}
_FIM_KEYS = tuple(f"tokenizer.ggml.fim_{kind}_token_id" for kind in ("pad", "rep", "sep"))
_END_KEYS = tuple(f"tokenizer.ggml.{kind}_token_id" for kind in ("eos", "eot", "eom"))


def roles(markers: Mapping[str, str], vocabulary: Vocabulary | None = None) -> dict[str, str]:
    """Which of ``markers`` (name to spelling) are a ``PRE``, ``SUF`` or ``MID``.

    The spelling tells, else what the model's file says, else the name that the template gives.
    """
    told: dict[int | None, str] = {}
    if vocabulary is not None:
        for known, keys in _ROLE_KEYS.items():
            told |= dict.fromkeys(_told(vocabulary, keys), known)
    found = {}
    for name, spelling in markers.items():
        role = _ROLES.get(spelling)
        if role is None and vocabulary is not None and told:
            role = told.get(vocabulary.marker(spelling))
        if role is None and name in _MARKERS:
            role = name
        if role is not None:
            found[name] = role
    return found


def contradictions(role: str, token: int, vocabulary: Vocabulary) -> Iterator[str]:
    """What the model's file says otherwise about the marker that is its ``role``."""
    for key in _ROLE_KEYS.get(role, ()):
        told = vocabulary.info.metadata.get(key, str(token))
        if told != str(token):
            yield f"the file says {key} = {told}, not {token}"


def fim_tokens(vocabulary: Vocabulary) -> set[int]:
    """What comes with fill-in-the-middle besides markers and is no text: padding, files."""
    return _ending(_OTHER_FIM, vocabulary) | _told(vocabulary, _FIM_KEYS)


def ends(vocabulary: Vocabulary) -> set[int]:
    """The ends of texts and of turns that the engine knows, or the model's file names."""
    return _ending(_ENDS, vocabulary) | _told(vocabulary, _END_KEYS)


def _ending(spellings: str, vocabulary: Vocabulary) -> set[int]:
    tokens = {vocabulary.marker(spelling) for spelling in spellings.split()}
    return {token for token in tokens if token is not None and vocabulary.is_end(token)}


def _told(vocabulary: Vocabulary, keys: Iterable[str]) -> set[int]:
    values = (vocabulary.info.metadata.get(key, "") for key in keys)
    return {int(value) for value in values if value.isdecimal()}
