"""What a crash server does once instead of in every trial: preparing, and the runs before a recovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from specflow.testing import crash
from specflow.testing.crash import CrashScenario, CrashServer, CrashServerError

pytestmark = pytest.mark.skipif(not crash.AVAILABLE, reason=crash.WHY_NOT)

SCENARIO = """
import os, pathlib, threading
from specflow.probe import reach

ready = []

def count(folder, what):
    with open(pathlib.Path(folder) / what, "a") as file:
        file.write(".")

def prepare(folder):
    ready.append(1)
    count(folder, "prepared")

def threads(folder):
    threading.Thread(target=threading.Event().wait, daemon=True, name="left behind").start()

def run(world, folder):
    assert ready == [1]
    count(folder, "runs")
    (world / "state").write_text("begun")
    reach("call.before")
    (world / "state").write_text("done")
    reach("call.after")

def recover(world, folder):
    assert ready == [1]
    state = (world / "state").read_text()
    reach("recover.taken")
    (world / "state").write_text(state + " recovered")
    reach("undo.committed")

def check(world, folder):
    assert (world / "state").read_text().startswith(("begun", "done")), (world / "state").read_text()
"""


def scenario(folder: Path, *, contained: bool, prepare: str = "prepare") -> CrashScenario:
    (folder / "prepared_scenario.py").write_text(SCENARIO)
    return CrashScenario(
        run="prepared_scenario:run",
        recover="prepared_scenario:recover",
        check="prepared_scenario:check",
        prepare=f"prepared_scenario:{prepare}",
        contained=contained,
        args={"folder": str(folder)},
        paths=(str(folder),),
    )


@pytest.mark.parametrize(("contained", "runs"), [(True, 2), (False, 4)])
def test_a_run_is_made_once_when_all_it_leaves_can_be_copied(
    contained: bool, runs: int, tmp_path: Path
) -> None:
    with CrashServer(scenario(tmp_path, contained=contained)) as server:
        for path in (
            ("call.before",),
            ("call.before", "recover.taken"),
            ("call.before", "undo.committed"),
            ("call.after", "recover.taken"),
        ):
            trial = server.trial(*path)
            assert (trial.error, trial.missed) == ("", ())
            # A run that was not made again still tells what it did.
            assert [str(point) for point in trial.stages[0].points][:1] == ["call.before#1"]
    assert len((tmp_path / "runs").read_text()) == runs
    assert (tmp_path / "prepared").read_text() == "."


def test_preparing_may_leave_no_thread_behind(tmp_path: Path) -> None:
    with pytest.raises(CrashServerError, match="left behind"):
        CrashServer(scenario(tmp_path, contained=True, prepare="threads"))
