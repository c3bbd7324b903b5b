"""What every journal must do, as checks that any test runner can call.

    @pytest.mark.parametrize("name", CHECKS)
    def test_my_journal(name):
        run_check(name, lambda is_dead: MyJournal(is_dead=is_dead))

The factory gets a function that tells whether an owner is known to be dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from specflow.journal.port import Journal
from specflow.testing import (
    journal_checks_approvals,
    journal_checks_calls,
    journal_checks_claims,
    journal_checks_links,
    journal_checks_moves,
    journal_checks_orphans,
    journal_checks_pairs,
    journal_checks_repeats,
    journal_checks_rows,
    journal_checks_sealed,
    journal_checks_sessions,
)
from specflow.testing.journal_bench import REGISTERED, Bench, Check

Make = Callable[[Callable[[str], bool]], Journal]
"""Makes a journal; the argument tells which owners are dead."""

CHECKS: Mapping[str, Check] = REGISTERED
"""Every check by name."""

# Importing them has registered their checks.
SUITES = (
    journal_checks_rows,
    journal_checks_sealed,
    journal_checks_moves,
    journal_checks_orphans,
    journal_checks_links,
    journal_checks_pairs,
    journal_checks_claims,
    journal_checks_approvals,
    journal_checks_calls,
    journal_checks_repeats,
    journal_checks_sessions,
)


def run_check(name: str, make: Make) -> None:
    """Run one check on a fresh journal, on an event loop of its own.

    Raises:
        AssertionError: the journal breaks the contract.
    """

    async def run() -> None:
        dead: set[str] = set()
        journal = make(dead.__contains__)
        try:
            await CHECKS[name](Bench(journal=journal, dead=dead))
        finally:
            await journal.aclose()

    asyncio.run(run())
