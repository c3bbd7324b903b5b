from __future__ import annotations

import pytest

from specflow.testing.journal_contract import CHECKS, Make, run_check


@pytest.mark.parametrize("name", CHECKS)
def test_every_journal_keeps_the_contract(name: str, make_journal: Make) -> None:
    run_check(name, make_journal)
