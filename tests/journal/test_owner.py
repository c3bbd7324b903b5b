from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.journal import owner
from specflow.journal.owner import known_dead, owner_id


def test_this_process_is_alive() -> None:
    assert not known_dead(owner_id())
    assert owner_id() != owner_id()


def child_owner(*, wait: bool) -> str:
    program = "from specflow.journal.owner import owner_id; print(owner_id())"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.read().strip()
    child.stdout.close()
    if wait:
        child.wait()
    return name


def test_a_process_that_ended_is_dead() -> None:
    assert known_dead(child_owner(wait=True))


def test_a_pid_used_again_is_another_process() -> None:
    host, pid, start, rest = owner_id().rsplit(":", 3)
    assert known_dead(f"{host}:{pid}:{int(start) - 1}:{rest}")
    assert not known_dead(f"{host}:{pid}:0:{rest}"), "without a start nothing is certain"


def test_another_machine_is_never_known_to_be_dead() -> None:
    _host, _pid, start, rest = owner_id().rsplit(":", 3)
    assert not known_dead(f"elsewhere-0123456789ab:999999:{start}:{rest}")


@pytest.mark.parametrize("name", ["", "me", ":::", "a:b:c:d", "a:-1:0:x", "a:99999999999999999999:0:x"])
def test_strange_owners_are_left_alone(name: str) -> None:
    assert not known_dead(name)


def test_a_number_that_is_no_pid_is_nobody_known() -> None:
    host, _pid, start, rest = owner_id().rsplit(":", 3)
    assert not known_dead(f"{host}:{10**30}:{start}:{rest}")


def test_where_there_is_no_proc_only_a_missing_process_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on macOS.
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    mine = owner_id()
    host, pid, start, rest = mine.rsplit(":", 3)
    assert (pid, start) == (str(os.getpid()), "0")
    assert not known_dead(mine)
    assert not known_dead(f"{host}:{pid}:12345:{rest}"), "its start cannot be compared"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert known_dead(f"{host}:{gone.pid}:0:{rest}")


@given(st.text(st.characters(), max_size=20))
def test_no_pid_text_makes_it_raise(pid: str) -> None:
    host, _pid, start, rest = owner_id().rsplit(":", 3)
    known_dead(f"{host}:{pid}:{start}:{rest}")
