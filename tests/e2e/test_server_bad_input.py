"""Bad input: a clear error once, or a quiet null, and the server lives on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidRequest
from session import Editor, scripted

Edit = Callable[..., Any]

RETURN = "return 1\n\n\nprint()\n"


async def still_completes(editor: Editor) -> bool:
    uri = editor.open("def f():\n    ", "file:///project/good.py")
    return await editor.ghost_texts(uri, 1, 4) == ["return 1"]


@pytest.mark.parametrize(
    ("text", "line", "character"),
    [
        ("x = 1\n" * 1_700_000, 3, 5),  # 10 MB
        ("\x7fELF\0\0\0", 0, 3),
        ("def f():\n    ", 7, 0),
        ("", 1, 0),
    ],
    ids=["10 MB", "binary", "beyond the last line", "beyond an empty document"],
)
async def test_nothing_to_complete(edit: Edit, text: str, line: int, character: int) -> None:
    """Quiet null for documents and places that cannot be completed in."""
    async with edit(scripted(RETURN)) as editor:
        uri = editor.open(text)
        assert await editor.ghost(uri, line, character) == []
        assert editor.messages == []
        assert await still_completes(editor)


async def test_ten_megabytes_do_not_slow_the_others(edit: Edit) -> None:
    """Typing in a huge file costs nothing that another document would notice."""
    async with edit(scripted(RETURN)) as editor:
        huge = editor.open("x = 1\n" * 1_700_000, "file:///project/huge.py")
        await editor.ghost(huge, 3, 5)
        began = time.perf_counter()
        for column in range(20):
            editor.type(huge, 900_000, column, "y")
            assert await editor.ghost(huge, 900_000, column + 1) == []
        # 20 keystrokes, each answered: about 10 ms each on an idle machine.
        assert time.perf_counter() - began < 6
        assert await still_completes(editor)


async def test_a_column_beyond_the_line_is_its_end(edit: Edit) -> None:
    """As LSP says."""
    async with edit(scripted(RETURN)) as editor:
        uri = editor.open("def f():\n    \n")
        [item] = await editor.ghost(uri, 1, 999)
        assert item.range.start == types.Position(1, 4)


@pytest.mark.parametrize("language", ["brainfuck", "", "plaintext"])
async def test_a_language_without_grammar(edit: Edit, language: str) -> None:
    """Completed by the generic rules."""
    async with edit(scripted("bar\n")) as editor:
        uri = editor.open("foo\nfoo ", "file:///project/a.bf", language)
        assert (await editor.ghost_texts(uri, 1, 4))[0].startswith("bar")


@pytest.mark.parametrize("name", [".env", ".env.local", "id_rsa", "server.pem"])
async def test_secrets_are_left_alone(edit: Edit, name: str) -> None:
    """Said in the status, never shown to a model."""
    async with edit(scripted(RETURN)) as editor:
        uri = editor.open("TOKEN=", f"file:///project/{name}", "plaintext")
        assert await editor.ghost(uri, 0, 6) == []
        await editor.status_is("off")
        assert name in editor.statuses[-1]["message"]
        assert await editor.explain() is None
        assert await still_completes(editor)
        assert editor.messages == []


async def test_ignore_file_of_a_project(edit: Edit, tmp_path: Path) -> None:
    """``.fimlsignore`` at a root names files in gitignore syntax."""
    (tmp_path / ".fimlsignore").write_text("generated/\n!generated/keep.py\n*.gen.py\n")
    async with edit(scripted(RETURN)) as editor:
        cases = [
            ("generated/a.py", False),
            ("a.gen.py", False),
            ("credentials/a.py", False),  # by files.ignore
            ("a.py", True),
        ]
        for inside, completed in cases:
            uri = editor.open("def f():\n    ", f"{tmp_path.as_uri()}/{inside}")
            assert bool(await editor.ghost(uri, 1, 4)) is completed, inside
        # What a project lies in is not its own choice.
        outside = editor.open("def f():\n    ", "file:///credentials/project/a.py")
        assert await editor.ghost(outside, 1, 4)


async def test_a_project_may_switch_off(edit: Edit, tmp_path: Path) -> None:
    """A project's file narrows what is done there, and takes effect when saved."""
    (tmp_path / "a.py").touch()
    project = tmp_path / ".fimls.toml"
    async with edit(scripted(RETURN)) as editor:
        uri = editor.open("def f():\n    ", (tmp_path / "a.py").as_uri())
        assert await editor.ghost_texts(uri, 1, 4) == ["return 1"]
        project.write_text("[completion]\nenabled = false\n")
        saved = types.TextDocumentIdentifier(project.as_uri())
        editor.client.text_document_did_save(types.DidSaveTextDocumentParams(saved))
        assert await editor.ghost(uri, 1, 4) == []
        assert await still_completes(editor)  # elsewhere


async def test_a_language_can_be_off(edit: Edit) -> None:
    """By its LSP identifier, and the status says so."""
    async with edit(scripted(RETURN, languages_off=["markdown"])) as editor:
        uri = editor.open("Some prose ", "file:///project/a.md", "markdown")
        assert await editor.ghost(uri, 0, 11) == []
        await editor.status_is("off")
        assert await still_completes(editor)
        await editor.status_is("idle")


@pytest.mark.parametrize(
    ("completion", "told"),
    [
        ({"n_predcit": 3}, "did you mean completion.n_predict?"),
        ({"n_predict": "many"}, "completion.n_predict must be an integer"),
        ({"enabled": "perhaps"}, "completion.enabled must be true or false"),
    ],
)
async def test_mistaken_settings(edit: Edit, completion: dict[str, Any], told: str) -> None:
    """One message that names the mistake; the other settings are in force."""
    async with edit(scripted(RETURN, **completion)) as editor:
        assert await still_completes(editor)
        uri = editor.open("def f():\n    ")
        await editor.ghost(uri, 1, 4)
        [message] = editor.messages
        assert told in message


@pytest.mark.parametrize("values", [["a"], "text", 7])
async def test_settings_that_are_no_table(edit: Edit, values: Any) -> None:
    """The editor's settings may be anything at all."""
    async with edit(scripted(RETURN), configuration=values) as editor:
        assert await still_completes(editor)
        [message] = editor.messages
        assert "editor settings" in message


async def test_a_user_file_that_is_not_toml(edit: Edit, tmp_path: Path) -> None:
    """The file is named; the editor's own settings still count."""
    (tmp_path / "user.toml").write_text("[completion\n")
    async with edit(scripted(RETURN)) as editor:
        assert await still_completes(editor)
        [message] = editor.messages
        assert "user.toml" in message


async def test_settings_of_the_editor_win_and_change(edit: Edit) -> None:
    """workspace/configuration overrides initializationOptions, and may change at any time."""
    later = scripted("return 2\n\n\nprint()\n")
    async with edit(scripted(RETURN), configuration=later) as editor:
        uri = editor.open("def f():\n    ")
        assert await editor.ghost_texts(uri, 1, 4) == ["return 2"]
        editor.statuses.clear()
        editor.client.set_configuration({"fimls": scripted("return 3\n\n\nprint()\n")})
        changed = types.DidChangeConfigurationParams(settings=None)
        editor.client.workspace_did_change_configuration(changed)
        await editor.status_was("loading")
        await editor.status_is("idle")
        assert await editor.ghost_texts(uri, 1, 4) == ["return 3"]


@pytest.mark.parametrize("client", ["emacs-eglot-1.9", "vim-ale-3.3.0"])
async def test_pushed_settings(edit: Edit, client: str) -> None:
    """Editors that cannot be asked push; what is meant for other servers is not our mistake."""
    async with edit(scripted(RETURN), client=client) as editor:
        uri = editor.open("def f():\n    ")
        pushed = {"pylsp": {"plugins": {}}}
        changed = types.DidChangeConfigurationParams(settings=pushed)
        editor.client.workspace_did_change_configuration(changed)
        assert await editor.ghost_texts(uri, 1, 4) == ["return 1"]
        off = types.DidChangeConfigurationParams(settings={"fimls": {"completion.enabled": False}})
        editor.client.workspace_did_change_configuration(off)
        await editor.status_is("off")
        assert await editor.ghost(uri, 1, 4) == []
        assert editor.messages == []


async def test_the_environment_counts(edit: Edit) -> None:
    """FIMLS_SECTION_KEY variables, below the editor's settings."""
    variables = {"FIMLS_COMPLETION_LANGUAGES_OFF": "python"}
    async with edit(scripted(RETURN), environ=variables) as editor:
        assert not await still_completes(editor)


@pytest.mark.parametrize("client", ["vim-ale-3.3.0", "neovim-0.12.4"])
async def test_no_model_yet(edit: Edit, client: str) -> None:
    """One message with the next step, however often is asked; consent before any download."""
    async with edit({}, client=client) as editor:
        uri = editor.open("def f():\n    ")
        for _ in range(3):
            assert await editor.ghost(uri, 1, 4) == []
        await editor.status_is("error")
        await editor.eventually(lambda: editor.messages or editor.questions)
        told = editor.messages + [question.message for question in editor.questions]
        [message] = told
        assert 'run "fimls models pull qwen2.5-coder-0.5b"' in message
        assert editor.statuses[-1]["nextStep"].startswith('run "fimls models pull')
        # Editors that can show buttons are asked; "no" (or nothing) downloads nothing.
        actions = [action.title for question in editor.questions for action in question.actions]
        assert actions == ([] if client.startswith("vim") else ["Download", "Not now"])


async def test_an_editor_that_cannot_ask_after_all(edit: Edit) -> None:
    """It announced questions and refuses them: then the message is shown."""
    async with edit({}) as editor:

        def refuse() -> None:
            raise JsonRpcInvalidRequest("no buttons here")

        editor.meanwhile = refuse
        editor.open("x")
        await editor.eventually(lambda: editor.messages)
        assert "fimls models pull" in editor.messages[0]


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"GGUF"])
async def test_a_file_that_is_no_model(edit: Edit, tmp_path: Path, content: bytes) -> None:
    """The file is named once; the server lives on and takes another model when told to."""
    model = tmp_path / "broken.gguf"
    model.write_bytes(content)
    async with edit({"completion": {"model": str(model)}}) as editor:
        uri = editor.open("def f():\n    ")
        assert await editor.ghost(uri, 1, 4) == []
        assert await editor.ghost(uri, 1, 4) == []
        await editor.eventually(lambda: editor.messages)
        [message] = editor.messages
        assert "broken.gguf" in message
        editor.client.set_configuration({"fimls": scripted(RETURN)})
        changed = types.DidChangeConfigurationParams(settings=None)
        editor.client.workspace_did_change_configuration(changed)
        await editor.status_is("idle")
        assert await still_completes(editor)


async def test_an_unknown_model_is_named(edit: Edit) -> None:
    """With the nearest name of the catalogue."""
    async with edit({"completion": {"model": "qwen2.5-coder-0.4b"}}) as editor:
        editor.open("x")
        await editor.eventually(lambda: editor.messages)
        assert "did you mean qwen2.5-coder-0.5b?" in editor.messages[0]
        assert await editor.execute("fimls.pullModel", "no-such-model") is False
        assert "no-such-model" in editor.messages[-1]


async def test_an_engine_that_does_not_answer(edit: Edit) -> None:
    """A remote engine that is down: one message, nulls, and the server lives on."""
    settings = {
        "completion": {"engine": "remote"},
        "engines": {"remote": {"kind": "llama-server", "url": "http://127.0.0.1:9"}},
    }
    async with edit(settings) as editor:
        uri = editor.open("def f():\n    ")
        for _ in range(3):
            assert await editor.ghost(uri, 1, 4) == []
        await editor.status_is("error")
        assert len(editor.messages) == 1
        assert "127.0.0.1:9" in editor.messages[0]


async def test_changes_for_unknown_documents_are_dropped(edit: Edit) -> None:
    """As are requests for them."""
    async with edit(scripted(RETURN)) as editor:
        editor.versions["file:///project/never.py"] = 1
        editor.type("file:///project/never.py", 0, 0, "x")
        assert await editor.ghost("file:///project/never.py", 0, 1) == []
        assert await still_completes(editor)
        assert editor.messages == []


async def test_odd_uris(edit: Edit) -> None:
    """Unsaved buffers, blanks, percent signs, other schemes."""
    async with edit(scripted(RETURN)) as editor:
        for uri in ("untitled:Untitled-1", "file:///a%20b%25/c%3Ad.py", "git:/x.py?ref=1", "x"):
            editor.open("def f():\n    ", uri)
            assert await editor.ghost_texts(uri, 1, 4) == ["return 1"], uri


@pytest.fixture
def lay_weights(tmp_path: Path, default_model: Path) -> Callable[[], None]:
    """Puts the default model where the session looks for it."""

    def lay() -> None:
        (tmp_path / "cache/models").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache/models" / default_model.name).symlink_to(default_model)

    return lay


@pytest.mark.model
async def test_a_model_that_arrives_is_picked_up(
    edit: Edit, lay_weights: Callable[[], None]
) -> None:
    """Pulled elsewhere: no restart of anything."""
    async with edit({}) as editor:
        uri = editor.open("def f():\n    ")
        assert await editor.ghost(uri, 1, 4) == []
        await editor.status_is("error")
        lay_weights()
        for _ in range(10):
            items = await editor.ghost(uri, 1, 4, invoked=True)
            if items:
                break
            await editor.pause(0.5)
        assert items
        assert editor.statuses[-1]["state"] in {"idle", "thinking"}


@pytest.mark.model
async def test_download_with_consent(edit: Edit, lay_weights: Callable[[], None]) -> None:
    """ "Download" pulls the model (here it finds it whole, and checks it), and then it is used."""
    async with edit({}, initialize=False) as editor:
        editor.answer, editor.meanwhile = "Download", lay_weights
        await editor.initialize()
        uri = editor.open("def f():\n    ")
        assert await editor.ghost(uri, 1, 4) == []
        await editor.eventually(lambda: editor.questions)
        await editor.status_is("idle")
        assert await editor.ghost(uri, 1, 4, invoked=True)
        assert editor.messages == []
        titles = [r.title for shown in editor.client.progress_reports.values() for r in shown[:1]]
        assert "fimls: downloading qwen2.5-coder-0.5b" in titles
        await editor.client.shutdown_session()
