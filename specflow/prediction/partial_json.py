"""Reads one JSON object as its text arrives, and knows at any moment which members are complete.

Every character is looked at once. What is complete never changes by more text, except that a later
duplicate of a key replaces the earlier value, as in `json.loads`.
"""

from __future__ import annotations

import re
from typing import Any

MAX_CHARS = 1_000_000
MAX_DEPTH = 100
MAX_NUMBER = 400
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"[-+0-9.eE]*")
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_HEX = frozenset("0123456789abcdefABCDEF")


class Malformed(Exception):  # noqa: N818 - says what the text is; caught inside this module
    """The text so far cannot begin a JSON object within the limits."""


class ObjectReader:
    """An incremental reader of one JSON object (RFC 8259; NaN and infinities are malformed).

    `members` holds the closed top-level members. `closed` says that the object ended, `broken` that the
    text can never become one object within the limits (1 MB, 100 levels, numbers of 400 characters);
    a broken reader ignores what follows.
    """

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self.closed = False
        self.broken = False
        self.started = False
        self.version = 0  # grows whenever a top-level member closes
        self._chars = 0
        self._stack: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str] = []
        self._expect = self._begin
        self._parts: list[str] = []
        self._token = ""  # of a number, a word or a \\u escape
        self._high = ""  # a high surrogate that waits for its other half
        self._is_key = False

    def feed(self, text: str) -> None:
        """Read on. Costs time proportional to `text` alone."""
        self._chars += len(text)
        if self.broken:
            return
        if self._chars > MAX_CHARS:
            self.broken = True
            return
        at = 0
        try:
            while at < len(text):
                at = self._expect(text, at)
        except Malformed:
            self.broken = True

    # Each state takes the text and a position and returns the position behind what it consumed.

    def _skip(self, text: str, at: int) -> int:
        found = _SPACE.match(text, at)
        return found.end() if found else at

    def _begin(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        if text[at] != "{":
            raise Malformed
        self.started = True
        self._stack.append(self.members)
        self._expect = self._first_key
        return at + 1

    def _first_key(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        return self._close(at, "}") if text[at] == "}" else self._key(text, at)

    def _key(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        if text[at] != '"':
            raise Malformed
        self._is_key = True
        self._expect = self._string
        return at + 1

    def _colon(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        if text[at] != ":":
            raise Malformed
        self._expect = self._value
        return at + 1

    def _first_item(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        return self._close(at, "]") if text[at] == "]" else self._value(text, at)

    def _value(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        first = text[at]
        if first == '"':
            self._is_key = False
            self._expect = self._string
            return at + 1
        if first in "{[":
            if len(self._stack) >= MAX_DEPTH:
                raise Malformed
            self._stack.append({} if first == "{" else [])
            self._expect = self._first_key if first == "{" else self._first_item
            return at + 1
        self._expect = self._number if first in "-0123456789" else self._word
        return at

    def _next(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        inside = self._stack[-1]
        if text[at] == ",":
            self._expect = self._key if isinstance(inside, dict) else self._value
            return at + 1
        return self._close(at, "}" if isinstance(inside, dict) else "]", seen=text[at])

    def _close(self, at: int, bracket: str, *, seen: str = "") -> int:
        if seen and seen != bracket:
            raise Malformed
        done = self._stack.pop()
        if self._stack:
            self._put(done)
        else:
            self.closed = True
            self._expect = self._after
        return at + 1

    def _after(self, text: str, at: int) -> int:
        at = self._skip(text, at)
        if at < len(text):
            raise Malformed
        return at

    def _put(self, value: Any) -> None:
        holder = self._stack[-1]
        if isinstance(holder, dict):
            holder[self._keys.pop()] = value
        else:
            holder.append(value)
        if len(self._stack) == 1:
            self.version += 1
        self._expect = self._next

    def _string(self, text: str, at: int) -> int:
        found = _PLAIN.match(text, at)
        end = found.end() if found else at
        if end > at:
            self._flush_high()
            self._parts.append(text[at:end])
        if end == len(text):
            return end
        if text[end] == "\\":
            self._expect = self._escaped
        elif text[end] == '"':
            self._flush_high()
            value = "".join(self._parts)
            self._parts.clear()
            if self._is_key:
                self._keys.append(value)
                self._expect = self._colon
            else:
                self._put(value)
        else:
            raise Malformed  # a raw control character
        return end + 1

    def _escaped(self, text: str, at: int) -> int:
        if text[at] == "u":
            self._expect = self._unicode
        elif text[at] in _ESCAPES:
            self._flush_high()
            self._parts.append(_ESCAPES[text[at]])
            self._expect = self._string
        else:
            raise Malformed
        return at + 1

    def _unicode(self, text: str, at: int) -> int:
        if text[at] not in _HEX:
            raise Malformed
        self._token += text[at]
        if len(self._token) == 4:
            self._character(int(self._token, 16))
            self._token = ""
            self._expect = self._string
        return at + 1

    def _character(self, code: int) -> None:
        if self._high and 0xDC00 <= code <= 0xDFFF:
            code = 0x10000 + ((ord(self._high) - 0xD800) << 10) + (code - 0xDC00)
            self._high = ""
        self._flush_high()
        if 0xD800 <= code <= 0xDBFF:
            self._high = chr(code)
        else:
            self._parts.append(chr(code))

    def _flush_high(self) -> None:
        if self._high:
            self._parts.append(self._high)
            self._high = ""

    def _number(self, text: str, at: int) -> int:
        found = _NUMBER.match(text, at)
        end = found.end() if found else at
        self._token += text[at:end]
        if len(self._token) > MAX_NUMBER:
            raise Malformed
        if end < len(text):
            whole = _WHOLE_NUMBER.fullmatch(self._token)
            if whole is None:
                raise Malformed
            self._put(float(self._token) if whole[1] or whole[2] else int(self._token))
            self._token = ""
        return end

    def _word(self, text: str, at: int) -> int:
        self._token += text[at]
        if self._token in _WORDS:
            self._put(_WORDS[self._token])
            self._token = ""
        elif not any(word.startswith(self._token) for word in _WORDS):
            raise Malformed
        return at + 1
