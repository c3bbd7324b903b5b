import signal
import subprocess
import threading
from pathlib import Path

import pytest

from specflow.errors import ConfigurationError
from specflow.testing import crash
from specflow.testing.crash import CrashPoint, CrashScenario, CrashServer, CrashServerError, parse_point

HERE = str(Path(__file__).parent)
SCENARIO = "crash_journal_scenario"
needs_fork = pytest.mark.skipif(not crash.AVAILABLE, reason=crash.WHY_NOT)


def scenario(run="run", recover="recover", check="check", module=SCENARIO, **args):
    return CrashScenario(
        run=f"{module}:{run}",
        recover=f"{module}:{recover}",
        check=f"{module}:{check}",
        args=args,
        paths=(HERE,),
    )


def bare(run):
    return scenario(run=run, recover="recover_nothing", check="check_nothing")


@needs_fork
def test_a_calm_trial_lists_the_points_of_every_stage_in_order():
    with CrashServer(scenario()) as server:
        trial = server.trial()
    assert trial.error == ""
    assert [stage.role for stage in trial.stages] == ["run", "recover", "check"]
    assert [str(point) for point in trial.stages[0].points[:6]] == [
        "intent.before#1",
        "intent.committed#1",
        "call.before#1",
        "call.after#1",
        "outcome.committed#1",
        "intent.before#2",
    ]


@needs_fork
def test_a_process_dies_at_the_nth_reach_and_not_before():
    with CrashServer(scenario()) as server:
        trial = server.trial("call.after#2", "undo.called")
    run, first, second, _ = trial.stages
    assert run.killed
    assert run.points[-1] == CrashPoint(name="call.after", nth=2)
    assert first.killed
    assert str(first.points[-1]) == "undo.called#1"
    assert not second.killed
    assert trial.error == ""
    assert trial.recovery == second.points


@needs_fork
def test_a_wrong_journal_fails_with_the_message_of_the_check():
    with CrashServer(scenario(bug="intent after call")) as server:
        trial = server.trial("call.after")
    assert "a call without an intent" in trial.error
    assert trial.error.startswith("check: ")


@needs_fork
def test_an_async_scenario_with_threads_of_its_own_runs_in_its_child():
    with CrashServer(bare("run_async")) as server:
        assert server.trial().error == ""
        assert server.trial("call.after").stages[0].killed


@needs_fork
def test_works_from_a_process_with_threads():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with CrashServer(scenario()) as server:
            assert server.trial("intent.committed").error == ""
    finally:
        stop.set()
        thread.join()


@needs_fork
def test_a_hang_is_ended_and_says_where():
    with CrashServer(bare("run_forever"), timeout=0.5) as server:
        trial = server.trial()
        assert "still running after 0.5 s, at call.before" in trial.error
        # And the server is still good.
        assert server.trial("call.before").error == ""


@needs_fork
def test_an_exit_nobody_asked_for_is_not_taken_for_the_crash():
    with CrashServer(bare("run_and_exit")) as server:
        assert "exit 3" in server.trial().error


@needs_fork
def test_an_error_of_the_scenario_comes_with_its_traceback_and_its_output():
    with CrashServer(bare("run_noisily")) as server:
        error = server.trial().error
    assert "ValueError: the scenario itself is wrong" in error
    assert "must not get between" in error


@needs_fork
def test_a_crash_that_never_comes_is_reported_as_missed():
    with CrashServer(scenario()) as server:
        assert server.trial("verify.before").missed == (CrashPoint(name="verify.before"),)


@needs_fork
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crash_journal_scenario:nothing", "names no function"),
        ("no_such_module:run", "ModuleNotFoundError"),
        ("crash_threads_scenario:run", "started threads: busybody"),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused(name, said):
    broken = CrashScenario(run=name, recover=name, check=name, paths=(HERE,))
    with pytest.raises(CrashServerError, match=said):
        CrashServer(broken)


@needs_fork
def test_a_dead_server_is_an_error_and_leaves_nothing_behind():
    server = CrashServer(scenario())
    worlds = server._worlds
    try:
        server._process.send_signal(signal.SIGKILL)
        server._process.wait(timeout=30)
        with pytest.raises(CrashServerError, match="the fork server died"):
            server.trial()
    finally:
        server.close()
    assert not worlds.exists()


@needs_fork
def test_the_world_of_a_passed_trial_is_removed_and_of_a_failed_one_kept_until_the_end():
    with CrashServer(scenario(bug="intent after call")) as server:
        server.trial()
        assert list(server._worlds.iterdir()) == []
        server.trial("call.after")
        assert [path.name[-2:] for path in server._worlds.iterdir() if path.is_dir()] == ["_2"]
        process = server._process
    assert not server._worlds.exists()
    assert process.returncode == 0


@pytest.mark.parametrize("text", ["", "#1", "call.before#0", "call.before#x", "call.before#"])
def test_a_crash_point_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigurationError, match="no crash point"):
        parse_point(text)


def test_without_fork_it_says_so(monkeypatch):
    monkeypatch.setattr(crash, "AVAILABLE", False)
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(ConfigurationError, match=r"os\.fork"):
        CrashServer(scenario())
