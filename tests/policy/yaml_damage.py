"""Damaged policy files: bytes of real ones changed, and text that looks like YAML; and what loading may do.

The property: a file either does not load, with findings only (`PolicyError`), or it loads to what its text
says: both parsers agree on the data, a second load gives the same hash, and its rules are those in the text.
Nothing else is raised, and it ends soon.
"""

# ruff: noqa: E501 - lists of accidents read best in one place

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

import yaml

from specflow.errors import PolicyError
from specflow.policy import load
from specflow.policy.diff import compare
from specflow.policy.policy import Policy
from specflow.policy.yaml_events import parse

PATIENCE = 30.0
"""Seconds; a load that takes longer hangs (the machine is shared: a usual one takes milliseconds)."""
PIECES = (
    b"\xef\xbb\xbf", b"\r\n", b"\r", b"\x00", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\t", b"&a ", b"*a",
    b"!!python/object:os.system ", b"!t ", b"<<: *a", b"? ", b"- ", b": ", b"{", b"}", b"[", b"]", b"|\n", b">-\n",
    b"---\n", b"...\n", b"%YAML 1.1\n", b"%TAG ! tag:x\n", b"#", b"'", b'"', b"\\", b"\xe2\x80\xa8", b"\xe2\x80\xae",
    b"\xc2\x85", b"yes", b"010", b"1e999", b".nan", b"0x10", b"1:30", b"~", b"null", b"99999999999999999999",
    b"version: 1\n", b"tools:\n", b"effect: read_only\n", b"speculate: now\n", b"rules: []\n", b"\n\n", b" ", b"  ",
)  # fmt: skip


def damaged(dice: random.Random, source: bytes, pool: list[bytes]) -> bytes:
    """`source` with one to six small accidents."""
    data = bytearray(source)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice((1, 1, 2, 8, 40, 400)))
        kind = dice.randrange(8)
        if kind == 0:
            del data[start:end]
        elif kind == 1:
            data[start:start] = dice.choice(PIECES)
        elif kind == 2:
            data[start:end] = dice.choice(PIECES)
        elif kind == 3:
            data[start:start] = data[start:end] * dice.choice((1, 2, 50))
        elif kind == 4 and start < len(data):
            data[start] ^= 1 << dice.randrange(8)
        elif kind == 5:
            data = _lines(dice, data)
        elif kind == 6:
            other = dice.choice(pool)
            from_ = dice.randrange(len(other))
            data[start:start] = other[from_ : from_ + 200]
        else:
            data = bytearray(
                bytes(data).replace(b"\n", dice.choice((b"\r\n", b"\r", b"\n\n")), dice.choice((1, -1)))
            )
    return bytes(data)


def _lines(dice: random.Random, data: bytearray) -> bytearray:
    """A line dropped, doubled, moved or indented otherwise."""
    lines = bytes(data).split(b"\n")
    index = dice.randrange(len(lines))
    line = lines.pop(index)
    kind = dice.randrange(4)
    if kind == 1:
        lines[index:index] = [line, line]
    elif kind == 2:
        lines.insert(dice.randrange(len(lines) + 1), line)
    elif kind == 3:
        lines.insert(index, b" " * dice.randrange(6) + line.lstrip())
    return bytearray(b"\n".join(lines))


def grammatical(dice: random.Random) -> bytes:
    """Text with the shape of YAML: nesting, keys, marks, anchors, in no sensible order; sometimes very deep."""
    if dice.random() < 0.15:
        mark = dice.choice(("[", "{", "- ", "? ", "a: {", "[[", "!!seq [", "&x [", "- - "))
        return (mark * dice.choice((5, 31, 33, 500, 20_000))).encode()
    words = ("version", "tools", "rules", "require", "allow", "when", "effect", "deny", "1", "'x'", '"\\u0000"', "&a", "*a", "!!str", "<<", "- ", ": ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ",", "|", ">", "#", "---", "é", "\ufeff")  # fmt: skip
    text = "".join(dice.choice(words) for _ in range(dice.choice((3, 20, 200))))
    return (dice.choice(("", "version: 1\n", "version: 1\ntools:\n  ")) + text).encode()


def require_damaged(dice: random.Random, source: bytes) -> bytes:
    """`source` with one to five bytes gone or wrong inside the body of a `require`.

    Fewer bytes than a `name: value` has, and no `#`, which takes the rest of a line out: what is lost whole
    leaves a policy that says something else.
    """
    bodies = [found.span(1) for found in re.finditer(rb"require:((?:[^}\n]|\n {10,})*)", source)]
    start, end = dice.choice(bodies)
    first = dice.randrange(start, end)
    last = min(end, first + dice.choice((1, 1, 1, 2, 3, 5)))
    wrong = b"" if dice.random() < 0.6 else bytes(dice.choice(WRONG) for _ in range(last - first))
    return source[:first] + wrong + source[last:]


def check_load(path: Path, data: bytes) -> Policy | None:
    """The policy in these bytes, if they are one.

    Raises:
        AssertionError: when loading does what it may not.
    """
    path.write_bytes(data)
    start = time.monotonic()
    try:
        found = load(path)
    except PolicyError as error:
        findings: Any = error.facts["findings"]
        assert findings, "refused without a finding"
        assert all(finding.message and finding.code for finding in findings)
        assert all(finding.line >= 0 and finding.column >= 0 for finding in findings)
        return None
    finally:
        seconds = time.monotonic() - start
        assert seconds < PATIENCE, f"loading took {seconds:.0f} s"
    _check_faithful(path, data, found)
    return found


def _check_faithful(path: Path, data: bytes, found: Policy) -> None:
    """An accepted policy is what the text says, read by parsers that are not ours."""
    text = data.decode("utf-8")
    plain = parse(text, "x").data
    assert load(path).hash == found.hash, "loading is not repeatable"
    # PyYAML's own scanner refuses some tabs and question marks that libyaml reads; never the other way
    # round with other data.
    python = parse(text, "x", python=True)
    if not python.findings:
        assert python.data == plain, "the two parsers disagree"
        whole = yaml.load(text.removeprefix("\ufeff"), Loader=yaml.BaseLoader)
        assert whole.keys() == plain.keys(), "another loader sees other parts"
    tools = plain.get("tools") or {}
    patterns = set(found.compiled.exact) | {entry.pattern for _, entry in found.compiled.wild}
    assert patterns == set(tools), "a tool is missing or made up"
    for name, part in tools.items():
        entry = next(entry for entry in _entries(found) if entry.pattern == name)
        said = (part or {}).get("rules") or []
        ids = sorted(rule.id for rule in (*entry.allows, *entry.requires))
        assert ids == sorted(rule["id"] for rule in said), "a rule is missing or made up"
        assert (entry.effect or None) == (part.get("effect") if part else None), "another effect"


def _entries(policy: Policy) -> list[Any]:
    return [
        *(entry for several in policy.compiled.exact.values() for entry in several),
        *(entry for _, entry in policy.compiled.wild),
    ]


REQUIRES = b"""version: 1  # what an accident may hit: spaces, comments, quotes, numbers, words
tools:
  pay:
    effect: compensatable
    speculate: now
    compensate: {tool: refund, with: {id: args.id}}
    rules:
      - {id: large, when: args.amount > 100, require: {effect: confirmation_required}}
      - id: far
        when: args.country != "FR"
        require: {speculate: never, effect: deny, min_confidence: 0.95, confirm: ask}
      - id: odd
        when: args.amount < 0
        require:
          effect:   'deny'     # money does not flow backwards
          speculate:   "hold"
          min_confidence: 0.975
  look:
    effect: read_only
    rules:
      - {id: late, when: context.hour > 22, unless: context.role == "night", require: {speculate: hold}}
"""
WRONG = bytes(byte for byte in range(32, 127) if byte != ord("#"))
_WIDER = frozenset({"early", "unconfirmed", "permitted", "held"})


def check_require(path: Path, original: Policy, data: bytes) -> bool:
    """Whether the damaged policy loads; it may then not permit what the original did not.

    A confidence can lose a digit and still be one, so who may start a permitted call is not compared.

    Raises:
        AssertionError: with the call that is permitted now.
    """
    changed = check_load(path, data)
    if changed is None:
        return False
    wider = [item for item in compare(original, changed, calls=80).looser if item.kind in _WIDER]
    assert not wider, f"{wider[0].kind}: {wider[0].asked.call}"
    return True
