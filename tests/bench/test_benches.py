"""Every bench runs, and says what programs rely on; what is exact by design is exact."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from specflow.bench import judging
from specflow.bench.catalogue import BENCHES
from specflow.bench.effort import Effort
from specflow.bench.regex_sniffer import RegexSniffer
from specflow.bench.row import Row, skipped
from specflow.bench.sample import POLICY, musing, tools
from specflow.cli.bench import HEADINGS, bench
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.graph.tools import specs_of
from specflow.policy.load import loads
from specflow.prediction.candidate import Candidate
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import TurnContext
from specflow.testing.model_server import split_tokens

KEYS = {"bench", "case", "metric", "value", "unit", "baseline", "ratio", "n", "low", "high"}


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(bench)
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def measured(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run(name, "--quick", "--runs", "1", "--json").stdout)
    return rows


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_runs_and_its_rows_have_the_promised_shape(name: str) -> None:
    rows = measured(name)
    assert rows
    cases = [row["case"] for row in rows]
    assert len(set(cases)) == len(cases), "a row is found by its case"
    for row in rows:
        assert row.keys() >= KEYS
        assert row["bench"] == name
        assert row["metric"]
        assert row["unit"]
        numbers = [row[key] for key in ("value", "baseline", "ratio", "low", "high")]
        if row["n"] == 0:
            assert numbers == [None] * 5
            assert row["note"].startswith("skipped: ")
        else:
            assert row["n"] == 1
            assert all(isinstance(number, float) and number > 0 for number in numbers)
            # One round: the ratio is that of the two figures beside it.
            assert math.isclose(row["ratio"], row["value"] / row["baseline"], rel_tol=1e-4)
            assert row["low"] == row["ratio"] == row["high"]


def test_the_formula_holds_on_virtual_time() -> None:
    rows = measured("formula")
    virtual = [row for row in rows if row["metric"].startswith("virtual time")]
    assert len(virtual) >= 20
    for row in virtual:
        # Of drawn times the formula is the mean: fifty steps come near it, `test_formulas` plays more.
        near = 0.25 if row["case"].startswith("exponential") else 1e-6
        assert math.isclose(row["ratio"], 1.0, abs_tol=near), row["case"]
    assert any(row["case"].startswith("wall clock: ") for row in rows), "judged by who reads it"


def test_calls_are_adopted_where_the_reasoning_tells_and_not_where_it_does_not() -> None:
    adopted = {row["case"]: int(row["note"].split()[0]) for row in measured("agent")}
    assert adopted["named in the reasoning: specflow"] == 3
    assert adopted["named in the reasoning: regex sniffer"] == 3
    assert adopted["paraphrased in the reasoning: specflow"] == 3
    assert adopted["paraphrased in the reasoning: regex sniffer"] == 0, "no name is written there"


def test_a_pipe_gets_a_plain_table_with_a_line_for_each_row() -> None:
    result = run("policy", "--quick", "--runs", "1")
    heading, *lines = result.stdout.splitlines()
    assert tuple(heading.split()) == HEADINGS
    assert {line.split()[0] for line in lines} == {"policy"}
    assert len(lines) == 5
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_a_bench_that_fails_does_not_take_the_finished_rows_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(effort: Effort) -> Iterator[Row]:
        yield skipped("policy", "first", "time", "ms", "for the test")
        raise ConfigurationError("the disk is gone")

    monkeypatch.setattr(judging, "rows", broken)
    app = typer.Typer()
    app.command()(bench)
    result = CliRunner().invoke(app, ["policy", "--json"])
    assert [row["case"] for row in json.loads(result.stdout)] == ["first"]
    assert isinstance(result.exception, ConfigurationError), "and what went wrong is told by `main`"


def test_the_policies_of_the_benches_load() -> None:
    assert loads(POLICY, tools=ToolRegistry(specs_of(tools()))).hash
    assert loads(judging.policy_text(8)).hash
    ruled = loads(judging.rules_text(20))
    assert len(ruled.compiled.entries_for("ruled")[0].requires) == 20


def heard(*texts: str) -> list[dict[str, Any]]:
    listener = RegexSniffer().listen(TurnContext(tools=ToolRegistry(specs_of(tools()))))
    chunks: Iterable[Chunk] = (Chunk(kind=ChunkKind.REASONING, text=text) for text in texts)
    proposals = [proposal for chunk in chunks for proposal in listener.hear(chunk)]
    assert all(isinstance(proposal, Candidate) for proposal in proposals)
    return [{"tool": proposal.call.tool, **proposal.call.plain_args()} for proposal in proposals]


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("I will call look_up_order with order_id A-1.", [{"tool": "look_up_order", "order_id": "A-1"}]),
        ('look_up_order(order_id="A-1") it is', [{"tool": "look_up_order", "order_id": "A-1"}]),
        ("find_customer with email ada@shop.example.",
         [{"tool": "find_customer", "email": "ada@shop.example"}]),
        ("exchange_rate, source EUR, target: USD.",
         [{"tool": "exchange_rate", "source": "EUR", "target": "USD"}]),
        ("exchange_rate with source EUR.", []),
        ("I should look up order A-10432.", []),
        ("look_up_order, then look_up_order, order_id A-1 .",
         [{"tool": "look_up_order", "order_id": "A-1"}]),
    ],
)  # fmt: skip
def test_the_pattern_sniffer_finds_names_and_nothing_else(said: str, calls: list[dict[str, Any]]) -> None:
    said += " So."  # what ends a value is what follows it
    assert heard(said) == calls
    assert heard(*split_tokens(said)) == calls, "however the stream is cut"


def test_musing_announces_only_its_opening() -> None:
    text = musing(500, seed=3, opening="Look here.")
    assert text.startswith("Look here. ")
    assert 500 <= len(text.split()) < 530
    assert heard(text) == []
