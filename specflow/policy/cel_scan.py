"""Reads CEL text as tokens, to know before compiling what the library will not tell.

The library runs comprehension macros (`all`, `map`, ...), whose nested loops can hold the interpreter for
seconds, and neither lists them nor a loop variable that hides `args`. So every name before a parenthesis
must be a known, cheap function, whatever stands between the two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from specflow.policy.finding import near

MAX_LENGTH = 2_000
MAX_DEPTH = 16
MAX_PATTERN = 256
MAX_REPEAT = 64

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
FUNCTIONS = frozenset(
    {"has", "size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string"}
    | {"bytes", "type", "dyn", "timestamp", "duration", "getFullYear", "getMonth", "getDate", "getDayOfMonth"}
    | {"getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
WORDS = frozenset(
    {"true", "false", "null", "in", "int", "uint", "double", "string", "bytes", "bool", "list", "null_type"}
)

# The lexer of CEL's grammar. A triple-quoted string is tried before two quotes that hold nothing.
_TOKEN = re.compile(
    r"""
      (?P<blank>(?:[\t\n\f\r ]+|//[^\n]*)+)
    | (?P<string>[bB]?(?:
          [rR](?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n\r]*"|'[^'\n\r]*')
        | \"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}
        | "(?:\\[^\n\r]|[^\\"\n\r])*"|'(?:\\[^\n\r]|[^\\'\n\r])*'))
    | (?P<number>0x[0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>[-+*/%!<>=&|?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_REPEAT = re.compile(r"\{([^{}]*)")
_NUMBER = re.compile(r"\d+")


class CelSyntaxError(ValueError):
    """Text that may not be used as an expression; says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the text: `kind` is string, number, name or mark."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The top-level names an expression reads, and the member paths below them.

    A path stops where it is no longer plain (`args.list[i]` is `("args", "list")`). `patterns` are the
    literals given to `matches`, as they are written.
    """

    roots: frozenset[str]
    paths: frozenset[tuple[str, ...]]
    patterns: tuple[str, ...] = ()


def scan(source: str) -> Scan:
    """What `source` reads.

    Raises:
        CelSyntaxError: for anything that is not allowed in a policy's expression.
    """
    if len(source) > MAX_LENGTH:
        raise CelSyntaxError(f"longer than {MAX_LENGTH:,} characters")
    tokens = tokenise(source)
    if not tokens:
        raise CelSyntaxError("an expression is missing")
    _check_depth(tokens)
    roots: set[str] = set()
    paths: set[tuple[str, ...]] = set()
    for index, token in enumerate(tokens):
        after = tokens[index + 1].text if index + 1 < len(tokens) else ""
        before = tokens[index - 1] if index else Token("mark", "(")
        if token.text == "." and before.kind == "mark" and before.text not in {")", "]", "}"}:
            raise CelSyntaxError("a name may not start with a dot")
        if token.kind != "name":
            continue
        if after == "{":
            raise CelSyntaxError(f"{token.text}{{...}}: messages are not allowed")
        if after == "(":
            _check_function(token.text, tokens, index)
        elif before.text != "." and token.text not in WORDS:
            roots.add(token.text)
            paths.add(_path(tokens, index))
    patterns = tuple(
        tokens[index + 2].text
        for index, token in enumerate(tokens)
        if token.text == "matches" and index + 2 < len(tokens) and tokens[index + 1].text == "("
    )
    return Scan(frozenset(roots), frozenset(paths), patterns)


def tokenise(source: str) -> list[Token]:
    """The words of `source`, without blanks and comments.

    Raises:
        CelSyntaxError: for a character that begins no word.
    """
    found: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise CelSyntaxError(f"unexpected {source[position]!r} at character {position + 1}")
        position = match.end()
        if match.lastgroup and match.lastgroup != "blank":
            found.append(Token(match.lastgroup, match.group()))
    return found


def _check_depth(tokens: Sequence[Token]) -> None:
    depth = 0
    for token in tokens:
        if token.kind == "mark" and token.text in "([{":
            depth += 1
        elif token.kind == "mark" and token.text in ")]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise CelSyntaxError(f"brackets nested more than {MAX_DEPTH} deep")


def _check_function(name: str, tokens: Sequence[Token], index: int) -> None:
    if name in MACROS:
        raise CelSyntaxError(f"{name}(...) loops over data, which a policy may not: write the cases out")
    if name == "in":
        return
    if name not in FUNCTIONS:
        raise CelSyntaxError(f"unknown function {name!r}{near(name, FUNCTIONS)}")
    if name == "matches":
        pattern, end = tokens[index + 2 : index + 4] if index + 3 < len(tokens) else (None, None)
        method = index > 0 and tokens[index - 1].text == "."
        if not method or pattern is None or pattern.kind != "string" or end is None or end.text != ")":
            raise CelSyntaxError('matches needs its pattern written out, as in args.code.matches("^[A-Z]+$")')
        _check_pattern(pattern.text)


def _check_pattern(text: str) -> None:
    """The engine is linear in the text, but each counted repetition multiplies the factor."""
    if len(text) > MAX_PATTERN:
        raise CelSyntaxError(f"a pattern longer than {MAX_PATTERN} characters")
    product = 1
    for inside in _REPEAT.findall(text):
        product *= max((int(number) for number in _NUMBER.findall(inside)), default=1) or 1
    if product > MAX_REPEAT or "\\x" in text or "\\u" in text or "\\U" in text or re.search(r"\\[0-9]", text):
        raise CelSyntaxError(
            f"the pattern's counted repetitions multiply to more than {MAX_REPEAT}, or it hides characters "
            "behind codes: write it plainly"
        )


def _path(tokens: Sequence[Token], index: int) -> tuple[str, ...]:
    parts = [tokens[index].text]
    index += 1
    while index + 1 < len(tokens):
        mark, name = tokens[index], tokens[index + 1]
        call = index + 2 < len(tokens) and tokens[index + 2].text == "("
        if mark.text == "." and name.kind == "name" and not call:
            parts.append(name.text)
            index += 2
        elif mark.text == "[" and name.kind == "string" and index + 2 < len(tokens):
            plain = name.text[1:-1]
            if tokens[index + 2].text != "]" or name.text[0] not in "\"'" or "\\" in plain or not plain:
                break
            parts.append(plain)
            index += 3
        else:
            break
    return tuple(parts)
