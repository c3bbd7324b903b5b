"""The matrix of ways in: every form of the agent, run in every way, over every checkpointer.

Each cell is compared with the same graph without specflow. The early calls are hits in every one of them, so
that it is not for want of speculation that nothing differs.
"""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ways_of_running import WAYS, Way
from ways_savers import SAVERS, database_for, set_up
from ways_seen import differences
from ways_trial import FORMS, Trial, perform

from specflow.testing.postgres import PostgresServer, postgres

__all__ = ["postgres"]

HITS = {
    # The read of the agent and the one of its scout; the seat held while the model still speaks.
    "create_agent": {"look": 2, "hold": 1},
    "StateGraph": {"look": 2, "hold": 1},
    "Workflow": {"look": 2, "hold": 1},
}


NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))


def cells() -> list[Any]:
    """All of them at night; else each way over PostgreSQL in one form only, and each form in some."""
    chosen = {(FORMS[number % len(FORMS)], way.name) for number, way in enumerate(WAYS)}
    return [
        pytest.param(
            form,
            way,
            saver,
            id=f"{form}-{way.name}-{saver}",
            marks=[pytest.mark.postgres] if saver == "PostgreSQL" else [],
        )
        for form, way, saver in product(FORMS, WAYS, SAVERS)
        if saver != "PostgreSQL" or NIGHTLY or (form, way.name) in chosen
    ]


@pytest.fixture(scope="module")
def checkpoint_database(postgres: PostgresServer) -> str:
    return set_up(postgres.new_database())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all cells: databases are made once."""
    return tmp_path_factory.mktemp("ways")


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize(("form", "way", "saver"), cells())
async def test_nobody_can_tell_that_specflow_is_there(
    folder: Path, request: pytest.FixtureRequest, form: str, way: Way, saver: str
) -> None:
    url = database_for(saver, request)
    question = "find Rome" if form == "StateGraph" else "send Rome"
    trial = Trial(form=form, way=way, saver=saver, asks=saver != "none", question=question)
    want = await perform(trial.without(), folder, url)
    got = await perform(trial, folder, url)
    found = differences(want.told, got.told)
    assert not found, "\n".join(found[:40])
    assert got.hits() == HITS[form], got.outcomes()
    assert not got.violations
