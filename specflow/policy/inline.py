"""Inline tests: what a policy says about itself, and whether it is so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from specflow.effects.call import Call, NotJsonError
from specflow.policy.document import ExpectPart, InlineTest
from specflow.policy.policy import Policy
from specflow.policy.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """`failures` is empty when the test holds; `verdict` is None when the call itself is not possible."""

    name: str
    where: str
    failures: tuple[str, ...]
    verdict: Verdict | None

    @property
    def passed(self) -> bool:
        return not self.failures


def run(policy: Policy) -> list[TestResult]:
    """Every inline test of the policy, in the order of its files."""
    return [_run(policy, where, test) for where, test in policy.tests]


def _run(policy: Policy, where: str, test: InlineTest) -> TestResult:
    try:
        call = Call(tool=test.call.tool, args=test.call.args)
    except NotJsonError as error:
        return TestResult(name=test.name, where=where, failures=(str(error),), verdict=None)
    verdict = policy.explain(call, context=test.call.context, tainted=test.call.tainted)
    return TestResult(
        name=test.name, where=where, failures=tuple(_failures(test.expect, verdict)), verdict=verdict
    )


def _failures(expect: ExpectPart, verdict: Verdict) -> Iterator[str]:
    for name in ("effect", "speculate", "confirm", "min_confidence"):
        wanted, got = getattr(expect, name), getattr(verdict, name)
        if wanted is not None and wanted != got:
            yield f"{name}: expected {wanted}, got {got}"
    codes = {reason.code for reason in verdict.reasons}
    for code in expect.reasons or ():
        if code not in codes:
            yield f"reasons: expected {code}, got {', '.join(sorted(codes))}"
