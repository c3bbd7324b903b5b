"""Issue-time privacy: an early read sends its arguments somewhere, so what it may contact is declared.

A value that is a URL, host, e-mail address, path or free text keeps a call from going early unless the
tool's `destinations` say what may be contacted. Airport codes, dates, ids and names are none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, NamedTuple

from specflow.policy.compiled import Destinations
from specflow.policy.disguise import SHORTEST, decoded, joined, parsed, plain

FEW_WORDS = 4
LONG_TEXT = 64
MAX_LIST_WORDS = 10
MAX_VALUES = 512
MAX_CODED = 3
"""Encodings within each other that are looked into."""


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
    r"(?<![a-z0-9+.-])(?:[a-z][a-z0-9+.-]{1,30}:(?:[/\\]{1,3}|(?=[^\s/\\]*@))|(?:https?|wss?|ftp):)([^\s/\\?#]*)"
    r"|\b(?:mailto|data|javascript|file|blob):"
)
_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@([^\s@<>\"'(),;:]+)")
_HOST = re.compile(r"(?:[\w-]{1,63}\.)+(?:[^\W\d_]{2,63}|xn--[\w-]{1,59})")
_BARE = re.compile(r"(?:\.{1,2}|~[\w.-]*)?[/\\].*|[a-z]:[/\\].*|~", re.DOTALL)
_FILE = re.compile(r"(?:[^/\\]+[/\\]+)+[^/\\]*")
_INNER = re.compile(r"[\\]+|//+")
_NOT_A_PATH = re.compile(r"\d{1,4}/\d{1,2}/\d{1,4}|[^/\\\s.]{1,5}/[^/\\\s.]{1,5}|\d+/\d+(?:/\d+)*")
# File endings that are nobody's top-level domain.
_FILE_NAME = re.compile(
    r"\.[\w-]+|[\w.-]*\.(?:txt|pdf|csv|json|ya?ml|png|jpe?g|gif|docx?|xlsx?|html?|xml|log|gz|env|ini|toml|sql|conf)"
)
_LAST_WORD = re.compile(r"(?:[A-Z]?[a-z]+?|[A-Z]+)(?=s?$)")
_MEANT = {
    **dict.fromkeys(("url", "uri", "href", "host", "hostname", "endpoint", "webhook"), Kind.HOST),
    **dict.fromkeys(("path", "filepath", "filename"), Kind.PATH),
}
_LABEL = re.compile(r"[\w-]{1,63}")
# Codes, dates, ids and names of up to four words; too short to be anything else.
_HARMLESS = re.compile(r"[A-Za-z0-9_#+-]+(?: [A-Za-z0-9_#+-]+){0,3}")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f]|//[^/?#\s]*%")
_SPLIT = re.compile(r"[\s,;<>\"]+")
_FINER = re.compile(r"[|'`(){}\[\]=&%]+")
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
        found.extend([*_classify(where, text)] or _meant(where, text))
    return found


def _meant(where: str, text: str) -> Iterator[Trace]:
    """What the parameter's own name says that its value is: `host: intranet` names a machine."""
    last = _LAST_WORD.search(where)
    kind = _MEANT.get(last[0].lower()) if last is not None and text else None
    if kind is not None:
        bare = text.lower()
        yield Trace(where, kind, bare if _LABEL.fullmatch(bare) else "")


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


def _classify(where: str, raw: str, depth: int = 0) -> Iterator[Trace]:
    if len(raw) <= 24 and _HARMLESS.fullmatch(raw) and raw.lower() != "localhost":
        if len(raw) >= SHORTEST:
            yield from _inside(where, raw, depth)
        return
    readings = [plain(text) for text in _joinings(raw)]
    # Clients disagree about what such a text contacts, so no declaration covers it.
    unclear = depth > 0 or _HIDDEN.search(raw) is not None or any(reading.unclear for reading in readings)
    texts = [text for reading in readings for text in _joinings(reading.text)]
    found = [named for text in texts for named in _pieces(text.lower())]
    if readings[0].endless:
        found.append((Kind.URL, ""))
    for kind, target in dict.fromkeys(found):
        yield Trace(where, kind, "" if unclear else target)
    if not found and is_free_text(readings[0].text):
        yield Trace(where, Kind.TEXT, "")
    for text in dict.fromkeys([raw, *texts]):
        yield from _inside(where, text, depth)


def _joinings(text: str) -> tuple[str, ...]:
    """The text as it is, and as it is read by those who drop control characters."""
    bare = joined(text)
    return (text,) if bare is None else (text, bare)


def _pieces(text: str) -> Iterator[tuple[Kind, str]]:
    for piece in _SPLIT.split(text):
        yield from _piece(piece)


def _inside(where: str, text: str, depth: int) -> Iterator[Trace]:
    """What its words hide in base64 or hex, or the text itself when it is JSON."""
    if depth == MAX_CODED:
        return
    for hidden in decoded(text):
        yield from _classify(where, hidden, depth + 1)
    if text.lstrip()[:1] in {"{", "["} and (data := parsed(text)) is not None:
        for count, (_, hidden) in enumerate(_texts({"json": data})):
            if count >= MAX_VALUES:
                yield Trace(where, Kind.URL, "")
                return
            yield from _classify(where, hidden, depth + 1)


def _piece(piece: str) -> Iterator[tuple[Kind, str]]:
    url = _SCHEME.search(piece)
    if url is not None:
        yield Kind.URL, "" if "\\" in piece else _bare_host(url[1] or "")
        return
    parts = [part for part in (_FINER.split(piece) if _FINER.search(piece) else (piece,)) if part]
    for part in parts if not is_host(piece) else [piece]:
        if part.startswith("@") and part != piece:
            yield Kind.EMAIL, ""  # what was before it stood in quotes
        if (named := _named(part)) is not None:
            yield named


def _named(part: str) -> tuple[Kind, str] | None:
    if part.startswith(("//", "\\\\")):
        return Kind.URL, "" if "\\" in part else _bare_host(_head(part[2:]))
    if "@" in part and (address := _EMAIL.search(part)) is not None:
        # With one of these it is an address to some readers and a URL to others.
        odd = any(sign in address[0] for sign in "/\\?#")
        return (Kind.URL, "") if odd else (Kind.EMAIL, address[0].rstrip(".!?:"))
    bare = part.rstrip(".!?:")
    head = _head(bare)
    if is_host(head) and _FILE_NAME.fullmatch(bare) is None:
        return Kind.HOST, _bare_host(head)
    if part == ".." or _is_path(bare) or _FILE_NAME.fullmatch(bare):
        # What looks like a path may be a URL to a reader that takes off one disguise more, or one slash.
        first = _head(bare.lstrip("/\\"))
        inner = any(is_host(_head(name)) for name in _INNER.split(bare)[1:])
        inner = inner or (is_host(first) and _FILE_NAME.fullmatch(first) is None)
        return (Kind.HOST, "") if inner else (Kind.PATH, bare or part)
    # What is before and after a colon may be anything: no declaration covers it.
    return (Kind.HOST, "") if any(map(is_host, head.split(":")[1:])) else None


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
                _below(declared.path, trace.target) if declared.path else bool(declared.host)
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


def _below(prefixes: Sequence[str], target: str) -> bool:
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
