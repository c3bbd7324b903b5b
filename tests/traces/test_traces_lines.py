"""Lines that somebody else wrote, and answers that were there before the record began."""

from __future__ import annotations

import lzma
from pathlib import Path

from specflow.replay.steps import steps_of
from specflow.traces.lines import lines_of
from specflow.traces.recorded import RecordedRun


def test_what_was_there_before_is_history_and_no_step() -> None:
    call = {"id": "a", "name": "look", "args": {"id": 1}}
    run = RecordedRun.model_validate(
        {
            "turns": [
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "given": True,
                    "tool_calls": [call],
                    "tool_results": [{"id": "a", "content": "x", "seconds": 1.5}],
                },
                {"role": "assistant", "content": "done", "gen_s": 2.0},
            ]
        }
    )
    (step,) = steps_of(run)
    assert step.seconds == 2.0
    assert [item.role for item in step.history] == ["user", "assistant", "tool"]
    assert run.turns[1].results[0].seconds == 1.5


def test_a_line_too_long_is_passed_over_and_the_next_one_read(tmp_path: Path) -> None:
    for name, pack in (("a.jsonl", bytes), ("a.jsonl.xz", lzma.compress)):
        path = tmp_path / name
        path.write_bytes(pack(b"one\n" + b"x" * 5_000_000 + b"\n\nfour"))
        found = list(lines_of(path, max_line=1000))
        assert [(line.number, line.text) for line in found] == [(1, b"one\n"), (2, b""), (4, b"four")]
        assert "longer than 1000 bytes" in found[1].flaw
        assert [line.last for line in found] == [False, False, True]


def test_what_stands_before_the_break_of_a_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.xz"
    path.write_bytes(lzma.compress(b"".join(b"line %d\n" % n for n in range(200_000)))[:-3000])
    *read, broken = lines_of(path)
    assert len(read) > 1000
    assert (broken.number, broken.text) == (len(read) + 1, b"")
    assert "cannot be read" in broken.flaw
