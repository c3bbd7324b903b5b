"""Several files, one policy: merged by strictness, so that neither their order nor that of rules matters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from specflow.effects.call import canonical_json, digest
from specflow.effects.kind import EffectClass
from specflow.policy.compiled import Compiled, Defaults, Entry, Trusted, plain_entry, wildcard
from specflow.policy.document import DefaultsPart, Document, TrustedPart
from specflow.policy.finding import Finding
from specflow.policy.settings import Budgets
from specflow.policy.verdict import Asking

T = TypeVar("T")
_BUDGETS = tuple(field.name for field in fields(Budgets))
# Two files that say different things about one of these cannot both be right, and neither is stricter.
_ONE_TRUTH = ("idempotency_key", "transaction", "compensate", "verify", "patch", "match", "version", "show")


def merge(documents: Sequence[Document], entries: Iterable[Entry]) -> Compiled:
    """The one policy that `documents` are together; `entries` are those of all of them."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.pattern, []).append(entry)
    exact = {name: tuple(found) for name, found in by_name.items() if "*" not in name}
    wild = tuple((wildcard(name), entry) for name, found in by_name.items() if "*" in name for entry in found)
    defaults = merge_defaults([document.defaults for document in documents], _trusted(documents))
    plain = [plain_entry(entry) for found in by_name.values() for entry in found]
    parts = sorted(json.dumps(item, sort_keys=True) for item in plain)
    return Compiled(
        defaults=defaults,
        exact=exact,
        wild=wild,
        hash=digest("specflow policy 1", canonical_json(_plain_defaults(defaults)), *parts),
    )


def _trusted(documents: Sequence[Document]) -> frozenset[Trusted]:
    said = [
        frozenset(one for part in item.trusted_mcp_servers for one in _servers(part))
        for item in documents
        if item.trusted_mcp_servers is not None
    ]
    return frozenset.intersection(*said) if said else frozenset()


def _servers(part: TrustedPart | str) -> Iterator[Trusted]:
    if isinstance(part, str):
        yield Trusted(server=part)
        return
    for tool, schema in part.schemas.items():
        yield Trusted(server=part.name, at=part.at, tool=tool, schema=schema)


def merge_defaults(parts: Sequence[DefaultsPart], trusted: frozenset[Trusted] = frozenset()) -> Defaults:
    """The strictest of what the files say; where no file says anything, specflow's own default."""
    speculation = [part.speculation for part in parts if part.speculation is not None]
    budgets: dict[str, Any] = {
        name: min(said) for name in _BUDGETS if (said := _said(getattr(part, name) for part in speculation))
    }
    return Defaults(
        unlisted=EffectClass.DENY
        if any(part.unlisted_tools == "deny" for part in parts)
        else EffectClass.CONFIRMATION_REQUIRED,
        confirm_unlisted=Asking.ASK if any(part.confirm_unlisted == "ask" for part in parts) else Asking.HOST,
        trust_annotations=all(part.trust_annotations is not False for part in parts),
        min_confidence=max(_said(part.min_confidence for part in speculation), default=0.6),
        timeout=min(_said(part.timeout for part in parts), default=None),
        confirm_within=min(_said(part.confirm_within for part in parts), default=None),
        redact=tuple(sorted({path for part in parts for path in part.redact or ()})),
        verify_sample=max(_said(part.verify_sample for part in speculation), default=0.0),
        budgets=Budgets(**budgets),
        trusted_mcp_servers=trusted,
    )


def _said(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]


def _plain_defaults(defaults: Defaults) -> dict[str, object]:
    # Budgets that came later: a policy that does not use them keeps its hash.
    usual = Budgets()
    later = {name: getattr(defaults.budgets, name) for name in _BUDGETS[2:]}
    return {
        "unlisted": defaults.unlisted,
        "confirm_unlisted": defaults.confirm_unlisted,
        "trust_annotations": defaults.trust_annotations,
        "min_confidence": defaults.min_confidence,
        "timeout": defaults.timeout,
        # What is not written leaves the hash of a policy from before there was such a word.
        **({"confirm_within": defaults.confirm_within} if defaults.confirm_within else {}),
        "redact": list(defaults.redact),
        "max_concurrent": defaults.budgets.max_concurrent,
        "max_wasted_usd": defaults.budgets.max_wasted_usd,
        "trusted_mcp_servers": [
            [one.server, one.at, one.tool, one.schema] if one.tool else one.server
            for one in sorted(defaults.trusted_mcp_servers)
        ],
        **{name: value for name, value in later.items() if value != getattr(usual, name)},
        **({"verify_sample": defaults.verify_sample} if defaults.verify_sample else {}),
    }


def conflicts(entries: Iterable[Entry]) -> list[Finding]:
    """Files that contradict each other where no side is the stricter one."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.pattern, []).append(entry)
    found: list[Finding] = []
    for name, several in by_name.items():
        for field in _ONE_TRUTH if len(several) > 1 else ():
            said = [entry for entry in several if getattr(entry, field) is not None]
            texts = {canonical_json(plain_entry(entry)[field]) for entry in said}
            if len(texts) > 1:
                first, *rest = sorted(said, key=lambda entry: entry.where)
                found.extend(_conflict(name, field, entry, first) for entry in rest)
    return found


def _conflict(name: str, field: str, entry: Entry, first: Entry) -> Finding:
    file, line, column = entry.where.rsplit(":", 2)
    return Finding(
        file=file,
        line=int(line),
        column=int(column),
        path=f"tools.{name}.{field}",
        code="conflict",
        message=f"another file says otherwise ({first.where}): keep {field} in one of them",
    )
