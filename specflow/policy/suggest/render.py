"""Proposals as a policy file, and as JSON data. Whatever a tool says is quoted so that it stays data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from specflow.errors import InvariantError
from specflow.policy.read_document import read_document
from specflow.policy.suggest import lexicon
from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.propose import Proposal
from specflow.policy.suggest.undo import Compensator

MAX_COMMENT = 160

_NAME = re.compile(r"[\w.:/@+$-]{1,200}")
_TOLD = {
    Trap.HIDDEN_CACHE: "a hidden cache: a read that others can see the traces of",
    Trap.RANDOM_STATE: "random state: an early answer is another answer, and moves the generator on",
    Trap.CURSOR: "a cursor: asking moves on",
    Trap.ARGUMENT_DEPENDENT: "the effect depends on the arguments: write rules, or split the tool",
    Trap.TOGGLE: "a toggle is not its own inverse if anyone else toggles",
    Trap.ALREADY_SO: "the undo assumes that it was not already so before the call",
    Trap.SEEN_BY_OTHERS: "others have seen it before it could be undone",
    Trap.OLD_VALUE: "the undo needs the value from before, which nobody keeps",
    Trap.CASCADE: "writing the old value back does not take back all that the call did",
    Trap.COARSE: "the undo would take back what others did as well: never let it run unasked",
    Trap.NEW_THING: "what the undo makes is a new thing, under another id and with another history",
}


def as_yaml(proposals: Sequence[Proposal]) -> str:
    """A policy in which every entry is proposed, so that none runs early before a person has reviewed it.

    Raises:
        InvariantError: when what was written cannot be read back; nothing a tool says should do that.
    """
    lines = [
        "# Proposed by `specflow policy suggest`. Until reviewed, an entry counts as confirmation_required.",
        "# To accept one, judge its evidence; then replace its `status` by the `reviewed:` line below it,",
        f"# or by `status: reviewed` where there is none. Lexicon of {lexicon.FROZEN}.",
        "version: 1",
    ]
    usable = [item for item in proposals if _writable(item.subject.name)]
    lines.append("tools:" if usable else "tools: {}")
    undoes = _undoes(usable)
    for item in usable:
        lines.extend(_entry(item, undoes.get(item.subject.name, [])))
    left_out = [item.subject.name for item in proposals if not _writable(item.subject.name)]
    lines += [_comment(f"left out, its name cannot stand in a policy: {name}") for name in left_out]
    text = "\n".join(lines) + "\n"
    findings = read_document(text, "proposal").findings
    if findings:
        raise InvariantError(f"the proposal cannot be read back: {findings[0]}")
    return text


def as_dict(proposals: Sequence[Proposal]) -> dict[str, Any]:
    """Plain JSON data with the same content."""
    return {
        "lexicon": lexicon.FROZEN,
        "tools": [
            {
                "tool": item.subject.name,
                "origin": item.subject.origin,
                "effect": item.effect.value,
                "status": "proposed",
                "why": item.why,
                "signals": sorted(item.signals),
                "evidence": [
                    {"artefact": found.artefact.value, "says": found.says.value, "text": found.text}
                    for found in item.evidence
                ],
                "traps": [trap.value for trap in item.traps],
                "compensate": None if item.compensator is None else _compensate(item.compensator),
                "schema_hash": item.subject.schema_hash,
            }
            for item in proposals
        ],
    }


def _writable(name: str) -> bool:
    # A star would make a pattern of it, and so class other tools.
    return (
        bool(_NAME.fullmatch(name))
        and name.isprintable()
        and not any(0xD800 <= ord(c) < 0xE000 for c in name)
    )


def _undoes(proposals: Iterable[Proposal]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in proposals:
        if item.compensator is not None:
            found.setdefault(item.compensator.tool, []).append(item.subject.name)
    return found


def _entry(item: Proposal, undoes: list[str]) -> list[str]:
    said = [f"{found.says.value}: {found.text} ({found.artefact.value})" for found in item.evidence]
    traps = [f"trap {trap.value}: {_TOLD[trap]}" for trap in item.traps]
    notes = item.compensator.notes if item.compensator is not None else ()
    comments = [item.why, *said, *notes, *traps]
    if item.subject.origin:
        comments.insert(0, f"from {item.subject.origin}")
    lines = ["", *(f"  {_comment(text)}" for text in comments)]
    lines += [f"  {_quoted(item.subject.name)}:", "    status: proposed", f"    effect: {item.effect.value}"]
    if item.subject.schema_hash:
        lines.append(f"    # reviewed: {item.subject.schema_hash}")
    if item.compensator is not None:
        lines += _undo(item.compensator)
    if undoes:
        lines.append(f"    compensator_for: [{', '.join(map(_quoted, undoes))}]")
    return lines


def _undo(undo: Compensator) -> list[str]:
    lines = ["    compensate:"]
    if undo.before is not None:
        lines += ["      before:", f"        tool: {_quoted(undo.before.tool)}"]
        lines += _mapping(undo.before.arguments, "        ")
    return [*lines, f"      tool: {_quoted(undo.tool)}", *_mapping(undo.arguments, "      ")]


def _mapping(arguments: Mapping[str, str], margin: str) -> list[str]:
    if not arguments:
        return [f"{margin}with: {{}}"]
    return [
        f"{margin}with:",
        *(f"{margin}  {_quoted(name)}: {_quoted(source)}" for name, source in sorted(arguments.items())),
    ]


def _compensate(undo: Compensator) -> dict[str, Any]:
    """`before` stands there only when there is one, as in a policy."""
    before = undo.before
    read = {} if before is None else {"before": {"tool": before.tool, "with": dict(before.arguments)}}
    return {**read, "tool": undo.tool, "with": dict(undo.arguments)}


def _comment(text: str) -> str:
    """One line of a comment: no line break of any kind survives, nor anything that is not ASCII."""
    plain = " ".join(text.split())
    safe = "".join(char if " " <= char <= "~" else f"\\u{ord(char):04x}" for char in plain[: MAX_COMMENT * 2])
    return f"# {safe[:MAX_COMMENT]}{'...' if len(safe) > MAX_COMMENT or len(plain) > MAX_COMMENT * 2 else ''}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
