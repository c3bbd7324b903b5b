import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from specflow import probe
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner, ToolSpec
from specflow.errors import ConfigurationError
from specflow.testing import faults
from specflow.testing.explore import run
from specflow.testing.faults import Fault, FaultNeverFiredError, Faults
from specflow.testing.seeded_loop import DeadlockError


class Booking:
    def __init__(self):
        self.booked = []

    async def __call__(self, call: Call, context: CallContext) -> str:
        self.booked.append(call.tool)
        return "booked"


CALL = Call(tool="book", args={})


# At probe points.


def test_an_error_is_raised_at_the_nth_reach_and_only_there():
    with Faults(faults.error("intent.before", OSError("disk full"), nth=2)) as plan:
        probe.reach("intent.before")
        with pytest.raises(OSError, match="disk full"):
            probe.reach("intent.before")
        probe.reach("intent.before")
    assert plan.reached["intent.before"] == 3
    assert [fault.nth for fault in plan.fired] == [2]


def test_nth_zero_is_every_reach():
    with Faults(faults.error("call.before", ValueError, nth=0)):
        for _ in range(3):
            with pytest.raises(ValueError):  # noqa: PT011 - the class alone was planned
                probe.reach("call.before")


def test_the_hook_that_was_there_is_called_and_put_back():
    seen = []
    before = probe.install(seen.append)
    try:
        with Faults(faults.error("call.after", OSError("outer"))), Faults():
            probe.reach("call.before")
            with pytest.raises(OSError, match="outer"):
                probe.reach("call.after")
        probe.reach("adopt.before")
        assert seen == ["call.before", "call.after", "adopt.before"]
    finally:
        assert probe.install(before) == seen.append


def test_the_hook_is_put_back_after_an_error_too():
    with pytest.raises(KeyError), Faults(faults.error("call.before", KeyError("x"))):
        probe.reach("call.before")
    assert probe.install(None) is None


def test_a_delay_at_a_probe_point_lets_virtual_time_pass():
    async def main():
        with Faults(faults.delay("call.before", 30)):
            probe.reach("call.before")
        return asyncio.get_running_loop().time()

    assert run(main()) == 30


def test_a_delay_outside_a_seeded_loop_waits(monkeypatch):
    slept = []
    monkeypatch.setattr(faults.time, "sleep", slept.append)
    with Faults(faults.delay("call.before", 0.25)):
        probe.reach("call.before")
    assert slept == [0.25]


def test_a_cancellation_at_a_probe_point_is_noticed_at_the_next_await():
    async def main():
        with Faults(faults.cancel("call.before")):
            probe.reach("call.before")
            await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        run(main())


def test_there_must_be_a_task_to_cancel():
    with Faults(faults.cancel("call.before")), pytest.raises(ConfigurationError, match="outside a task"):
        probe.reach("call.before")


def test_a_probe_point_cannot_hang():
    with Faults(faults.hang("call.before")), pytest.raises(ConfigurationError, match="not async"):
        probe.reach("call.before")


def test_reaches_from_many_threads_are_all_counted():
    plan = Faults(faults.error("call.before", OSError, nth=4000))
    raised = []

    def reach():
        for _ in range(1000):
            try:
                probe.reach("call.before")
            except OSError:
                raised.append(1)

    with plan:
        threads = [threading.Thread(target=reach) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert plan.reached["call.before"] == 4000
    assert raised == [1]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_kill_ends_the_process_at_once():
    code = (
        "from specflow import probe\n"
        "from specflow.testing.faults import Faults, kill\n"
        "with Faults(kill('call.after', nth=2)):\n"
        "    for n in range(3):\n"
        "        probe.reach('call.after'); print(n, flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "0\n"


# Around a runner.


def test_a_runner_stays_a_runner():
    wrapped: Runner = Faults().wrap(Booking(), name="book")
    spec = ToolSpec(name="book", runner=wrapped)
    assert run(spec.runner(CALL, CallContext())) == "booked"


def test_before_nothing_has_happened_and_after_it_has():
    async def main():
        before, after = Booking(), Booking()
        plan = Faults(
            faults.error("before.before", ConnectionError("refused")),
            faults.error("after.after", TimeoutError("lost")),
        )
        with plan:
            with pytest.raises(ConnectionError):
                await plan.wrap(before, name="before")(CALL, CallContext())
            with pytest.raises(TimeoutError):
                await plan.wrap(after, name="after")(CALL, CallContext())
        return before.booked, after.booked

    assert run(main()) == ([], ["book"])


def test_a_hang_ends_by_cancellation_and_its_effect_has_happened():
    booking = Booking()

    async def main():
        plan = Faults(faults.hang("book.after"))
        async with asyncio.timeout(5):
            await plan.wrap(booking, name="book")(CALL, CallContext())

    with pytest.raises(TimeoutError):
        run(main())
    assert booking.booked == ["book"]


def test_a_hang_that_nobody_limits_is_a_deadlock_not_a_hang():
    plan = Faults(faults.hang("book.before"))
    with pytest.raises(DeadlockError, match=r"faults\.py"):
        run(plan.wrap(Booking(), name="book")(CALL, CallContext()))


def test_a_delay_and_a_cancellation_around_a_runner():
    booking = Booking()

    async def main():
        plan = Faults(faults.delay("book.before", 60), faults.cancel("book.before", nth=2))
        runner = plan.wrap(booking, name="book")
        await runner(CALL, CallContext())
        taken = asyncio.get_running_loop().time()
        task = asyncio.create_task(runner(CALL, CallContext()))
        await asyncio.wait({task})
        return taken, task.cancelled(), booking.booked

    assert run(main()) == (60, True, ["book"])


def test_the_name_is_the_functions_own_unless_given():
    async def search(city):
        return city

    plan = Faults()
    assert run(plan.wrap(search)("Rome")) == "Rome"
    assert dict(plan.reached) == {"search.before": 1, "search.after": 1}


# A plan that does not happen.


def test_a_fault_that_never_fired_is_an_error():
    misspelt = Faults(faults.error("intent.comitted", OSError))
    with pytest.raises(FaultNeverFiredError, match=r"did you mean 'intent\.committed'\?"), misspelt:
        probe.reach("intent.committed")
    too_late = Faults(faults.error("call.before", OSError, nth=3))
    with pytest.raises(FaultNeverFiredError, match="reach 3 never came, only 1 did"), too_late:
        probe.reach("call.before")


def test_it_is_none_when_told_or_when_something_else_went_wrong():
    with Faults(faults.kill("call.before"), strict=False):
        pass
    with pytest.raises(ZeroDivisionError), Faults(faults.kill("call.before")):
        raise ZeroDivisionError


def test_a_plan_is_installed_once_at_a_time():
    plan = Faults()
    with plan, pytest.raises(ConfigurationError, match="installed already"), plan:
        pass
    with plan:
        probe.reach("call.before")
    assert plan.reached["call.before"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "error"},
        {"kind": "delay", "seconds": -1.0},
        {"kind": "kill", "nth": -1},
    ],
)
def test_a_fault_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        Fault(point="call.before", **wrong)
