"""The policy's files: can they be used, which policy that is, and what lint finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from specflow.effects.registry import ToolRegistry
from specflow.graph.remark import Level, Remark
from specflow.policy.finding import Severity
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy

AREA = "policy"
_SHOWN = 5


def of_files(
    files: Sequence[str | Path], tools: ToolRegistry | None, *, keeps_secrets: bool
) -> tuple[Policy | None, list[Remark]]:
    """The policy, if it can be used, and what is to be said of its files."""
    subject = ", ".join(map(str, files))
    found = survey(files, tools=tools)
    if found.compiled is None:
        several = [
            Remark(
                area=AREA,
                subject=subject,
                level=Level.PROBLEM,
                found=str(finding),
                mend=f"specflow policy check {' '.join(map(str, files))}",
            )
            for finding in found.findings[:_SHOWN]
        ]
        return None, several
    policy = Policy(found.compiled, tools=tools, keeps_secrets=keeps_secrets)
    findings = [finding for finding in lint(policy, found.reads) if finding.severity is not Severity.NOTE]
    remarks = [_of_hash(subject, policy.hash)]
    for finding in findings[:_SHOWN]:
        wrong = finding.severity is Severity.ERROR
        level = Level.PROBLEM if wrong else Level.WARNING
        remarks.append(Remark(area=AREA, subject="lint", level=level, found=str(finding)))
    if len(findings) > _SHOWN:
        remarks.append(
            Remark(
                area=AREA,
                subject="lint",
                level=Level.WARNING,
                found=f"{len(findings)} findings in all",
                mend=f"specflow policy check {' '.join(map(str, files))}",
            )
        )
    return policy, remarks


def of_loaded(judge: object, tools: ToolRegistry, *, keeps_secrets: bool) -> Iterator[Remark]:
    """The policy that a runtime already has: its files are read again, so changes since then are seen."""
    names = getattr(judge, "files", None) or tuple(map(str, getattr(judge, "paths", ())))
    files = [name for name in names if Path(name).exists()]
    digest = str(getattr(judge, "hash", ""))
    if not files:
        yield _of_hash(type(judge).__name__, digest)
        return
    policy, remarks = of_files(files, tools, keeps_secrets=keeps_secrets)
    yield from remarks
    if policy is not None and digest and policy.hash != digest:
        yield Remark(
            area=AREA,
            subject="hash",
            level=Level.WARNING,
            found=f"the runtime works with {digest[:12]}, its files mean {policy.hash[:12]}",
            mend="restart, or use ReloadingPolicy",
        )


def _of_hash(subject: str, digest: str) -> Remark:
    return Remark(area=AREA, subject=subject, found=f"hash {digest[:12] or 'unknown'}")
