from pathlib import Path

import pytest

from specflow.errors import ConfigurationError
from specflow.testing import crash
from specflow.testing.crash import CrashScenario, CrashServer
from specflow.testing.crash_matrix import CrashFailedError, crash_matrix

HERE = str(Path(__file__).parent)
pytestmark = pytest.mark.skipif(not crash.AVAILABLE, reason=crash.WHY_NOT)


def scenario(run="run", recover="recover", check="check", **args):
    module = "crash_journal_scenario"
    return CrashScenario(
        run=f"{module}:{run}",
        recover=f"{module}:{recover}",
        check=f"{module}:{check}",
        args=args,
        paths=(HERE,),
    )


def bare(run):
    return scenario(run=run, recover="recover_nothing", check="check_nothing")


def test_a_correct_journal_survives_every_crash_at_every_crash_of_its_recovery():
    paths = []
    report = crash_matrix(
        scenario(), depth=2, samples=10, seed=7, on_trial=lambda trial: paths.append(trial.crashes)
    )
    report.assert_clean(visited=["intent.committed", "call.after", "undo.intended", "recover.taken"])
    # Exhaustive: 2 items x 5 points, then a whole recovery (1 + 2 x 3), each but the last leading on.
    assert sum(len(path) == 1 for path in paths) == 17
    assert len(set(paths)) == len(paths) == report.trials
    assert sum(report.by_depth.values()) == report.trials
    assert report.by_depth[3] > 0
    assert report.crashed["recover.taken"] > 17


@pytest.mark.parametrize("bug", ["intent after call", "unknown means not done", "undo blindly"])
def test_every_wrong_journal_is_caught(bug):
    report = crash_matrix(scenario(bug=bug), depth=2, stop_after=1)
    with pytest.raises(CrashFailedError, match="1 of"):
        report.assert_clean()


def test_a_journal_that_is_wrong_without_any_crash_is_caught_before_the_first():
    with pytest.raises(CrashFailedError, match="without any crash: check: "):
        crash_matrix(scenario(bug="forward order"))


def test_the_report_is_the_same_for_any_number_of_workers():
    reports = [crash_matrix(scenario(bug="undo blindly"), depth=2, stop_after=0, workers=n) for n in (1, 2)]
    assert reports[0].by_depth == reports[1].by_depth
    assert reports[0].crashed == reports[1].crashed
    assert [failure.path for failure in reports[0].failures] == [
        failure.path for failure in reports[1].failures
    ]


def test_the_repeat_of_a_failure_fails_in_the_same_way():
    report = crash_matrix(scenario(bug="unknown means not done"), depth=2, stop_after=1)
    failure = report.failures[0]
    names = {"CrashServer": CrashServer, "CrashScenario": CrashScenario}
    # As a person would: paste the line (and keep a hand on the server, to close it).
    line = failure.repeat.replace("CrashServer(", "(server := CrashServer(", 1).replace(").trial", ")).trial")
    trial = eval(line, names)
    names["server"].close()
    assert trial.crashes == failure.path
    assert trial.error == failure.error


def test_the_same_seed_samples_the_same_paths():
    def sampled(seed):
        paths = []
        crash_matrix(
            scenario(), depth=1, samples=5, seed=seed, on_trial=lambda trial: paths.append(trial.crashes)
        )
        return paths[17:]

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)
    assert all(len(path) == 2 for path in sampled(1))


def test_stops_after_as_many_failures_as_asked():
    report = crash_matrix(scenario(bug="intent after call"), depth=2, stop_after=2)
    assert len(report.failures) == 2


def test_a_scenario_that_fails_without_a_crash_is_no_matrix():
    with pytest.raises(CrashFailedError, match="without any crash: run: "):
        crash_matrix(bare("run_noisily"))


def test_a_scenario_that_reaches_nothing_is_no_matrix():
    silent = scenario(run="run_silently", recover="run_silently", check="check_nothing")
    with pytest.raises(CrashFailedError, match="reaches no point"):
        crash_matrix(silent)


def test_a_scenario_that_goes_another_way_each_time_is_not_clean():
    report = crash_matrix(bare("run_differently"), depth=1)
    with pytest.raises(CrashFailedError, match=r"a crash never came, first: call\.after#1"):
        report.assert_clean()
    report.assert_clean(allow_missed=True)
    with pytest.raises(CrashFailedError, match=r"never reached verify\.before"):
        report.assert_clean(allow_missed=True, visited=["verify.before", "call.before"])


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"samples": -1}, {"workers": 0}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        crash_matrix(scenario(), **wrong)
