"""From files or text to a `Policy`, or to every problem they have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from specflow.effects.registry import ToolRegistry
from specflow.policy import check, compile, merge, source  # noqa: A004 - the module named for its idea
from specflow.policy.compiled import Compiled, Entry
from specflow.policy.document import InlineTest
from specflow.policy.finding import Finding, refuse
from specflow.policy.policy import Policy
from specflow.policy.read_document import Read, place, read_document


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """All that was found: `compiled` is None when a finding keeps the policy from being used."""

    reads: tuple[Read, ...]
    compiled: Compiled | None
    findings: tuple[Finding, ...]
    tests: tuple[tuple[str, InlineTest], ...] = ()


def load(
    sources: str | Path | Iterable[str | Path],
    *,
    tools: ToolRegistry | None = None,
    keeps_secrets: bool = False,
) -> Policy:
    """The policy in a file, a folder of `*.yaml`, several of them, or text (a str with a line break).

    Several files are merged by strictness: their order never matters, and none can loosen another.
    With `tools`, compensators, verifiers and patch tools of registered tools must be registered too.
    `keeps_secrets`: the journal it is for has a key, so what is redacted is stored, sealed.

    Raises:
        PolicyError: `.facts["findings"]` lists every problem, in the order of the files.
    """
    found = survey(sources, tools=tools)
    if found.compiled is None or found.findings:
        raise refuse(found.findings)
    files = [read.file for read in found.reads]
    return Policy(found.compiled, tools=tools, tests=found.tests, files=files, keeps_secrets=keeps_secrets)


def loads(
    text: str, *, file: str = "<text>", tools: ToolRegistry | None = None, keeps_secrets: bool = False
) -> Policy:
    """The policy in `text`; `file` is how findings call it. The rest is as in `load`.

    Raises:
        PolicyError: as `load`.
    """
    found = assemble([read_document(text, file)], [], tools)
    if found.compiled is None or found.findings:
        raise refuse(found.findings)
    return Policy(found.compiled, tools=tools, tests=found.tests, files=[file], keeps_secrets=keeps_secrets)


def survey(sources: str | Path | Iterable[str | Path], *, tools: ToolRegistry | None = None) -> Loaded:
    """Everything that can be found out about the sources, without raising for what they hold."""
    if isinstance(sources, str) and "\n" in sources:
        return assemble([read_document(sources, "<text>")], [], tools)
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    paths, findings = source.files_of([Path(item) for item in several])
    reads: list[Read] = []
    for path in paths:
        text = source.read(path)
        if isinstance(text, Finding):
            findings.append(text)
        else:
            reads.append(read_document(text, str(path)))
    if not several:
        findings.append(
            Finding(
                file="<none>", line=0, column=0, path="", code="not_found", message="no policy file was named"
            )
        )
    return assemble(reads, findings, tools)


def assemble(reads: list[Read], findings: list[Finding], tools: ToolRegistry | None) -> Loaded:
    """What the files that were read are together; `findings` are what kept others from being read."""
    for read in reads:
        findings.extend(read.findings)
    good = [read for read in reads if read.document is not None]
    entries: list[Entry] = [entry for read in good for entry in compile.entries(read)]
    findings.extend(merge.conflicts(entries))
    findings.extend(finding for read in good for finding in check.of_document(read, tools))
    compiled = None
    if not findings:
        compiled = merge.merge([read.document for read in good if read.document is not None], entries)
        findings.extend(finding for read in good for finding in check.of_reads(read, compiled, tools))
    tests = tuple(
        (_where(read, index), test)
        for read in good
        if read.document is not None
        for index, test in enumerate(read.document.tests)
    )
    compiled = None if findings else compiled
    return Loaded(reads=tuple(reads), compiled=compiled, findings=tuple(sorted(set(findings))), tests=tests)


def _where(read: Read, index: int) -> str:
    line, column = place(read.spot, ("tests", index))
    return f"{read.file}:{line}:{column}"
