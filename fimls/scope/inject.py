"""Code inside other text: fenced code in Markdown, scripts and styles in HTML.

Inside, the inner language's rules hold, and the end of the inner text is the
end of the scope.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*\{?\.?([\w+#-]*)[^\n`]*$", re.MULTILINE)
_HALF_END = re.compile(r"</\w*\s*$")
_TAG = re.compile(r"<(script|style)\b([^>]*)>|</(script|style)\s*>", re.IGNORECASE)
_SHORT_NAMES = {
    "py": "python", "python3": "python", "pycon": "python", "js": "javascript", "ts": "typescript",
    "sh": "bash", "shell": "bash", "console": "bash", "rs": "rust", "rb": "ruby", "yml": "yaml",
    "golang": "go", "c++": "cpp", "cs": "csharp", "c#": "csharp", "kt": "kotlin", "md": "markdown",
}  # fmt: skip


def narrow(before: str, after: str, language: str) -> tuple[str, str, str, str]:
    """The inner text around the cursor, its language, and the mark that ends it.

    Where nothing is embedded: the text as it came and an empty mark. Linear.
    """
    if language == "markdown":
        return _in_fence(before, after)
    if language == "html":
        return _in_tag(before, after)
    return before, after, language, ""


def _in_fence(before: str, after: str) -> tuple[str, str, str, str]:
    opened: re.Match[str] | None = None
    for found in _FENCE.finditer(before):
        if opened is None:
            opened = found
        elif not found.group(2) and found.group(1).startswith(opened.group(1)):
            opened = None
    # A fence on the cursor's own line is still being written.
    if opened is None or "\n" not in before[opened.end() :]:
        return before, after, "markdown", ""
    mark = opened.group(1)
    closed = re.search(rf"^[ \t]*{mark}", after, re.MULTILINE)
    inner = after[: closed.start()] if closed else after
    name = opened.group(2).lower()
    start = before.index("\n", opened.end()) + 1
    return before[start:], inner, _SHORT_NAMES.get(name, name), mark


def _in_tag(before: str, after: str) -> tuple[str, str, str, str]:
    opened: re.Match[str] | None = None
    for found in _TAG.finditer(before):
        opened = found if found.group(1) else None
    if opened is None or _HALF_END.search(before):
        return before, after, "html", ""
    name = opened.group(1).lower()
    mark = f"</{name}"
    closed = re.search(re.escape(mark), after, re.IGNORECASE)
    inner = after[: closed.start()].rstrip(" \t") if closed else after
    return before[opened.end() :], inner, _inner_language(name, opened.group(2)), mark


def _inner_language(tag: str, attributes: str) -> str:
    if tag == "style":
        return "css"
    if "json" in attributes:
        return "json"
    return "typescript" if re.search(r"lang\s*=\s*[\"']?ts", attributes) else "javascript"
