"""Every shipped family: known by its names, rendered as documented, fit for a vocabulary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fimls.commands.templates import markdown
from fimls.errors import ModelRefused, TemplateError
from fimls.template import (
    PROBE,
    PROBE_CHUNKS,
    Level,
    Status,
    bind,
    detect,
    examine,
    find,
    load_all,
)
from fimls.vocabulary import ModelInfo
from tests.vocabularies import extended, vocabulary

if TYPE_CHECKING:
    from fimls.engine.embedded.vocabulary import LlamaVocabulary

CASES = Path(__file__).parent / "cases" / "templates"
PAGE = Path(__file__).parent.parent / "docs" / "families.md"
TEMPLATES = load_all()
FAMILIES = sorted(name for name, template in TEMPLATES.items() if template.forms is not None)
# Trained on SentencePiece vocabularies, which put blanks where they like.
SENTENCEPIECE = {"aixcoder", "codegemma", "codellama", "codestral", "codeqwen1.5", "mistral"}
# StarCoder's markers, without a name of their own for repositories.
KIN = [
    name
    for name in FAMILIES
    if "<fim_prefix>" in (spellings := TEMPLATES[name].markers.values())
    and "<repo_name>" not in spellings
]


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LlamaVocabulary]:
    """Two of llama.cpp's vocabularies, of either kind, with the markers of all families."""
    directory = tmp_path_factory.mktemp("vocabularies")
    spellings: dict[str, list[str]] = {"llama-spm": [], "starcoder": []}
    for name in FAMILIES:
        template = TEMPLATES[name]
        base = "llama-spm" if name in SENTENCEPIECE else "starcoder"
        spellings[base] += [*template.markers.values(), *template.ends, *template.stops]
    return {base: extended(base, tokens, directory) for base, tokens in spellings.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_prompt_is_as_documented(name: str) -> None:
    """Each family's prompt, markers visible, equals the one written down from its sources."""
    bound = bind(TEMPLATES[name], None)
    expected = (CASES / f"{name}.txt").read_text(encoding="utf-8")
    assert expected == (
        f"== one file\n{bound.render(PROBE).text}█\n"
        f"== with other files\n{bound.render(PROBE, PROBE_CHUNKS, 'project').text}█\n"
    )


def test_every_case_has_a_family() -> None:
    """No expectation outlives its family."""
    assert sorted(path.stem for path in CASES.glob("*.txt")) == FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_fits_a_real_vocabulary(name: str, vocabularies: dict[str, LlamaVocabulary]) -> None:
    """On llama.cpp's tokenizer every check of a family holds, injection included."""
    vocabulary = vocabularies["llama-spm" if name in SENTENCEPIECE else "starcoder"]
    findings = examine(TEMPLATES[name], vocabulary)
    # The other families' padding is there too.
    errors = [f.message for f in findings if f.level is Level.ERROR and "add it" not in f.message]
    assert errors == []
    checked = {finding.subject for finding in findings}
    assert checked >= {"markers", "bos", "order", "text", "empty suffix", "injection"}


@pytest.mark.parametrize(
    ("name", "base"),
    [("deepseek-coder", "deepseek-coder"), ("starcoder2", "starcoder")]
    + [(name, "refact") for name in ("refact", "starcoder", "tiny-starcoder", "granite-code")],
)
def test_knows_every_end_of_its_own_vocabulary(name: str, base: str) -> None:
    """Nothing that ends a text there is missing in the template; Refact's is StarCoder's."""
    findings = examine(TEMPLATES[name], vocabulary(base))
    assert [f.message for f in findings if f.level is Level.ERROR] == []
    assert not any("does not name" in f.message for f in findings)


@pytest.mark.parametrize("name", KIN)
@pytest.mark.parametrize("base", ["starcoder", "refact"])
def test_stops_at_what_comes_with_starcoders_markers(name: str, base: str) -> None:
    """Who took over StarCoder's markers may have taken over its padding and repositories."""
    findings = examine(TEMPLATES[name], vocabulary(base))
    assert not any("made for fill-in-the-middle" in f.message for f in findings)


# General names and file names as they are found in the wild, and who they are.
DETECTED = [
    ("Qwen2.5 Coder 0.5B Instruct AWQ", "qwen2", "qwen2.5-coder"),
    ("Qwen2.5 Coder 1.5B Instruct GGUF", "qwen2", "qwen2.5-coder"),
    ("Qwen2.5-Coder-7B", "qwen2", "qwen2.5-coder"),
    ("qwen2.5.1-coder-7b-instruct", "qwen2", "qwen2.5-coder"),
    ("Qwen3-Coder-30B-A3B-Instruct", "qwen3moe", "qwen3-coder"),
    ("Qwen3-Coder-Next", "qwen3next", "qwen3-coder"),
    ("CodeQwen1.5-7B-Chat", "qwen2", "codeqwen1.5"),
    ("deepseek-ai_deepseek-coder-6.7b-base", "llama", "deepseek-coder"),
    ("DeepSeek-Coder-V2-Lite-Base", "deepseek2", "deepseek-coder-v2-lite"),
    ("StarCoderBase-1B", "starcoder", "starcoder"),
    ("starcoder2-3b", "starcoder2", "starcoder2"),
    ("starcoder", "starcoder2", "starcoder2"),
    ("santacoder", "starcoder", "santacoder"),
    ("codellama_codellama-7b-hf", "llama", "codellama"),
    ("codegemma-2b", "gemma", "codegemma"),
    ("Granite 8b Code Base", "llama", "granite-code"),
    ("granite-20b-code-base", "starcoder", "granite-code"),
    ("Granite 3.3 2b Base", "granite", "granite-3.3"),
    ("granite-4.0-h-tiny", "granitehybrid", "granite-4"),
    ("Codestral-22B-v0.1", "llama", "codestral"),
    ("stable-code-3b", "stablelm", "stable-code"),
    ("Refact-1_6B-fim", "refact", "refact"),
    ("codegeex4-all-9b", "chatglm", "codegeex4"),
    ("Seed Coder 8B Base", "llama", "seed-coder"),
    ("Mellum-4b-sft-python", "llama", "mellum"),
    ("aixcoder-7b-base", "llama", "aixcoder"),
]


@pytest.mark.parametrize(("name", "architecture", "expected"), DETECTED)
def test_model_is_known_by_its_name(name: str, architecture: str, expected: str) -> None:
    """A model's own name, in whatever spelling, or its file's, leads to its family."""
    assert expected == detect(ModelInfo(name, architecture), None, TEMPLATES).name
    path = f"/models/{name}.Q4_K_M.gguf"
    assert expected == detect(ModelInfo("models", architecture, path), None, TEMPLATES).name


REFUSED = [
    ("deepseek-coder-1.3b-instruct", "llama", "without fill-in-the-middle"),
    ("DeepSeek-Coder-V2-Lite-Instruct", "deepseek2", "take the base model"),
    ("DeepSeek-Coder-V2-Instruct", "deepseek2", "16B Lite"),
    ("codellama-34b-hf", "llama", "34B"),
    ("CodeLlama-7b-Python", "llama", "Python variants"),
    ("codegemma-1.1-7b-it", "gemma", "chat model"),
    ("starcoder2-15b-instruct-v0.1", "starcoder2", "instruct"),
    ("Granite 3.1 2b Base", "granite", "3.3"),
    ("zeta-2.1", "llama", "next edit"),
    ("sweep-next-edit-0.5B", "qwen2", "next edit"),
    ("instinct", "qwen2", "next edit"),
    ("Qwen2.5-7B-Instruct", "qwen2", "not trained"),
    ("Qwen3-4B", "qwen3", "not trained"),
    ("Phi-4", "phi3", "not trained"),
    ("Meta Llama 3.1 8B Instruct", "llama", "not trained"),
    ("gemma-3-4b-it", "gemma3", "not trained"),
    ("SmolLM2 135M Instruct", "llama", "not trained"),
    ("DeepSeek R1 Distill Qwen 1.5B", "qwen2", "not trained"),
    ("OpenCoder-8B-Base", "llama", "no statement"),
    ("Mellum2-12B-A2.5B-Instruct", "mellum", 'set completion.template = "mellum2"'),
    ("Devstral-Small-2505", "llama", 'set completion.template = "mistral"'),
    ("Falcon-H1-Tiny-Coder-90M", "falcon-h1", 'set completion.template = "falcon-h1-tiny-coder"'),
    ("My own model", "llama", "tells no family"),
]


@pytest.mark.parametrize(("name", "architecture", "reason"), REFUSED)
def test_model_is_refused_with_the_reason(name: str, architecture: str, reason: str) -> None:
    """Models that cannot infill, or that nobody vouches for, are told apart and refused."""
    with pytest.raises(ModelRefused, match=re.escape(reason)):
        detect(ModelInfo(name, architecture), None, TEMPLATES)


def test_stranger_with_markers_is_told_its_kin(
    vocabularies: dict[str, LlamaVocabulary],
) -> None:
    """Markers alone prove nothing, but the user who knows better learns what to set."""
    with pytest.raises(ModelRefused, match="set completion") as caught:
        detect(ModelInfo("Our finetune", "qwen2"), vocabularies["starcoder"], TEMPLATES)
    assert "the markers of codeqwen1.5 and qwen2.5-coder, but" in str(caught.value)


def test_stranger_without_a_vocabulary_is_to_be_named() -> None:
    """Of a remote model only a name is known: nothing is said of its vocabulary."""
    with pytest.raises(ModelRefused) as caught:
        detect(ModelInfo("completion", ""), None, TEMPLATES)
    assert str(caught.value) == (
        'the name "completion" tells no family known to be trained to fill in the middle; set '
        'engines.NAME.template ("fimls templates list" shows the families)'
    )


def test_unverified_family_can_be_named() -> None:
    """The user may know better."""
    info = ModelInfo("Mellum2-12B", "mellum")
    assert detect(info, None, TEMPLATES, override="mellum2").status is Status.UNVERIFIED


def test_refused_family_stays_refused_when_named() -> None:
    """There is no form to render for a model that rewrites regions."""
    with pytest.raises(ModelRefused, match="next edit") as caught:
        detect(ModelInfo("Mine", "llama"), None, TEMPLATES, override="zeta")
    assert "recognised" not in str(caught.value)
    with pytest.raises(ModelRefused, match="next edit"):
        bind(TEMPLATES["zeta"], None)


def test_unknown_name_is_met_with_the_nearest() -> None:
    """A slip of the finger in the settings is easily mended."""
    with pytest.raises(TemplateError, match=re.escape('did you mean "starcoder2"?')):
        find("star-coder-2", TEMPLATES)


@pytest.mark.parametrize("name", FAMILIES)
def test_trusted_facts_have_sources(name: str) -> None:
    """What is used unasked says where its markers and their order are from."""
    template = TEMPLATES[name]
    if template.status in {Status.VERIFIED, Status.DOCUMENTED}:
        assert {"markers", "order"} <= set(template.sources)
    assert template.verdict
    assert template.licence


def test_table_for_readers_is_current() -> None:
    """docs/families.md holds what `fimls templates list --markdown` prints (`make docs`)."""
    assert f" -->\n{markdown(TEMPLATES)}<!-- end" in PAGE.read_text(encoding="utf-8")


def test_template_in_the_docs_works(tmp_path: Path) -> None:
    """The smallest template that the page shows is one."""
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    (tmp_path / "mine.toml").write_text(example[1], encoding="utf-8")
    templates = load_all(tmp_path)
    assert detect(ModelInfo("Mine-1B_v2", "llama"), None, templates).name == "mine"
    assert Level.ERROR not in {f.level for f in examine(templates["mine"], vocabulary("starcoder"))}
