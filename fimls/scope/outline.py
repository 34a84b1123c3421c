"""What a document is made of: its functions, classes and loose statements, as plain values.

Reviews go by it. Broken code is fine: tree-sitter finds the definitions around a mistake,
and ``Outline.is_sound`` tells that there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from fimls.scope.grammars import load
from fimls.scope.languages import language_of

# Nobody waits for a keystroke here: a megabyte parses in 300 ms.
T_MAX_PARSE_MS = 5_000

_FUNCTIONS = frozenset(
    {
        "function_definition", "function_declaration", "function_item", "method_definition",
        "method_declaration", "constructor_declaration", "destructor_declaration", "method",
        "singleton_method", "generator_function_declaration", "local_function_statement",
        "init_declaration", "deinit_declaration", "secondary_constructor", "operator_declaration",
        "compact_constructor_declaration", "property_accessor", "create_function",
        "macro_definition",
    }
)  # fmt: skip
# Functions that are values: their scope is the statement that names them.
_EXPRESSIONS = frozenset(
    {"arrow_function", "function_expression", "generator_function", "func_literal"}
)
_CLASSES = frozenset(
    {
        "class_definition", "class_declaration", "class", "class_specifier", "struct_specifier",
        "struct_item", "enum_item", "trait_item", "impl_item", "mod_item", "module",
        "interface_declaration", "enum_declaration", "struct_declaration", "record_declaration",
        "object_declaration",
        "object_definition", "trait_definition", "trait_declaration", "protocol_declaration",
        "namespace_definition", "namespace_declaration", "abstract_class_declaration",
        "internal_module", "type_declaration", "extension_declaration",
    }
)  # fmt: skip
# Wholes around a definition that belong to it: decorators, exports, template parameters.
_WRAPPERS = frozenset(
    {"decorated_definition", "export_statement", "template_declaration", "ambient_declaration"}
)
# What stands at the top of a file and is no code to review.
_NO_CODE = re.compile(
    r"comment|import|include|package|use_|using|preproc|directive|attribute_item|module_docs"
    r"|php_tag|shebang|hash_bang|type_alias|declare"
)
# Data, markup and prose: nothing in them behaves.
_INERT = frozenset({"json", "yaml", "toml", "css", "html", "markdown", "text", ""})
# Shorter runs of statements between definitions are constants and calls of main().
_MIN_STATEMENT_LINES = 4
# Records and enumerations are their members.
_MOST_SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of a document that is reviewed by itself, ``text[start:end]`` in characters.

    ``kind`` is ``function``, ``class``, ``statements`` or ``file``; ``body`` is where the
    header ends; ``within`` are the headers around it, outermost first.
    """

    kind: str
    name: str
    start: int
    end: int
    body: int
    within: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """The scopes of a document in order; ``is_sound`` when it parses without a mistake."""

    scopes: tuple[Scope, ...]
    is_sound: bool = True

    def at(self, start: int, end: int) -> tuple[Scope, ...]:
        """The scopes that share text with ``start:end``; an empty range is a cursor."""
        return tuple(s for s in self.scopes if s.start <= end and start <= s.end)


def outline(text: str, language: str) -> Outline:
    """Split ``text``; where nothing is known of its language, it is one scope."""
    grammar = load(language)
    tree = grammar.parse(text, T_MAX_PARSE_MS) if grammar is not None else None
    if tree is None or not text.strip():
        return Outline((_whole(text),) if text.strip() else ())
    scopes = sorted(_scopes(tree.root_node, text), key=lambda scope: scope.start)
    return Outline(tuple(scopes) or (_whole(text),), is_sound=not tree.root_node.has_error)


def signatures(text: str, language: str) -> str:
    """The headers of the functions and classes in ``text``, one a line, as deep as they are.

    A class without functions is short enough to be shown as it is, or is its header. Nothing
    for prose, data, and languages that are not known.
    """
    if language in _INERT or load(language) is None:
        return ""
    lines: list[str] = []
    around: tuple[str, ...] = ()
    for scope in outline(text, language).scopes:
        if scope.kind not in {"function", "class"}:
            continue
        for depth, header in enumerate(scope.within):
            if scope.within[: depth + 1] != around[: depth + 1]:
                lines.append("    " * depth + header)
        around = scope.within
        whole = text[scope.start : scope.end]
        if scope.kind == "class" and whole.count("\n") < _MOST_SHOWN_LINES:
            lines += whole.splitlines()
            continue
        header = " ".join(text[scope.start : scope.body].split()).replace("( ", "(")
        lines.append("    " * len(scope.within) + header[:200].rstrip("{ "))
    return "\n".join(lines)


def n_faults(text: str, language: str) -> int | None:
    """How many mistakes the parser sees in ``text``; ``None`` when it cannot tell."""
    grammar = load(language)
    return None if grammar is None else grammar.n_errors(text, T_MAX_PARSE_MS)


def is_code(path: str) -> bool:
    """Whether a file, by its name, holds code of a language that is known."""
    return load(name) is not None if (name := language_of(path)) not in _INERT else False


def _whole(text: str) -> Scope:
    start = len(text) - len(text.lstrip())
    return Scope("file", "", start, len(text.rstrip()), start)


def _scopes(root: Node, text: str) -> Iterator[Scope]:
    loose: list[Node] = []
    for child in root.children:
        found = _definitions(child, text)
        if found or not child.is_named or _is_no_code(child):
            yield from _statements(loose, text)
            loose = []
            yield from found
        else:
            loose.append(child)
    yield from _statements(loose, text)


def _definitions(node: Node, text: str) -> list[Scope]:
    """The outermost functions in ``node``, and the classes that have none.

    Without recursion: generated code nests a thousand deep.
    """
    found: list[Scope] = []
    # A number: what had been found when a class was met that is now behind us.
    stack: list[tuple[Node, tuple[str, ...], int | None]] = [(node, (), None)]
    while stack:
        node, within, n_before = stack.pop()
        if n_before is not None:
            # Without members, only a class can be wrong: the others are declarations.
            if len(found) == n_before and node.type.startswith("class"):
                found.append(_scope("class", node, _wrapped(node), text, within))
        elif node.type in _FUNCTIONS and _has_body(node):
            found.append(_scope("function", node, _wrapped(node), text, within))
        elif node.type in _EXPRESSIONS and node.end_point.row > node.start_point.row:
            found.append(_scope("function", node, _statement(node), text, within))
        else:
            inner = within
            if node.type in _CLASSES and node.is_named and _has_body(node):
                stack.append((node, within, len(found)))
                inner = (*within, _header(node, text))
            stack += ((child, inner, None) for child in reversed(node.children))
    return found


def _has_body(node: Node) -> bool:
    return _body(node) is not None


def _body(node: Node) -> Node | None:
    body = node.child_by_field_name("body")
    if body is None:  # Kotlin and some others do not name it
        body = next((c for c in node.children if c.type.endswith(("body", "block"))), None)
    if body is None and node.type == "type_declaration":  # Go: type T struct {...}
        return next((c for c in node.children if c.type == "type_spec"), None)
    if body is None and (signature := _signature(node)) is not None:
        return signature.next_named_sibling
    return body


def _signature(node: Node) -> Node | None:
    """Julia: a function is its signature and then its statements."""
    return next((c for c in node.named_children if c.type == "signature"), None)


def _wrapped(node: Node) -> Node:
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    return node


def _statement(node: Node) -> Node:
    """The statement that an expression is part of."""
    while node.parent is not None and node.parent.parent is not None:
        if node.parent.type.endswith(("block", "body")):
            break
        node = node.parent
    return node


def _scope(kind: str, node: Node, whole: Node, text: str, within: tuple[str, ...]) -> Scope:
    body = _body(node)
    start = whole.start_byte
    # From the beginning of its line on, so that indentation shows how deep it is.
    line = text.rfind("\n", 0, start) + 1
    start = line if not text[line:start].strip() else start
    end = whole.end_byte
    while end > start and text[end - 1].isspace():  # some blocks include the line break
        end -= 1
    at = whole.end_byte if body is None else body.start_byte
    return Scope(kind, _name(node, text), start, end, at, within)


def _statements(nodes: list[Node], text: str) -> Iterator[Scope]:
    """Loose code between definitions, where there is enough of it."""
    if not nodes:
        return
    start, end = nodes[0].start_byte, nodes[-1].end_byte
    while end > start and text[end - 1].isspace():
        end -= 1
    n_lines = sum(1 for line in text[start:end].splitlines() if line.strip())
    if n_lines >= _MIN_STATEMENT_LINES:
        yield Scope("statements", "", start, end, start)


def _is_no_code(node: Node) -> bool:
    if _NO_CODE.search(node.type):
        return True
    is_text = node.type == "expression_statement" and node.named_child_count == 1
    return is_text and node.named_children[0].type == "string"


def _header(node: Node, text: str) -> str:
    """The first lines of a definition, up to its body, on one line."""
    body = _body(node)
    end = node.end_byte if body is None else body.start_byte
    return " ".join(text[node.start_byte : end].split())[:200].rstrip(" {")


def _name(node: Node, text: str) -> str:
    for field in ("name", "declarator"):
        found = node.child_by_field_name(field)
        while found is not None and found.child_by_field_name("declarator") is not None:
            found = found.child_by_field_name("declarator")  # C: pointers and parameters
        if found is not None:
            return text[found.start_byte : found.end_byte].split("(", maxsplit=1)[0].strip()
    if (signature := _signature(node)) is not None:
        return text[signature.start_byte : signature.end_byte].split("(", maxsplit=1)[0].strip()
    parent = node.parent
    while parent is not None and parent.type not in {"program", "statement_block"}:
        for field in ("name", "left", "key"):
            found = parent.child_by_field_name(field)
            if found is not None and found != node:
                return text[found.start_byte : found.end_byte].strip()
        parent = parent.parent
    return ""
