"""How often the proposals are right, on tools that others have labelled. Run with -s to see the table."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.kind import EffectClass
from specflow.policy.suggest import Hints, Proposal, Subject, observed, propose
from specflow.policy.suggest.evidence import Trap

pytestmark = pytest.mark.data

LABELS = "tool_effects_dev.jsonl"
RUNS = "dev_retail.jsonl.xz"
# The rows of two suites carry no schema, which their servers do publish: required parameters, optional ones, fields
# of the result. An undo cannot be written without; the reads are scored without, as the rows have it.
INTERFACES: dict[str, dict[str, tuple[str, str, str]]] = {
    "mcp_filesystem": {
        "read_file": ("path", "tail head", "content"), "read_text_file": ("path", "tail head", "content"),
        "read_multiple_files": ("paths", "", "content"), "read_media_file": ("path", "", ""),
        "write_file": ("path content", "", "content"), "edit_file": ("path edits", "dryRun", "content"),
        "create_directory": ("path", "", "content"), "list_directory": ("path", "", "content"),
        "list_directory_with_sizes": ("path", "sortBy", "content"), "move_file": ("source destination", "", "content"),
        "directory_tree": ("path", "excludePatterns", "content"), "get_file_info": ("path", "", "content"),
        "search_files": ("path pattern", "excludePatterns", "content"), "list_allowed_directories": ("", "", "content"),
    },
    "mcp_git": {
        "git_status": ("repo_path", "", ""), "git_diff_unstaged": ("repo_path", "context_lines", ""),
        "git_diff_staged": ("repo_path", "context_lines", ""), "git_diff": ("repo_path target", "context_lines", ""),
        "git_commit": ("repo_path message", "", ""), "git_add": ("repo_path files", "", ""),
        "git_reset": ("repo_path", "", ""), "git_log": ("repo_path", "max_count start_timestamp end_timestamp", ""),
        "git_create_branch": ("repo_path branch_name", "base_branch", ""),
        "git_checkout": ("repo_path branch_name", "", ""), "git_show": ("repo_path revision", "", ""),
        "git_branch": ("repo_path branch_type", "contains not_contains", ""),
    },
}  # fmt: skip
_LISTS = {"edits", "files", "paths", "excludePatterns"}
_OTHERS = {
    "dryRun": "boolean",
    "tail": "number",
    "head": "number",
    "context_lines": "integer",
    "max_count": "integer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """One undo in full: the tool, what it is called with, the read before. All of it has to be right."""

    tool: str
    arguments: dict[str, str]
    before: tuple[str, dict[str, str]] | None = None


def _address(owner: str, reader: str, tool: str) -> list[Undo]:
    """ "previous address from ..." for a tool of six fields, which the reader has together under `address`."""
    fields = {
        name: f"before.address.{name}" for name in ("address1", "address2", "city", "state", "country", "zip")
    }
    return [
        Undo(
            tool=tool, arguments={owner: f"args.{owner}", **fields}, before=(reader, {owner: f"args.{owner}"})
        )
    ]


def _flag(thing: str) -> list[Undo]:
    """ "inverse": the tool raises when it is already so, so that what was before is the inverse."""
    return [Undo(tool=f"set_{thing}", arguments={"on": "before"}, before=(f"get_{thing}", {}))]


def _content() -> list[Undo]:
    """ "previous content": of two tools that read a file whole, either may tell it."""
    content = {"path": "args.path", "content": "before.content"}
    return [
        Undo(tool="write_file", arguments=content, before=(reader, {"path": "args.path"}))
        for reader in ("read_file", "read_text_file")
    ]


# By the text of the label: every undo that is right, each with its whole mapping. A label that is not here has none
# that could be found: "previous status" and "previously staged files" no tool of the suite tells; the shape of what
# `search_contacts` and `search_reminder` return stands in none of the texts; `git_branch` answers in prose.
UNDOES: dict[tuple[str, str, str], list[Undo]] = {
    **{(suite, f"modify_{thing}_address", f"modify_{thing}_address(previous address from {reader})"):
       _address(owner, reader, f"modify_{thing}_address")
       for suite in ("taubench_retail", "tau2_retail")
       for thing, owner, reader in (("user", "user_id", "get_user_details"),
                                    ("pending_order", "order_id", "get_order_details"))},
    **{("toolsandbox", f"set_{thing}", f"set_{thing}(inverse)"): _flag(thing)
       for thing in ("wifi_status", "cellular_service_status", "location_service_status")},
    ("toolsandbox", "add_reminder", "remove_reminder(returned id)"):
        [Undo(tool="remove_reminder", arguments={"reminder_id": "result"})],
    ("toolsandbox", "add_contact", "remove_contact(returned id)"):
        [Undo(tool="remove_contact", arguments={"person_id": "result"})],
    ("mcp_filesystem", "write_file", "write_file(previous content) or delete"): _content(),
    ("mcp_filesystem", "edit_file", "write_file(previous content)"): _content(),
    ("mcp_filesystem", "move_file", "move_file back"):
        [Undo(tool="move_file", arguments={"source": "args.destination", "destination": "args.source"})],
    ("mcp_git", "git_add", "git_reset"): [Undo(tool="git_reset", arguments={"repo_path": "args.repo_path"})],
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    writes: int
    called_read: tuple[str, ...]
    reads: int
    found: int

    @property
    def share(self) -> float:
        return self.found / self.reads

    @property
    def upper(self) -> float:
        return _upper(len(self.called_read), self.writes)


def _upper(count: int, n: int) -> float:
    """The one-sided 95 % upper bound on a share of which `count` of `n` was seen, by bisection (Clopper-Pearson)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, n, middle) > 0.05 else (low, middle)
    return high


def _lower(count: int, n: int) -> float:
    """The one-sided 95 % lower bound."""
    return 1 - _upper(n - count, n)


def _at_most(count: int, n: int, share: float) -> float:
    """The probability of at most `count` in `n`."""
    total, term = 0.0, (1 - share) ** n
    for k in range(count + 1):
        total += term
        term *= (n - k) / (k + 1) * share / (1 - share) if share < 1 else 0
    return total


def _data(name: str) -> Path:
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("SPECFLOW_DATA", root.parent / "shared" / "data")) / name
    if not path.is_file():
        pytest.skip(f"no {name}: set SPECFLOW_DATA to the folder that holds it")
    return path


@pytest.fixture(scope="module")
def labels() -> dict[str, list[dict[str, Any]]]:
    path = _data(LABELS)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["suite"]].append(row)
    return found


def _subject(row: dict[str, Any], *, hinted: bool) -> Subject:
    told = row["declared"] if isinstance(row["declared"], dict) else {}
    hints = Hints(read_only=_hint(told, "readOnlyHint"), destructive=_hint(told, "destructiveHint"))
    return Subject(
        name=row["tool"],
        description=row["description"] or "",
        parameters=_schema(row["schema"] or {}),
        hints=hints if hinted and "readOnlyHint" in told else None,
    )


_PYTHONIC = {"str": "string", "float": "number", "bool": "boolean", "int": "integer"}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """One suite writes Python types and no `required`: what is not optional there is required."""
    parts = schema.get("properties") or {}
    pythonic = any(part.get("type") in _PYTHONIC for part in parts.values())
    if not pythonic or "required" in schema:
        return schema
    needed = [
        name
        for name, part in parts.items()
        if "Optional" not in part["type"] and "NotGiven" not in part["type"]
    ]
    typed = {
        name: {"type": _PYTHONIC[part["type"]]} if part["type"] in _PYTHONIC else {}
        for name, part in parts.items()
    }
    return {**schema, "properties": typed, "required": needed}


def _hint(told: dict[str, Any], name: str) -> bool | None:
    return {"true": True, "false": False}.get(str(told.get(name)).lower())


def _proposals(labels: dict[str, list[dict[str, Any]]], *, hinted: bool) -> dict[tuple[str, str], Proposal]:
    return {
        (suite, item.subject.name): item
        for suite, rows in labels.items()
        for item in propose([_subject(row, hinted=hinted) for row in rows])
    }


def _score(labels: dict[str, list[dict[str, Any]]], *, hinted: bool) -> Score:
    proposals = _proposals(labels, hinted=hinted)
    rows = [row for some in labels.values() for row in some]
    reads = [row for row in rows if row["effect"] == "read_only"]
    writes = [row for row in rows if row["effect"] != "read_only"]

    def read(row: dict[str, Any]) -> bool:
        return proposals[row["suite"], row["tool"]].effect is EffectClass.READ_ONLY

    return Score(
        writes=len(writes),
        called_read=tuple(f"{row['suite']}.{row['tool']}" for row in writes if read(row)),
        reads=len(reads),
        found=sum(map(read, reads)),
    )


def test_no_write_is_called_a_read_and_most_reads_are_found(labels: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n{'known':34} {'writes called reads':>20} {'95 % bound':>11} {'reads found, 95 % bound':>27}")
    scores = {}
    for name, hinted in (("name, description, schema", False), ("and hints of trusted MCP servers", True)):
        score = scores[hinted] = _score(labels, hinted=hinted)
        wrong = f"{len(score.called_read)} of {score.writes}"
        found = f"{score.found} of {score.reads} ({score.share:.1%})"
        least = f"{found} >= {_lower(score.found, score.reads):.1%}"
        print(f"{name:34} {wrong:>20} {score.upper:>11.1%} {least:>27}")
    for score in scores.values():
        assert score.called_read == ()
        assert (score.writes, score.reads) == (40, 56)
        assert score.upper == pytest.approx(1 - 0.05 ** (1 / 40), abs=1e-6)
    # The first score, before anything was mended or added, was 36 and 42; see docs/how-to/suggest-a-policy.md.
    assert scores[False].share >= 0.8
    assert scores[True].share >= 0.9


def _with_interface(subject: Subject, suite: str) -> Subject:
    """The subject with what its MCP server publishes, as reading the server itself gives it."""
    if suite not in INTERFACES:
        return subject
    required, optional, fields = (text.split() for text in INTERFACES[suite][subject.name])
    typed = {
        name: {"type": "array" if name in _LISTS else _OTHERS.get(name, "string")}
        for name in (*required, *optional)
    }
    result = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "required": fields,
    }
    return replace(
        subject, parameters={"type": "object", "properties": typed, "required": required},
        result=result if fields else None, opaque_result=not fields,
    )  # fmt: skip


@pytest.fixture(scope="module")
def complete(labels: dict[str, list[dict[str, Any]]]) -> dict[tuple[str, str], Proposal]:
    """With hints, published interfaces, and the shapes seen in recorded runs of the shop that two suites hold."""
    seen = observed.read(_data(RUNS))
    return {
        (suite, item.subject.name): item
        for suite, rows in labels.items()
        for item in propose(
            [observed.shaped(_with_interface(_subject(row, hinted=True), suite), seen if "retail" in suite else {})
             for row in rows]
        )
    }  # fmt: skip


def _undo_of(item: Proposal) -> Undo | None:
    made = item.compensator
    if made is None:
        return None
    before = None if made.before is None else (made.before.tool, dict(made.before.arguments))
    return Undo(tool=made.tool, arguments=dict(made.arguments), before=before)


def test_undoes(labels: dict[str, list[dict[str, Any]]], complete: dict[tuple[str, str], Proposal]) -> None:
    rows = {(suite, row["tool"]): row for suite, some in labels.items() for row in some}
    labelled = [place for place, row in rows.items() if row["compensator"]]
    made = {place: undo for place, item in complete.items() if (undo := _undo_of(item)) is not None}
    right = [place for place in made if made[place] in UNDOES.get((*place, rows[place]["compensator"]), [])]
    print(f"\nundoes: {len(labelled)} labelled, {len(made)} proposed, {len(right)} right "
          f"(at least {_lower(len(right), len(labelled)):.1%}, one-sided 95 %), {len(made) - len(right)} wrong "
          f"(of those proposed at most {_upper(len(made) - len(right), len(made)):.1%})")  # fmt: skip
    # The table speaks of labels that are there, and nothing is proposed for a tool that is labelled as having none.
    assert {(suite, tool) for suite, tool, _ in UNDOES} <= set(labelled)
    assert all(rows[suite, tool]["compensator"] == text for suite, tool, text in UNDOES)
    assert len(labelled) == 21
    assert sorted(made) == sorted(right)
    assert len(right) >= 13


def test_traps_of_labels_are_named(complete: dict[tuple[str, str], Proposal]) -> None:
    cascading = complete["toolsandbox", "set_low_battery_mode_status"]
    assert cascading.compensator is None
    assert Trap.CASCADE in cascading.traps
    coarse = complete["mcp_git", "git_add"]
    assert coarse.effect is EffectClass.CONFIRMATION_REQUIRED
    assert Trap.COARSE in coarse.traps


def test_what_is_published_beside_the_labels_makes_no_write_a_read(
    labels: dict[str, list[dict[str, Any]]], complete: dict[tuple[str, str], Proposal]
) -> None:
    rows = {(suite, row["tool"]): row for suite, some in labels.items() for row in some}
    called = [place for place, item in complete.items() if item.effect is EffectClass.READ_ONLY]
    assert [place for place in called if rows[place]["effect"] != "read_only"] == []
    print(f"\nwith hints, interfaces and runs: {len(called)} of 56 reads found")
    assert len(called) >= 50
