"""Taking off what hides a host, an address or a path in a text, as some server or library would.

Percent signs, HTML entities, wide letters, invisible characters, line breaks inside a name, base64 and hex.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

MAX_LAYERS = 12
"""Disguises over each other that are taken off; what still changes then is taken for an address."""

SHORTEST = 8
"""Characters; less is no host in base64."""

READABLE = 0.6
"""Share of printable characters that makes bytes a text: some may be there to hide the rest."""

# Invisible characters that normal forms of domain names leave out, and what turns the direction of writing.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x1f\x7f]+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,24});?")
_ESCAPES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
# Letters, digits and the signs of names need no escape: whoever writes them so hides them.
_NEEDLESS = re.compile("%(?:2[dDeE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])")
_CODED = re.compile(rf"[A-Za-z0-9+/_-]{{{SHORTEST},}}={{0,2}}")
# Base64 of an address has capitals inside its words.
_CAPITAL = re.compile("(?<=.)[A-Z]")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


class Plain(NamedTuple):
    """A text without its disguises. `unclear`: readers may differ about what it names.

    `endless`: there is still something to take off.
    """

    text: str
    unclear: bool
    endless: bool


def plain(raw: str) -> Plain:
    """What is left when everything is taken off that hides characters one by one."""
    text, unclear = raw, False
    for _ in range(MAX_LAYERS):
        bare = _layer(text)
        if bare == text:
            return Plain(text, unclear, endless=False)
        # Wide letters are the same name to everybody; the rest depends on who reads it.
        unclear = unclear or _is_more_than_form(text)
        text = bare
    return Plain(text, unclear=True, endless=True)


def _layer(text: str) -> str:
    """The text without its outermost disguise. Letters first: the percent sign itself may be a wide one."""
    if not text.isascii():
        bare = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("\u3002", ".")
        if bare != text:
            return bare
    if "%" in text and (bare := _ESCAPES.sub(_bytes, text)) != text:
        # A letter's bytes may come apart over several layers: they are kept until they meet.
        return bare.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text


def _bytes(escapes: re.Match[str]) -> str:
    return bytes.fromhex(escapes[0].replace("%", "")).decode("utf-8", "surrogateescape")


def _is_more_than_form(text: str) -> bool:
    return any(hiding.search(text) is not None for hiding in (_ENTITY, _INVISIBLE, _NEEDLESS))


def joined(text: str) -> str | None:
    """The text without its control characters, where it has any: a URL reader drops line breaks and tabs."""
    bare = _CONTROL.sub("", text)
    return bare if bare != text else None


def decoded(text: str) -> Iterator[str]:
    """What the words of the text say when they are read as base64 or hex, where that is readable text."""
    for word in _CODED.findall(text):
        yield from _readings(word)
    # Readers of both skip what stands between.
    bare = joined(text)
    for word in _CODED.findall(bare) if bare is not None else ():
        yield from _readings(word)


def parsed(text: str) -> object:
    """The object or list that the text is in JSON; None when it is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _readings(word: str) -> Iterator[str]:
    if _CAPITAL.search(word):
        body = word.rstrip("=").replace("-", "+").replace("_", "/")
        with suppress(binascii.Error):
            yield from _readable(base64.b64decode(body + "=" * (-len(body) % 4)))
    if _HEX.fullmatch(word):
        yield from _readable(bytes.fromhex(word))


def _readable(data: bytes) -> Iterator[str]:
    try:
        text = data.decode("utf-8")
    except ValueError:
        return
    if sum(map(str.isprintable, text)) >= READABLE * len(text):
        yield text
