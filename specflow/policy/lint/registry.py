"""Every check with its code. Codes are stable: a number is never used for something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from specflow.policy.finding import Finding, Severity
from specflow.policy.lint import (
    arguments,
    doubt,
    early,
    listing,
    mappings,
    patches,
    rules,
    transactions,
    undo,
    worth,
)
from specflow.policy.lint.subject import Found, Hit, Subject
from specflow.policy.policy import Policy
from specflow.policy.read_document import Read, dotted, place

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that lint looks for; `title` is how the documentation calls it."""

    code: str
    severity: Severity
    title: str
    find: Callable[[Subject], Found]


def _check(code: str, severity: Severity, title: str, find: Callable[[Subject], Found]) -> Check:
    return Check(code=code, severity=severity, title=title, find=find)


CHECKS = (
    _check("SF101", _WARNING, "A rule that never counts", rules.unreachable),
    _check("SF102", _WARNING, "A rule that changes nothing", rules.shadowed),
    _check("SF103", _NOTE, "An allow and a require that meet", rules.overlapping),
    _check("SF104", _WARNING, "A condition that a missing argument breaks", arguments.fallible),
    _check("SF105", _ERROR, "An argument that the tool does not have", arguments.unknown),
    _check("SF201", _ERROR, "A compensator is missing", undo.missing),
    _check("SF202", _ERROR, "A compensator that nobody has classed", undo.unclassed),
    _check("SF203", _ERROR, "Compensators in a circle", undo.cyclic),
    _check("SF204", _WARNING, "A compensator that could undo twice", undo.repeated),
    _check("SF205", _ERROR, "A required argument that nothing gives", mappings.unmapped),
    _check("SF206", _ERROR, "A mapping that leads nowhere", mappings.astray),
    _check("SF207", _ERROR, "A mapping of the wrong type", mappings.mistyped),
    _check("SF208", _ERROR, "A mapping that needs a redacted field", mappings.redacted),
    _check("SF209", _ERROR, "An undo that may come too late", undo.window),
    _check("SF210", _ERROR, "A compensator that is denied", undo.denied),
    _check("SF211", _ERROR, "A verifier that may write", undo.verifier),
    _check("SF212", _ERROR, "A read from before that never runs early", undo.read_late),
    _check("SF213", _WARNING, "A patch that is never used", patches.unused),
    _check("SF214", _WARNING, "A patch that answers something else", patches.answers),
    _check("SF215", _WARNING, "A transaction that nobody opens or takes", transactions.unopened),
    _check("SF216", _NOTE, "An undo that is not in a transaction", transactions.one_sided),
    _check("SF301", _WARNING, "An early write without a confidence of its own", early.unsure),
    _check("SF302", _WARNING, "A cache on what is not a read", early.cached),
    _check("SF303", _ERROR, "An ignored field that decides something", early.ignored),
    _check("SF304", _WARNING, "A match that does not count", early.matched),
    _check("SF305", _WARNING, "Destinations are missing", early.undeclared),
    _check("SF306", _ERROR, "A sub-agent that reaches a confirmation early", early.reached),
    _check("SF307", _NOTE, "A sub-agent that cannot be looked into", early.opaque),
    _check("SF308", _WARNING, "An early call that can never pay", worth.unpayable),
    _check("SF309", _NOTE, "A limit that is never reached", worth.unreachable),
    _check("SF310", _WARNING, "An early write of which nobody could say whether it happened", doubt.untold),
    _check("SF401", _WARNING, "A tool that is not in the policy", listing.unlisted),
    _check("SF402", _ERROR, "A name that no tool has", listing.nameless),
    _check("SF403", _ERROR, "The schema changed after the review", listing.changed),
    _check("SF404", _ERROR, "The tool says otherwise", listing.contradicted),
    _check("SF405", _NOTE, "A proposal that nobody has reviewed", listing.proposed),
    _check("SF406", _WARNING, "A time for an answer that nobody asks for", listing.unasked),
    _check("SF407", _ERROR, "A read that cannot be shown", listing.unshown),
    _check("SF408", _NOTE, "A server that is trusted by its name alone", listing.by_name_alone),
)


def lint(policy: Policy, reads: Iterable[Read]) -> list[Finding]:
    """Everything found in a policy that loads, in the order of its files.

    `reads` are the files it was made of (`specflow.policy.load.survey`). What needs the tools themselves
    is looked for only where the policy was loaded with them.
    """
    subject = Subject(policy=policy, reads=tuple(reads))
    return sorted({_finding(check, hit) for check in CHECKS for hit in check.find(subject)})


def _finding(check: Check, hit: Hit) -> Finding:
    line, column = place(hit.read.spot, hit.loc, key=hit.key)
    return Finding(
        file=hit.read.file,
        line=line,
        column=column,
        path=dotted(hit.loc),
        code=check.code,
        message=hit.message,
        severity=check.severity,
    )
