"""Reviews through remote engines: the real servers with the real 0.5B model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import servers
from editors.install import Missing

from fimls.cancel import Cancel
from fimls.engine.embedded import EmbeddedSettings, open_embedded
from fimls.engine.http import HttpSettings, open_http_engine
from fimls.review import answers, prompts
from fimls.review.talk import Talk

pytestmark = pytest.mark.model

CODE = "def add_item(item, basket=[]):\n    basket.append(item)\n    return basket"
ABOUT = prompts.about(CODE, "python", "a.py", "")


@pytest.fixture(scope="module")
def url(default_model: Path) -> Iterator[str]:
    try:
        running = servers.run_llama_server(default_model)
    except Missing as missing:
        pytest.skip(f"LLAMA-SERVER IS MISSING: {missing}")
    with running as found:
        yield found


@pytest.fixture(params=["llama-server", "openai"])
def talk(url: str, request: pytest.FixtureRequest) -> Iterator[Talk]:
    """With our template and grammar, and through the chat endpoint with a schema."""
    settings = HttpSettings.from_table("remote", {"kind": request.param, "url": url})
    with closing(open_http_engine(settings)) as engine:
        yield Talk(engine)


def test_answers_have_the_form(talk: Talk) -> None:
    said = talk.ask(
        prompts.review(ABOUT), 300, Cancel(), grammar=answers.GRAMMAR, schema=answers.SCHEMA
    )
    answer = answers.read(said.text)
    assert answer.is_whole is not said.is_cut
    assert said.text.lstrip()[:1] in "[{"


def test_the_second_look_is_the_same_everywhere(talk: Talk, default_model: Path) -> None:
    """The probability is the model's own, however it is asked for.

    Other builds round otherwise, and chat endpoints tell of one word of the two only.
    """
    asked = prompts.yes_or_no(f"{ABOUT}Is a mutable default shared between calls?")
    with closing(open_embedded(default_model, EmbeddedSettings(n_ctx=1024, n_sequences=1))) as ours:
        expected = Talk(ours).probability(asked, Cancel())
    assert 0 < expected < 1
    assert talk.probability(asked, Cancel()) == pytest.approx(expected, abs=0.1)
