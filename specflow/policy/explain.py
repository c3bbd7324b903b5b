"""A verdict for people and programs to read."""

from __future__ import annotations

from typing import Any

from specflow.effects.call import Call
from specflow.policy.verdict import Verdict


def as_dict(call: Call, verdict: Verdict) -> dict[str, Any]:
    """Plain JSON data. `tool`, `effect`, `speculate`, `reasons` and `policy_hash` are promised to stay."""
    return {
        "tool": call.tool,
        "effect": str(verdict.effect),
        "speculate": str(verdict.speculate),
        "reasons": [
            {"code": reason.code, "message": reason.message, "where": reason.where}
            for reason in verdict.reasons
        ],
        "policy_hash": verdict.policy_hash,
        "schema_hash": verdict.schema_hash,
        "min_confidence": verdict.min_confidence,
        "predictors": None if verdict.predictors is None else sorted(verdict.predictors),
        "confirm": str(verdict.confirm),
        "withheld": list(verdict.withheld),
        "fingerprint": call.fingerprint,
    }


def as_text(call: Call, verdict: Verdict) -> str:
    """The same, for a terminal."""
    lines = [f"{call.tool}: {verdict.effect}, speculate: {verdict.speculate}"]
    lines += [
        f"  {reason.code}: {reason.message}{f'  [{reason.where}]' if reason.where else ''}"
        for reason in verdict.reasons
    ]
    if verdict.speculate == "now":
        who = "anyone" if verdict.predictors is None else ", ".join(sorted(verdict.predictors)) or "nobody"
        lines.append(f"  early from confidence {verdict.min_confidence:g}, by {who}")
    if verdict.effect == "confirmation_required":
        lines.append(f"  confirm: {verdict.confirm}")
    lines.append(f"  policy {verdict.policy_hash[:12]}")
    return "\n".join(lines)
