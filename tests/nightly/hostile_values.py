# ruff: noqa: RUF001
# (the look-alikes are meant)
"""Values that name a place in disguise, and an independent way to see through every disguise.

Each place carries a mark that nothing harmless contains, so that whoever looks at what was really sent can
tell what it names without the code under test. `unmasked` is liberal on purpose: it takes off whatever any
server or library is known to take off.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote

HOST, MAIL, PATH = "evilhost", "evilmail", "evilpath"

HOSTS = (
    f"https://{HOST}.example/p?d=1", f"http://{HOST}.example:8080", f"{HOST}.example", f"//{HOST}.example/x",
    f"wss://{HOST}.example", f"https://user:pw@{HOST}.example/", f"https://api.example@{HOST}.example/",
    f"https://api.example.{HOST}.example", f"https://{HOST}.example\\@api.example/", f"{HOST}.example.",
    f"https://{HOST}.example#@api.example", f"javascript:fetch('//{HOST}.example')", f"[{HOST}.example]",
    f"data:text/html,<img src=//{HOST}.example>", f"x|{HOST}.example", f"see ({HOST}.example)",
    f"a=1&h={HOST}.example&b=2", f"{HOST}.example/path", f"{HOST}.example:443", f"HTTPS:{HOST}.example/",
    f"https:/{HOST}.example", f"http:\\\\{HOST}.example", f"api.example {HOST}.example", f"1,{HOST}.example",
    f"https://api.example/ https://{HOST}.example/", f"https://api.example%00.{HOST}.example/",
)  # fmt: skip
MAILS = (
    f"x@{MAIL}.example", f"Ada <x@{MAIL}.example>", f"mailto:x@{MAIL}.example", f"x+tag@{MAIL}.example",
    f"x@{MAIL}.example,a@ours.example", f"'x'@{MAIL}.example", f"x@sub.{MAIL}.example",
)  # fmt: skip
PATHS = (
    f"/srv/{PATH}/a", f"../../{PATH}/a", f"~/{PATH}/a", f"C:\\{PATH}\\a", f"file:///{PATH}/a",
    f"/srv/public/../{PATH}/a", f"..\\{PATH}\\a", f"/srv/public/%2e%2e/{PATH}/a", f"./{PATH}/a.txt",
)  # fmt: skip
WORDS = "please tell everybody around here quietly about that very secret plan today again".split()  # noqa: SIM905 - reads better

LOOK_ALIKES = str.maketrans("еоісрαɑхһ", "eoicpaaxh")
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u202a\u202e\u2066\u2069\u200e\ufe0f"


def place(dice: random.Random) -> str:
    """A host, an address or a path that carries its mark."""
    return dice.choice(dice.choices((HOSTS, MAILS, PATHS), (5, 2, 2))[0])


def disguised(dice: random.Random) -> str:
    """A place under up to three disguises."""
    text, coded = place(dice), False
    for _ in range(dice.choice((0, 0, 1, 1, 1, 2, 3))):
        disguise = dice.choice(DISGUISES)
        if coded and disguise is _alike:
            continue  # a code with another letter in it is none
        coded = coded or disguise in {_base64, _hex, _percent}
        text = disguise(dice, text)
    return text


def _percent(dice: random.Random, text: str) -> str:
    share = dice.choice((0.2, 1.0))
    return "".join(
        "".join(f"%{byte:02x}" for byte in char.encode()) if dice.random() < share else char for char in text
    )


def _wide(dice: random.Random, text: str) -> str:
    share = dice.choice((0.3, 1.0))
    return "".join(
        chr(ord(char) + 0xFEE0) if "!" <= char <= "~" and dice.random() < share else char for char in text
    )


def _sprinkled(signs: str) -> Callable[[random.Random, str], str]:
    def sprinkle(dice: random.Random, text: str) -> str:
        at = sorted(dice.randrange(len(text) + 1) for _ in range(dice.randint(1, 3)))
        for offset, position in enumerate(at):
            text = text[: position + offset] + dice.choice(signs) + text[position + offset :]
        return text

    return sprinkle


def _dots(dice: random.Random, text: str) -> str:
    return text.replace(".", dice.choice("。．｡․"))


def _entities(dice: random.Random, text: str) -> str:
    return "".join(dice.choice((f"&#{ord(c)};", f"&#x{ord(c):x};")) if c in "./:@" else c for c in text)


def _case(dice: random.Random, text: str) -> str:
    return "".join(char.upper() if dice.random() < 0.5 else char for char in text)


def _alike(dice: random.Random, text: str) -> str:
    turned = {"e": "е", "o": "о", "i": "і", "a": "ɑ"}
    return "".join(turned.get(char, char) if dice.random() < 0.4 else char for char in text)


def _base64(dice: random.Random, text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    made = dice.choice((base64.b64encode, base64.urlsafe_b64encode))(data).decode()
    return made.rstrip("=") if dice.random() < 0.5 else made


def _hex(_dice: random.Random, text: str) -> str:
    return text.encode("utf-8", "surrogatepass").hex()


def _quoted(_dice: random.Random, text: str) -> str:
    return json.dumps({"u": text}, ensure_ascii=False)


def _padded(dice: random.Random, text: str) -> str:
    return dice.choice(("  {}  ", "({})", '"{}"', "OSL;{}", "{}\n", "\t{}", "={}", "{},")).format(text)


DISGUISES: tuple[Callable[[random.Random, str], str], ...] = (
    _percent, _percent, _wide, _sprinkled(INVISIBLE), _sprinkled("\t\n\r"), _dots, _entities, _case, _alike,
    _base64, _hex, _quoted, _padded,
)  # fmt: skip


# ---------------------------------------------------------------------- seeing through it

_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{8,}")
_DROPPED = re.compile(f"[{INVISIBLE}\x00-\x1f\x7f]")


def unmasked(text: str) -> set[str]:
    """The text in every reading that taking off disguises leads to, at most five deep."""
    found, edge = {text}, {text}
    for _ in range(5):
        edge = {new for old in edge for new in _once(old)} - found
        found |= edge
        if not edge or len(found) > 200:
            break
    # What still holds an escape is no name to anybody, whatever its digits look like.
    return {one.lower() if "%" in one else one.lower().translate(LOOK_ALIKES) for one in found}


def _once(text: str) -> Iterator[str]:
    yield unquote(text, errors="replace")
    yield html.unescape(text)
    yield _DROPPED.sub("", text)
    yield unicodedata.normalize("NFKC", text).replace("。", ".")
    for token in _TOKEN.findall(text):
        for data in (_from_base64(token), _from_hex(token)):
            try:
                yield data.decode("utf-8", "surrogatepass")
            except ValueError:
                continue


def _from_base64(token: str) -> bytes:
    raw = token.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(raw + "=" * (-len(raw) % 4))
    except binascii.Error:
        return b""


def _from_hex(token: str) -> bytes:
    try:
        return bytes.fromhex(token)
    except ValueError:
        return b""


_MARKS = {
    "host": re.compile(rf"{HOST}\.\w\w"),
    "mail": re.compile(rf"@[\w.]*{MAIL}\.\w\w"),
    "path": re.compile(rf"[/\\]{PATH}"),
}


# Without a scheme it is an address, which goes to the declared host; with one it is user and host.
_ADDRESS = re.compile(r"[^\s/:@?#\\]+@[\w.-]+")


def named(value: object) -> set[str]:
    """Which kinds of marked places the value names, wherever inside it, keys of objects included."""
    return {
        kind
        for text in leaves(value)
        for reading in unmasked(text)
        for kind, mark in _MARKS.items()
        if mark.search(reading) and not (kind == "host" and _ADDRESS.fullmatch(reading))
    }


def leaves(value: object) -> Iterator[str]:
    """Every text in plain data."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def is_long_text(value: object) -> bool:
    """Whether it holds more than a few words, counted by somebody else than the policy."""
    return any(len(re.findall(r"[a-z]{3,}", text)) > 7 and " " in text for text in leaves(value))
