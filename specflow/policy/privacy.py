"""Issue-time privacy: an early read sends its arguments somewhere, so what it may contact is declared.

A value that is a URL, host, e-mail address, path or free text keeps a call from going early unless the
tool's `destinations` say what may be contacted. Airport codes, dates, ids and names are none of these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, NamedTuple

from specflow.policy.compiled import Destinations

FEW_WORDS = 4
LONG_TEXT = 64
MAX_LIST_WORDS = 10
MAX_VALUES = 512


class Kind(StrEnum):
    """What a value is that a call should not send somewhere on a mere guess."""

    URL = "URL"
    HOST = "host"
    EMAIL = "e-mail address"
    PATH = "path"
    TEXT = "free text"


class Trace(NamedTuple):
    """A value of that kind stands at `where`; `target` is the host, address or path that it names."""

    where: str
    kind: Kind
    target: str


_SCHEME = re.compile(
    r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,30}:(?:[/\\]{1,3}|(?=[^\s/\\]*@))([^\s/\\?#]*)"
    r"|\b(?:mailto|data|javascript|file|blob):"
)
_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@([^\s@<>\"'(),;:]+)")
_HOST = re.compile(r"(?:[\w-]{1,63}\.)+(?:[^\W\d_]{2,63}|xn--[\w-]{1,59})")
_BARE = re.compile(r"(?:\.{1,2}|~[\w.-]*)?[/\\].*|[a-z]:[/\\].*|~", re.DOTALL)
_FILE = re.compile(r"(?:[^/\\]+[/\\])+[^/\\]*")
_NOT_A_PATH = re.compile(r"\d{1,4}/\d{1,2}/\d{1,4}|[^/\\\s.]{1,5}/[^/\\\s.]{1,5}|\d+/\d+(?:/\d+)*")
# File endings that are nobody's top-level domain.
_FILE_NAME = re.compile(
    r"\.[\w-]+|[\w.-]*\.(?:txt|pdf|csv|json|ya?ml|png|jpe?g|gif|docx?|xlsx?|html?|xml|log|gz|env|ini|toml|sql|conf)"
)
_ESCAPE = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
# Codes, dates, ids and names of up to four words; too short to be anything else.
_HARMLESS = re.compile(r"[A-Za-z0-9_#+-]+(?: [A-Za-z0-9_#+-]+){0,3}")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f]|//[^/?#\s]*%")
_SPLIT = re.compile(r"[\s,;<>\"]+")
_FINER = re.compile(r"[|'`(){}\[\]=&]+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_JOINED = re.compile(r"[^\W\d_]{3,}")
# Scripts that put no spaces between words.
_DENSE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
)


def traces(args: Mapping[str, Any]) -> list[Trace]:
    """Everything in the arguments that a call should not send somewhere on a mere guess."""
    found: list[Trace] = []
    for count, (where, text) in enumerate(_texts(args)):
        if count >= MAX_VALUES:
            found.append(Trace("args", Kind.TEXT, ""))
            break
        found.extend(_classify(where, text))
    return found


def _texts(args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text with its place, without recursion; names of objects inside are data too."""
    stack: list[tuple[str, Any]] = [
        (f"args.{name}" if len(name) <= 64 else "args", args[name]) for name in args
    ]
    yield from (("args", name) for name in args if len(name) > LONG_TEXT or not name.isidentifier())
    while stack:
        where, value = stack.pop()
        if isinstance(value, str):
            yield where, value
        elif isinstance(value, Mapping):
            for name, item in value.items():
                yield where, name
                stack.append((where, item))
        elif isinstance(value, list | tuple):
            words = [item for item in value if isinstance(item, str)]
            if sum(len(_WORD.findall(item)) for item in words) > MAX_LIST_WORDS:
                yield where, " ".join(words)
            stack.extend((where, item) for item in value)


def _classify(where: str, raw: str) -> Iterator[Trace]:
    if len(raw) <= 24 and _HARMLESS.fullmatch(raw) and raw.lower() != "localhost":
        return
    text = _plain(raw)
    # Clients disagree about what such a text contacts, so no declaration covers it.
    unclear = _HIDDEN.search(raw) is not None
    named = False
    for piece in _SPLIT.split(text):
        for kind, target in _piece(piece):
            named = True
            yield Trace(where, kind, "" if unclear else target)
    if not named and is_free_text(text):
        yield Trace(where, Kind.TEXT, "")


def _plain(text: str) -> str:
    """The text without the disguises that a server would take off again."""
    for _ in range(2):
        if "%" in text:
            text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\u3002", ".").replace("\uff61", ".")
    return text.lower()


def _piece(piece: str) -> Iterator[tuple[Kind, str]]:
    url = _SCHEME.search(piece)
    if url is not None:
        yield Kind.URL, "" if "\\" in piece else _bare_host(url[1] or "")
        return
    if piece.startswith(("//", "\\\\")):
        yield Kind.URL, "" if "\\" in piece else _bare_host(_head(piece[2:]))
        return
    parts = [part for part in (_FINER.split(piece) if _FINER.search(piece) else (piece,)) if part]
    for part in parts if not is_host(piece) else [piece]:
        if (named := _named(part)) is not None:
            yield named


def _named(part: str) -> tuple[Kind, str] | None:
    if "@" in part and (address := _EMAIL.search(part)) is not None:
        return Kind.EMAIL, address[0].rstrip(".!?:")
    bare = part.rstrip(".!?:")
    if part == ".." or _is_path(bare):
        head = _head(bare)
        return (Kind.HOST, _bare_host(head)) if is_host(head) else (Kind.PATH, bare or part)
    if _FILE_NAME.fullmatch(bare):
        return Kind.PATH, bare
    head = _head(bare)
    return (Kind.HOST, _bare_host(head)) if is_host(head) else None


def _head(text: str) -> str:
    """What stands before the first slash, question mark or hash."""
    return re.split(r"[/\\?#]", text, maxsplit=1)[0]


def _is_path(piece: str) -> bool:
    if _BARE.fullmatch(piece) or ".." in re.split(r"[/\\]", piece):
        return True
    return _FILE.fullmatch(piece) is not None and _NOT_A_PATH.fullmatch(piece) is None


def is_host(text: str) -> bool:
    """Whether the text names a machine: a dotted name, localhost, or an address, with or without port."""
    host = _bare_host(text)
    if host == "localhost" or _HOST.fullmatch(host):
        return True
    if host.count(".") == 3 or host.count(":") >= 2:
        try:
            ip_address(host)
        except ValueError:
            return False
        return True
    return False


def _bare_host(text: str) -> str:
    """Without user, port, brackets and the final dot."""
    host = text.rpartition("@")[2].strip(".")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return host.strip(".")


def is_free_text(text: str) -> bool:
    """Whether the text is more than a few words, however they are joined."""
    words = min(len(text.split()), len(_WORD.findall(text)))
    if len(text) > LONG_TEXT or words > FEW_WORDS:
        return True
    return len(_JOINED.findall(text)) > FEW_WORDS + 2 or len(_DENSE.findall(text)) > 3 * FEW_WORDS


def withheld(found: Sequence[Trace], declared: Sequence[Destinations]) -> list[Trace]:
    """The traces that not every declaration covers; all of them when nothing is declared."""
    if not declared:
        return list(found)
    return [trace for trace in found if not all(covers(item, trace) for item in declared)]


def covers(declared: Destinations, trace: Trace) -> bool:
    """Whether the declaration says that what the trace names may be contacted early.

    A URL or host is contacted, so it must be named. An address, a path or text goes to the declared
    host, unless the declaration is particular about addresses or paths.
    """
    match trace.kind:
        case Kind.URL | Kind.HOST:
            return bool(trace.target) and _any(declared.host, trace.target)
        case Kind.EMAIL:
            return bool(trace.target) and (
                _any(declared.email, trace.target) if declared.email else bool(declared.host)
            )
        case Kind.PATH:
            return bool(trace.target) and (
                _inside(declared.path, trace.target) if declared.path else bool(declared.host)
            )
        case _:
            return True


def is_bounded(declared: Destinations) -> bool:
    """Whether the declaration names its destinations; `*` is no name."""
    return "*" not in declared.host + declared.email + declared.path


def _any(patterns: Sequence[str], target: str) -> bool:
    return any(_like(pattern, target) for pattern in patterns)


def _like(pattern: str, target: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return target.endswith(pattern[1:]) and len(target) > len(pattern) - 1
    return target == pattern


def _inside(prefixes: Sequence[str], target: str) -> bool:
    if "*" in prefixes:
        return True
    if "\\" in target or ".." in target.split("/") or "\0" in target:
        return False
    flat = re.sub(r"/(?:\.?/)+", "/", target)
    return any(
        flat == prefix.rstrip("/") or flat.startswith(prefix.rstrip("/") + "/")
        for prefix in _folded(prefixes)
    )


def _folded(prefixes: Sequence[str]) -> list[str]:
    return [prefix.rstrip("*").lower() for prefix in prefixes]
