"""Review over a real server process, as editors drive it; the model is scripted."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from session import CLIENT_NAMES, Editor, scripted

from fimls.cancel import Cancel
from fimls.config import ReviewOptions
from fimls.document import Snapshot
from fimls.engine.scripted import ScriptedEngine
from fimls.review.reviewer import Reviewer, Source
from fimls.review.talk import Talk

Edit = Callable[..., Any]

MEAN = """\
def mean(values):
    total = 0
    for i in range(1, len(values)):
        total += values[i]
    return total / len(values)


def zero():
    return 0
"""
LINE, FIXED = "for i in range(1, len(values)):", "for i in range(len(values)):"


def found(line: str = LINE, fixed: str | None = FIXED, **more: str) -> str:
    claim = {"line": line, "fixed": fixed, "message": "The first value is skipped."}
    return json.dumps([{**claim, "category": "bug", "severity": "error", **more}])


def reviewing(answer: str = "", delay_ms: float = 0, look: str = "Yes") -> dict[str, Any]:
    """A model that says ``answer`` about code with a loop and finds nothing elsewhere."""
    said = {"Find the faults": "[]", "for i in range(1, len": answer or found()}
    # The longest key decides.
    said["A reviewer says about the line"] = look
    return scripted(said, delay_ms)


async def review(editor: Editor, uri: str, what: str = "file", line: int = 0, to: int = 0) -> None:
    at = {"start": {"line": line, "character": 0}, "end": {"line": to or line, "character": 0}}
    n_before = len(editor.messages)
    await editor.execute("fimls.review", {"what": what, "uri": uri, "range": at})
    await editor.eventually(lambda: len(editor.messages) > n_before)


def shown(editor: Editor, uri: str) -> list[types.Diagnostic]:
    return list(editor.client.diagnostics.get(uri, []))


async def actions(
    editor: Editor, uri: str, line: int, *about: types.Diagnostic, **context: Any
) -> dict[str, types.CodeAction]:
    at = types.Range(types.Position(line, 0), types.Position(line, 0))
    asked = types.CodeActionParams(
        types.TextDocumentIdentifier(uri), at, types.CodeActionContext(list(about), **context)
    )
    answer = await editor.client.text_document_code_action_async(asked) or []
    return {action.title: _as_action(action) for action in answer}


def _as_action(read: types.CodeAction | types.Command) -> types.CodeAction:
    """lsprotocol takes an action with a command for a command, and its command for a string."""
    if isinstance(read, types.CodeAction):
        return read
    return types.CodeAction(read.title, command=types.Command(**ast.literal_eval(read.command)))


PUSHED = "emacs-eglot-1.9"


@pytest.mark.parametrize("client", CLIENT_NAMES)
async def test_a_finding_in_every_editor(edit: Edit, client: str) -> None:
    """Pushed or pulled as the editor likes: once, at the quoted code, in its own columns."""
    async with edit(reviewing(), client=client) as editor:
        provides = editor.result.capabilities.diagnostic_provider is not None
        uri = editor.open(f"# é😀\n{MEAN}")
        await review(editor, uri)
        if provides:
            asked = types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
            pulled = await editor.client.text_document_diagnostic_async(asked)
            assert shown(editor, uri) == []
            [one] = pulled.items
        else:
            [one] = shown(editor, uri)
        assert one.range == types.Range(types.Position(3, 4), types.Position(3, 35))
        assert (one.source, one.code) == ("fimls review", "bug")
        assert one.severity is types.DiagnosticSeverity.Error
        assert one.message == "The first value is skipped. (confidence 100%)"


async def test_invented_code_is_not_shown_but_told(edit: Edit) -> None:
    """A finding whose quote stands nowhere is counted, and can be looked at."""
    async with edit(reviewing(found("while True:")), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        assert shown(editor, uri) == []
        assert "1 finding dropped: quoted code not found" in editor.messages[-1]
        [dropped] = await editor.execute("fimls.dropped", {"uri": uri})
        assert (dropped["reason"], dropped["quote"]) == ("quoted code not found", "while True:")


async def test_a_second_look_that_denies(edit: Edit) -> None:
    async with edit(reviewing(look="No"), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        assert shown(editor, uri) == []
        assert "denied at the second look" in editor.messages[-1]


async def test_the_quick_fix(edit: Edit) -> None:
    """It needs no inference, and replaces the quoted code."""
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        offered = await actions(editor, uri, 2)
        fix = offered[f"Replace by: {FIXED}"]
        changes = fix.edit.changes or {
            c.text_document.uri: c.edits for c in fix.edit.document_changes
        }
        [change] = changes[uri]
        assert (change.new_text, change.range.start) == (FIXED, types.Position(2, 4))
        ignore = offered["Ignore this bug finding with a comment"]
        [change] = (ignore.edit.changes or {uri: ignore.edit.document_changes[0].edits})[uri]
        assert change.new_text == "  # fimls: ignore[bug]"


async def test_a_finding_without_a_correction(edit: Edit) -> None:
    """Nothing to replace it by is known, so the fix is looked for when it is chosen."""
    settings = reviewing(found(fixed=None))
    settings["engines"]["scripted"]["answers"]["Complaint: The first value"] = FIXED
    async with edit(settings, client="helix-25.07.1") as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        action = (await actions(editor, uri, 2))["Fix with fimls: The first value is skipped."]
        assert action.edit is None
        resolved = await editor.client.code_action_resolve_async(action)
        [change] = (resolved.edit.changes or {uri: resolved.edit.document_changes[0].edits})[uri]
        assert change.new_text == FIXED


async def test_a_part_that_fails(edit: Edit) -> None:
    """What was found elsewhere is shown and counted, and what was not read is named."""
    small = f"def mean(values):\n    {LINE}\n        print(i)\n"
    large = "def large(a, b, c, d, e, f):\n    return a + b + c + d + e + f\n"
    engine = ScriptedEngine("[]")
    source = Source.of(Snapshot(text=small, path="a.py"))
    Reviewer(Talk(engine), ReviewOptions()).review(source, source.outline.scopes[0], Cancel())
    settings = reviewing()
    # Room for the small one, and none to spare.
    settings["engines"]["scripted"]["n_ctx"] = len(engine.requests[0].prompt.tokens) + 1
    async with edit(settings, client=PUSHED) as editor:
        uri = editor.open(f"{large}\n\n{small}")
        await review(editor, uri)
        assert [one.range.start.line for one in shown(editor, uri)] == [5]
        assert editor.messages[-1].startswith("fimls: 1 part reviewed; 1 finding;")
        assert "not reviewed: large (the prompt has" in editor.messages[-1]


async def test_findings_follow_edits(edit: Edit) -> None:
    """They move with their function, stay when another changes, and go when it changes."""
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        editor.type(uri, 0, 0, "import os\n")
        await editor.eventually(lambda: shown(editor, uri)[0].range.start.line == 3)
        editor.type(uri, 9, 12, "1")  # in zero()
        await editor.execute("fimls.status")
        assert len(shown(editor, uri)) == 1
        editor.type(uri, 2, 4, "x = 1;")  # in mean()
        await editor.eventually(lambda: shown(editor, uri) == [])


class Pushed(dict[str, Any]):
    """Diagnostics by document, and how often they came."""

    n = 0

    def __setitem__(self, uri: str, found: Any) -> None:
        self.n += 1
        super().__setitem__(uri, found)


async def test_findings_wait_for_a_pause_in_typing(edit: Edit) -> None:
    """Editors move them by themselves: one word at the end of a burst of keys is enough."""
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        editor.client.diagnostics = pushed = Pushed(editor.client.diagnostics)
        for _ in range(30):
            editor.type(uri, 0, 0, "\n")
        await editor.eventually(lambda: shown(editor, uri)[0].range.start.line == 32)
        assert pushed.n < 10


async def test_unchanged_functions_are_not_asked_about_again(edit: Edit) -> None:
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        editor.type(uri, 8, 12, "1")
        await review(editor, uri)
        assert "(1 unchanged since the last time)" in editor.messages[-1]
        assert len(shown(editor, uri)) == 1


async def test_what_is_known_is_shown_at_once(edit: Edit) -> None:
    """A file that was closed is open again: nothing is asked, and its findings come as one."""
    told: list[tuple[str, int]] = []

    class Told(dict[str, Any]):
        def __setitem__(self, uri: str, found: Any) -> None:
            told.append((uri, len(found)))
            super().__setitem__(uri, found)

    functions = [MEAN.replace("mean", f"mean_{n}").replace("zero", f"zero_{n}") for n in range(3)]
    async with edit(reviewing(), client=PUSHED) as editor:
        text = "\n\n".join(functions)
        uri = editor.open(text)
        await review(editor, uri)
        document = types.TextDocumentIdentifier(uri)
        editor.client.text_document_did_close(types.DidCloseTextDocumentParams(document))
        await editor.eventually(lambda: shown(editor, uri) == [])
        editor.client.diagnostics = Told()
        editor.open(text)
        await review(editor, uri)
        expected = "fimls: 6 parts reviewed (6 unchanged since the last time); 3 findings"
        assert editor.messages[-1] == expected
        assert told == [(uri, 3)]


async def test_a_function_that_changes_during_its_review(edit: Edit) -> None:
    """What is said about text that is gone is dropped, and told."""
    async with edit(reviewing(delay_ms=50), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await editor.status_is("idle")
        at = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
        await editor.execute("fimls.review", {"what": "function", "uri": uri, "range": at})
        await asyncio.sleep(0.3)
        editor.type(uri, 1, 4, "x = ")
        await editor.eventually(lambda: editor.messages)
        assert "1 changed meanwhile" in editor.messages[-1]
        assert shown(editor, uri) == []


async def test_one_at_a_time_and_cancel(edit: Edit) -> None:
    async with edit(reviewing(delay_ms=200), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await editor.status_is("idle")
        at = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
        await editor.execute("fimls.review", {"what": "file", "uri": uri, "range": at})
        await asyncio.sleep(0.5)
        await review(editor, uri)
        assert "under way" in editor.messages[-1]
        assert await editor.execute("fimls.cancelReview") is True
        await editor.eventually(lambda: editor.messages[-1].startswith("fimls: cancelled"))
        assert await editor.execute("fimls.cancelReview") is False


async def test_clear(edit: Edit) -> None:
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        assert "Clear findings" in await actions(editor, uri, 0)
        await editor.execute("fimls.clearFindings", {"uri": uri})
        await editor.eventually(lambda: shown(editor, uri) == [])
        assert "Clear findings" not in await actions(editor, uri, 0)


async def test_only_the_function_at_the_cursor(edit: Edit) -> None:
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri, "function", 8)
        assert editor.messages[-1] == "fimls: 1 part reviewed; no findings"
        await review(editor, uri, "function", 6)
        assert "no function here" in editor.messages[-1]
        await review(editor, uri, "selection", 0, 8)
        assert editor.messages[-1].startswith("fimls: 2 parts reviewed (1 unchanged")


async def test_a_selection_outside_of_functions(edit: Edit) -> None:
    """What is selected is read, be it a constant of a class."""
    said = {"limit = 0": found("limit = 0", "limit = 10"), "A reviewer says": "Yes"}
    async with edit(scripted(said), client=PUSHED) as editor:
        uri = editor.open("class A:\n    limit = 0\n\n    def f(self):\n        return 1\n\n")
        await review(editor, uri, "selection", 1)
        assert [one.range.start for one in shown(editor, uri)] == [types.Position(1, 4)]
        await review(editor, uri, "selection", 5)
        assert "there is no code in the selection" in editor.messages[-1]


async def test_changes_since_the_last_commit(edit: Edit, tmp_path: Path) -> None:
    """Only functions that differ, be they saved or not, in files that nobody has open too."""

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, "-C", str(tmp_path), *arguments], check=True)

    async with edit(reviewing(), client=PUSHED) as editor:
        path, other, third = files = [
            tmp_path / f"{name}.py" for name in ("mean", "other", "third")
        ]
        for file in files:
            file.write_text(MEAN.replace(LINE, FIXED))
        uri = editor.open(path.read_text(), path.as_uri())
        await review(editor, uri, "changes")
        assert "not in a git repository" in editor.messages[-1]
        git("init", "-q")
        git("add", *(file.name for file in files))
        git("commit", "-q", "-m", "x")
        await review(editor, uri, "changes")
        assert "no function has changed" in editor.messages[-1]
        editor.type(uri, 2, 19, "1, ")  # not saved
        other.write_text(MEAN)
        editor.open(MEAN, third.as_uri())  # not saved either, and not where the person is
        await review(editor, uri, "changes")
        assert editor.messages[-1].startswith("fimls: 3 parts reviewed")
        assert [len(shown(editor, file.as_uri())) for file in files] == [1, 1, 1]
        assert "left out" not in editor.messages[-1]
        editor.type(uri, 0, 0, "LIMIT = 10\n")
        await review(editor, uri, "changes")
        assert "mean.py: 1 changed line outside of functions left out" in editor.messages[-1]


async def test_changes_without_git(edit: Edit, tmp_path: Path) -> None:
    """The program is missing: told, with what works without."""
    python_alone = {"PATH": str(Path(sys.executable).parent)}
    async with edit(reviewing(), client=PUSHED, environ=python_alone) as editor:
        path = tmp_path / "mean.py"
        path.write_text(MEAN)
        uri = editor.open(MEAN, path.as_uri())
        await review(editor, uri, "changes")
        assert "git" in editor.messages[-1]
        assert "install" in editor.messages[-1]
        await review(editor, uri)
        assert len(shown(editor, uri)) == 1


async def test_an_answer_cut_by_its_budget(edit: Edit) -> None:
    """What was whole in it is shown, and that it was cut is told."""
    settings = reviewing(found()[:-1] + ", " + found("while True:", message="x" * 2000)[1:])
    async with edit({**settings, "review": {"n_predict": 200}}, client=PUSHED) as editor:
        uri = editor.open(MEAN)
        await review(editor, uri)
        assert "the answer about mean was cut, by review.n_predict" in editor.messages[-1]
        assert [one.range.start.line for one in shown(editor, uri)] == [2]


async def test_a_function_of_3000_lines(edit: Edit) -> None:
    """It is read in parts, which is told, and a finding far down stands at its line."""
    body = "".join(f"    value_{n} = compute({n})\n" for n in range(3000))
    text = f"def long(values):\n{body}    {LINE}\n        print(i)\n"
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(text)
        await review(editor, uri, "function")
        assert re.search(r"long is long and was reviewed in \d+ parts", editor.messages[-1])
        assert [one.range.start.line for one in shown(editor, uri)] == [3001]


async def test_a_broken_file(edit: Edit) -> None:
    """Reviewed as far as it can be read, and said to be partial."""
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN + "\n\ndef broken(:\n    return (\n")
        await review(editor, uri)
        assert "has syntax errors, so this is partial" in editor.messages[-1]
        assert [one.range.start.line for one in shown(editor, uri)] == [2]


async def test_a_suppressing_comment(edit: Edit) -> None:
    async with edit(reviewing(), client=PUSHED) as editor:
        uri = editor.open(MEAN.replace(f"{LINE}\n", f"{LINE}  # fimls: ignore[bug]\n"))
        await review(editor, uri)
        assert shown(editor, uri) == []
        assert "no findings; 1 finding dropped: suppressed by a comment" in editor.messages[-1]
        [dropped] = await editor.execute("fimls.dropped", {"uri": uri})
        assert (dropped["reason"], dropped["quote"]) == ("suppressed by a comment", LINE)


async def test_findings_come_back_when_their_silence_goes(edit: Edit) -> None:
    """They have moved with their code meanwhile, and so do their quick fixes."""
    async with edit(reviewing(), client=PUSHED) as editor:
        silence = "# fimls: ignore-file\n"
        uri = editor.open(f"{silence}{MEAN}")
        await review(editor, uri)
        assert shown(editor, uri) == []
        start, end = types.Position(0, 0), types.Position(1, 0)
        editor.change(uri, types.TextDocumentContentChangePartial(types.Range(start, end), ""))
        fix = (await actions(editor, uri, 2))[f"Replace by: {FIXED}"]
        [change] = (fix.edit.changes or {uri: fix.edit.document_changes[0].edits})[uri]
        assert change.range == types.Range(types.Position(2, 4), types.Position(2, 35))
        await editor.eventually(lambda: [one.range for one in shown(editor, uri)] == [change.range])


@pytest.mark.parametrize("client", ["vscode-1.139.1", "helix-25.07.1", "vim-ale-3.3.0"])
async def test_fix_another_servers_diagnostic(edit: Edit, client: str) -> None:
    """Lazily where the editor resolves edits, else by a command that applies one."""
    settings = scripted({"Complaint: undefined name": "return number"})
    async with edit(settings, client=client) as editor:
        applied: list[types.ApplyWorkspaceEditParams] = []

        def apply(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            applied.append(params)
            return types.ApplyWorkspaceEditResult(applied=True)

        editor.client.feature(types.WORKSPACE_APPLY_EDIT)(apply)
        uri = editor.open("def f(number):\n    return numbr\n")
        at = types.Range(types.Position(1, 11), types.Position(1, 16))
        wrong = types.Diagnostic(at, "undefined name 'numbr'", source="pyflakes")
        action = (await actions(editor, uri, 1, wrong))["Fix with fimls: undefined name 'numbr'"]
        assert action.edit is None
        if action.command is None:
            resolved = await editor.client.code_action_resolve_async(action)
            edit_ = resolved.edit
        else:
            await editor.execute(action.command.command, *action.command.arguments)
            await editor.eventually(lambda: applied)
            edit_ = applied[0].edit
        [change] = (edit_.changes or {uri: edit_.document_changes[0].edits})[uri]
        assert change.new_text == "return number"


async def test_documentation(edit: Edit) -> None:
    settings = scripted({"documentation comment": "Add up the numbers."})
    async with edit(settings, client="vscode-1.139.1") as editor:
        uri = editor.open("def f(numbers):\n    return sum(numbers)\n")
        action = (await actions(editor, uri, 1))["Suggest documentation"]
        resolved = await editor.client.code_action_resolve_async(action)
        [change] = resolved.edit.document_changes[0].edits
        assert change.new_text == '"""Add up the numbers."""\n    '
        assert change.range.start == types.Position(1, 4)


async def test_explanation(edit: Edit) -> None:
    async with edit(scripted({"Explain what": "It adds."}), client="vim-ale-3.3.0") as editor:
        uri = editor.open("def f(numbers):\n    return sum(numbers)\n")
        action = (await actions(editor, uri, 1))["Explain this code"]
        await editor.execute(action.command.command, *action.command.arguments)
        await editor.eventually(lambda: "fimls: It adds." in editor.messages)


async def test_automatic_requests_offer_fixes_only(edit: Edit) -> None:
    """VS Code asks at every cursor movement: no light bulb without a reason."""
    async with edit(reviewing(), client="vscode-1.139.1") as editor:
        uri = editor.open(MEAN)
        automatic = types.CodeActionTriggerKind.Automatic
        assert await actions(editor, uri, 0, trigger_kind=automatic) == {}
        wanted = await actions(editor, uri, 0, only=["quickfix"])
        assert wanted == {}


@pytest.mark.parametrize(
    "command", ["fimls.review", "fimls.explainCode", "fimls.document", "fimls.fix"]
)
async def test_no_model_sees_a_secret(edit: Edit, command: str) -> None:
    """Nothing is offered, and what is asked for all the same is refused: palettes ask directly."""
    async with edit(scripted("Seen."), client="vscode-1.139.1") as editor:
        uri = editor.open(MEAN, "file:///project/.env")
        at = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 0}}
        argument = {"uri": uri, "range": at, "message": "wrong"}
        assert await actions(editor, uri, 1) == {}
        await editor.execute(command, argument)
        await editor.eventually(lambda: editor.messages)
        assert "left alone: .env" in editor.messages[-1]
        data = {"command": command, "argument": argument}
        action = types.CodeAction("resolved", kind="refactor.fimls", data=data)
        resolved = await editor.client.code_action_resolve_async(action)
        assert resolved.edit is None
