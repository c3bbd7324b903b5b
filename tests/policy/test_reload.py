"""A policy that follows its files: never by halves, never worse for a bad version, never waiting."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import loads, snapshot
from specflow.policy.reload import ReloadingPolicy
from specflow.policy.settings import Judge
from specflow.policy.verdict import Speculate
from specflow.testing.manual_clock import ManualClock

TOOL = ToolSpec(name="a")
CALL = Call(tool="a", args={"amount": 5})

# Every beginning of STRICT that ends with a line is a valid policy, and a looser one.
LOOSE = "version: 1\ntools:\n  a:\n    effect: read_only\n"
STRICT = LOOSE + "    rules:\n      - {id: r, when: args.amount > 1, require: {effect: deny}}\n"
OTHER = "version: 1\ntools:\n  a:\n    effect: read_only\n    speculate: hold\n"
BROKEN = "version: 1\ntools: [\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    write(path, STRICT)
    return path


def write(path: Path, text: str) -> None:
    """As a careful writer does: beside it, then in its place. Old enough for its marks to count."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.utime(new, (1_000_000, 1_000_000 + len(text)))
    new.replace(path)


def effect(policy: Judge) -> EffectClass:
    return policy.judge(TOOL, CALL, context={}).effect


@pytest.fixture
def policy(file: Path) -> Iterator[ReloadingPolicy]:
    with ReloadingPolicy(file, interval=2.0, clock=ManualClock()) as made:
        yield made


def test_it_is_a_judge(policy: ReloadingPolicy) -> None:
    judge: Judge = policy
    same = loads(STRICT)
    assert (judge.hash, judge.budgets, judge.settings(TOOL)) == (same.hash, same.budgets, same.settings(TOOL))
    verdict = judge.judge(TOOL, CALL, context={})
    assert verdict.policy_hash == judge.hash == policy.current.hash
    assert verdict.effect is EffectClass.DENY
    assert not policy.compensates("b", "a", TOOL)
    assert policy.problem is None


def test_a_change_counts_when_two_looks_have_seen_it(file: Path, policy: ReloadingPolicy) -> None:
    assert not policy.look()
    write(file, LOOSE)
    assert not policy.look()
    assert effect(policy) is EffectClass.DENY
    assert policy.look()
    assert effect(policy) is EffectClass.READ_ONLY
    assert policy.hash == loads(LOOSE).hash
    assert not policy.look()


def test_reload_takes_it_at_once(file: Path, policy: ReloadingPolicy) -> None:
    assert not policy.reload()
    write(file, LOOSE)
    assert policy.reload()
    assert effect(policy) is EffectClass.READ_ONLY
    write(file, LOOSE + "# only a comment\n")
    assert not policy.reload()
    assert policy.hash == loads(LOOSE).hash


def test_a_file_that_is_still_being_written_does_not_count(file: Path, policy: ReloadingPolicy) -> None:
    lines = STRICT.splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        file.write_text("".join(lines[:end]))
        policy.look()
        assert effect(policy) is EffectClass.DENY
    policy.look()
    assert (policy.problem, effect(policy)) == (None, EffectClass.DENY)


def test_a_bad_version_keeps_the_one_before_and_is_told_once(
    file: Path, policy: ReloadingPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="specflow")
    write(file, BROKEN)
    for _ in range(5):
        assert not policy.look()
    assert effect(policy) is EffectClass.DENY
    assert policy.problem is not None
    assert policy.problem.facts["findings"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(file) in caplog.text
    write(file, STRICT)
    assert not policy.look()
    assert policy.problem is None
    write(file, LOOSE)
    policy.look()
    policy.look()
    assert caplog.records[-1].levelname == "WARNING"
    assert loads(LOOSE).hash[:12] in caplog.text


def test_findings_against_the_tools_count_too(file: Path) -> None:
    tools = ToolRegistry([TOOL])
    policy = ReloadingPolicy(file, tools=tools, interval=0)
    write(file, LOOSE + "    compensate: {tool: gone, with: {}}\n")
    assert not policy.reload()
    assert "unknown tool 'gone'" in str(policy.problem)


def test_a_file_that_is_gone(file: Path, policy: ReloadingPolicy) -> None:
    file.unlink()
    policy.look()
    policy.look()
    assert "no such file" in str(policy.problem)
    assert effect(policy) is EffectClass.DENY
    write(file, LOOSE)
    policy.look()
    policy.look()
    assert (policy.problem, effect(policy)) == (None, EffectClass.READ_ONLY)


def test_a_folder_that_loses_a_file_demands_no_less(tmp_path: Path) -> None:
    write(tmp_path / "team.yaml", LOOSE)
    write(tmp_path / "company.yaml", STRICT)
    policy = ReloadingPolicy(tmp_path, clock=ManualClock())
    (tmp_path / "company.yaml").unlink()
    for _ in range(3):
        policy.look()
        assert effect(policy) is EffectClass.DENY
    assert "company.yaml: it is part of the policy in use, and gone" in str(policy.problem)
    assert policy.reload()
    assert (policy.problem, effect(policy)) == (None, EffectClass.READ_ONLY)
    write(tmp_path / "more.yaml", OTHER)
    policy.look()
    policy.look()
    assert policy.judge(TOOL, CALL, context={}).speculate is Speculate.HOLD


def test_without_a_policy_to_begin_with_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such file"):
        ReloadingPolicy(tmp_path / "none.yaml")
    with pytest.raises(PolicyError, match="no policy file was named"):
        ReloadingPolicy([])
    with pytest.raises(PolicyError, match=r"no \*.yaml file"):
        ReloadingPolicy([tmp_path])


def test_a_change_that_its_marks_do_not_show_is_seen_while_the_file_is_fresh(file: Path) -> None:
    clock = ManualClock(epoch=5_000_000.0)
    policy = ReloadingPolicy(file, clock=clock)
    same_size = STRICT.replace("deny", "DENY").replace("DENY", "deny").replace("> 1", "> 9")
    assert len(same_size) == len(STRICT)
    state = file.stat()
    with file.open("r+") as handle:
        handle.write(same_size)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not policy.look()
    assert not policy.look()
    assert policy.hash == loads(STRICT).hash
    # The same, written a moment ago: what looks unchanged is read all the same.
    os.utime(file, (clock.wall(), clock.wall()))
    policy = ReloadingPolicy(file, clock=clock)
    with file.open("r+") as handle:
        handle.write(STRICT)
    os.utime(file, (clock.wall(), clock.wall()))
    policy.look()
    assert policy.look()
    assert policy.hash == loads(STRICT).hash


def test_files_that_change_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    write(one, LOOSE)
    write(two, OTHER)
    policy = ReloadingPolicy([one, two], interval=0)
    real, count = snapshot.source.read, 0

    def disturbed(path: Path) -> Any:
        nonlocal count
        count += 1
        text = real(path)
        write(one, LOOSE + "#" * count + "\n")
        return text

    monkeypatch.setattr(snapshot.source, "read", disturbed)
    assert not policy.reload()
    assert "change while they are read" in str(policy.problem)
    assert count == 2 * snapshot.TRIES
    count = 0
    monkeypatch.setattr(snapshot.source, "read", lambda path: disturbed(path) if count < 2 else real(path))
    policy.reload()
    assert policy.problem is None


def test_a_judgement_starts_one_look_and_does_not_wait_for_it(file: Path) -> None:
    clock = ManualClock()
    started, release = threading.Event(), threading.Event()

    class Slow(ReloadingPolicy):
        looks = 0

        def look(self) -> bool:
            Slow.looks += 1
            started.set()
            assert release.wait(30)
            return super().look()

    policy = Slow(file, interval=2.0, clock=clock)
    effect(policy)
    assert Slow.looks == 0
    clock.advance(3)
    for _ in range(20):
        # The look is held up; the judgements are not.
        assert effect(policy) is EffectClass.DENY
    assert started.wait(30)
    clock.advance(3)
    effect(policy)
    assert Slow.looks == 1
    release.set()
    policy.close()
    clock.advance(3)
    effect(policy)
    assert Slow.looks == 1


def test_looks_follow_judgements(file: Path) -> None:
    clock = ManualClock()
    policy = ReloadingPolicy(file, interval=2.0, clock=clock)
    write(file, LOOSE)
    seen = []
    for _ in range(4):
        clock.advance(3)
        seen.append(effect(policy))
        if policy._worker is not None:
            policy._worker.join(30)
    # The second judgement and the look that it starts run side by side: it may see either.
    assert seen[0] is EffectClass.DENY
    assert seen[2:] == [EffectClass.READ_ONLY, EffectClass.READ_ONLY]
    policy.close()
    policy.close()


def test_a_look_that_fails_leaves_everything_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    policy = ReloadingPolicy(file, clock=clock)

    def broken(self: ReloadingPolicy) -> bool:
        raise OSError("the disk is gone")

    monkeypatch.setattr(ReloadingPolicy, "look", broken)
    clock.advance(3)
    assert effect(policy) is EffectClass.DENY
    policy.close()
    assert "the disk is gone" in caplog.text


def test_no_thread_to_be_had(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    policy = ReloadingPolicy(file, clock=clock)

    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock.advance(3)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        assert effect(policy) is EffectClass.DENY
    with policy._starting:
        clock.advance(3)
        assert effect(policy) is EffectClass.DENY
    policy.close()


def test_closing_from_its_own_thread_does_not_wait_for_itself(file: Path) -> None:
    clock = ManualClock()

    class Closing(ReloadingPolicy):
        def look(self) -> bool:
            self.close()
            return False

    policy = Closing(file, clock=clock)
    clock.advance(3)
    effect(policy)
    assert policy._worker is not None
    policy._worker.join(30)
    assert not policy._worker.is_alive()
    # Closed between the question whether it is time and the lock.
    policy._look_soon()


# --- properties -------------------------------------------------------------------------------------

VERSIONS = {text: loads(text) for text in (STRICT, LOOSE, OTHER)}
BY_HASH = {policy.hash: policy for policy in VERSIONS.values()}

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from([STRICT, LOOSE, OTHER, BROKEN, ""])),
        st.tuples(st.just("begin"), st.integers(0, len(STRICT))),
        st.tuples(st.just("touch"), st.just("")),
        st.tuples(st.just("delete"), st.just("")),
        st.tuples(st.just("look"), st.just("")),
        st.tuples(st.just("reload"), st.just("")),
    ),
    max_size=15,
)


@given(STEPS)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_what_holds_is_always_a_version_that_was_whole(steps: list[tuple[str, Any]]) -> None:
    folder = Path(tempfile.mkdtemp())
    file = folder / "p.yaml"
    try:
        write(file, STRICT)
        policy = ReloadingPolicy(file, clock=ManualClock())
        content, looked, used, asked = STRICT, "", STRICT, {STRICT}
        for word, value in [*steps, ("look", ""), ("look", "")]:
            if word == "write":
                content = value
                write(file, value)
            elif word == "begin":
                content = STRICT[:value]
                file.write_text(content)
            elif word == "touch":
                os.utime(file) if file.exists() else None
            elif word == "delete":
                content = None
                file.unlink(missing_ok=True)
            elif word == "look":
                policy.look()
                if content is not None and looked == content and usable(content):
                    used = content
                looked = content or ""
            else:
                policy.reload()
                # What was looked at before the reload counts no more.
                looked = ""
                if content is not None and usable(content):
                    used = content
            asked.add(used)
            verdict = policy.judge(TOOL, CALL, context={})
            assert policy.hash == verdict.policy_hash == loads(used).hash
            assert verdict.effect == loads(used).judge(TOOL, CALL, context={}).effect
        assert (policy.problem is None) == (content is not None and usable(content))
    finally:
        shutil.rmtree(folder)


def usable(text: str) -> bool:
    try:
        loads(text)
    except PolicyError:
        return False
    return True


def test_threads_never_see_half_a_policy(file: Path) -> None:
    """INVARIANT: a judgement reads the name once, so it sees one whole policy."""
    policy = ReloadingPolicy(file, interval=0.001)
    done = threading.Event()
    wrong: list[str] = []
    seen: set[str] = set()

    def judging() -> None:
        while not done.is_set():
            verdict = policy.judge(TOOL, CALL, context={})
            expected = BY_HASH.get(verdict.policy_hash)
            if expected is None:
                wrong.append(f"no version has the hash {verdict.policy_hash}")
                return
            if (
                expected.judge(TOOL, CALL, context={}) != verdict
                and expected.judge(TOOL, CALL, context={}).effect != verdict.effect
            ):
                wrong.append(f"{verdict.policy_hash} gave {verdict.effect}")
                return
            seen.add(verdict.policy_hash)

    threads = [threading.Thread(target=judging) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(60):
            text = list(VERSIONS)[number % 3]
            write(file, BROKEN if number % 5 == 4 else text)
            for _ in range(200):
                if wrong or policy.reload() or policy.hash == VERSIONS[text].hash or policy.problem:
                    break
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
        policy.close()
    assert wrong == []
    assert seen == set(BY_HASH)
