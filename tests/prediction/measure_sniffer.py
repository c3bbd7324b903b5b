"""Measures the sniffer on recorded runs: python tests/prediction/measure_sniffer.py [--misses N]

Every model turn is fed as it was recorded (reasoning, then visible text, in pieces of 12 characters), with
the conversation before it; the tools have schemas but no effect classes. The guess of a turn is its live
candidate with the highest confidence at the end of the text, the first of equals.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer

sys.path.insert(0, str(Path(__file__).parent))
from labelled_set import Case, cases

FILES = ("dev_airline_tasks0-9.jsonl.xz", "dev_retail.jsonl.xz")


def data_folder() -> Path | None:
    """Where the recorded runs are, or None."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("SPECFLOW_DATA") or beside)
    return folder if all((folder / name).exists() for name in FILES) else None


@dataclass(frozen=True, slots=True)
class Turn:
    """One recorded model turn with what came before it."""

    suite: str
    model: str
    registry: ToolRegistry
    history: tuple[HistoryItem, ...]
    reasoning: str
    text: str
    calls: tuple[Call, ...]


def turns_of(run: dict[str, Any]) -> Iterator[Turn]:
    """The model turns of one run that have any text."""
    tools = [tool["function"] for tool in run["tools"]]
    registry = ToolRegistry(
        ToolSpec(name=tool["name"], description=tool.get("description", ""), parameters=tool["parameters"])
        for tool in {tool["name"]: tool for tool in tools}.values()
    )
    history: list[HistoryItem] = []
    for turn in run["turns"]:
        text, reasoning = turn.get("content") or "", turn.get("reasoning") or ""
        calls = [(call["id"], call["name"], call["args"] or {}) for call in turn.get("tool_calls") or []]
        if turn["role"] == "assistant" and (text.strip() or reasoning.strip()):
            made = tuple(Call(tool=name, args=args) for _, name, args in calls)
            yield Turn(
                run["env"]["domain"], run["model"][:34], registry, tuple(history), reasoning, text, made
            )
        if text:
            history.append(HistoryItem(role=turn["role"], text=text))
        results = {result["id"]: result for result in turn.get("tool_results") or []}
        for key, name, args in calls:
            result = results.get(key, {"content": "", "error": False})
            content = str(result["content"])
            failed = bool(result["error"]) or content.startswith("Error")
            past = PastCall(tool=name, args=args, result=content, failed=failed)
            history.append(HistoryItem(role="tool", text=content, call=past))


def recorded(folder: Path) -> Iterator[Turn]:
    """All model turns with text of all recorded runs."""
    for name in FILES:
        with lzma.open(folder / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from turns_of(json.loads(line))


@dataclass(slots=True)
class Heard:
    """What the sniffer said about one turn: live candidates with the position where each was said."""

    live: dict[Call, tuple[Candidate, int]] = field(default_factory=dict)
    retracted: int = 0

    @property
    def top(self) -> Candidate | None:
        ranked = sorted(self.live.values(), key=lambda entry: -entry[0].confidence)
        return ranked[0][0] if ranked else None


def listen(sniffer: ReasoningSniffer, turn: Turn, *, piece: int = 12) -> Heard:
    """Feed a turn to a fresh listener."""
    ear = sniffer.listen(TurnContext(tools=turn.registry, history=turn.history))
    heard, at = Heard(), 0
    chunks = [(ChunkKind.REASONING, turn.reasoning), (ChunkKind.TEXT, turn.text)]
    for kind, text in chunks:
        for start in range(0, len(text), piece):
            at = start + piece + (len(turn.reasoning) if kind is ChunkKind.TEXT else 0)
            _note(heard, ear.hear(Chunk(kind=kind, text=text[start : start + piece])), at)
    _note(heard, ear.end(), at)
    return heard


def _note(heard: Heard, proposals: Any, at: int) -> None:
    for proposal in proposals:
        if isinstance(proposal, Candidate):
            heard.live[proposal.call] = (proposal, at)
        else:
            heard.live.pop(proposal.call, None)
            heard.retracted += 1


@dataclass(slots=True)
class Score:
    """Counts of one model."""

    steps: int = 0
    guessed: int = 0
    first: int = 0
    message: int = 0
    launched: int = 0
    launched_right: int = 0
    replies: int = 0
    false_turns: int = 0
    false_calls: int = 0
    false_writes: int = 0
    fractions: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        middle = sorted(self.fractions)[len(self.fractions) // 2] if self.fractions else float("nan")
        return [
            str(self.steps),
            str(self.guessed),
            _share(self.message, self.guessed),
            _share(self.first, self.guessed),
            _share(self.first, self.steps),
            f"{_share(self.launched_right, self.launched)} of {self.launched}",
            f"{middle:.2f}",
            str(self.replies),
            str(self.false_turns),
            str(self.false_calls),
            str(self.false_writes),
        ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"


HEAD = (
    "domain | model | call steps with text | guessed | top guess is a call of the message | top guess is its "
    "first call | recall (first call) | all guesses right | median place | reply turns | with a false launch "
    "| false launches | of these writes"
)
READS = ("get_", "find_", "search_", "list_", "calculate", "think")


def measure(folder: Path, minimum: float, misses: int) -> dict[tuple[str, str], Score]:
    """Scores by (domain, model); prints `misses` wrong guesses and silences to stderr."""
    scores: dict[tuple[str, str], Score] = defaultdict(Score)
    sniffer = ReasoningSniffer(min_confidence=minimum)
    for turn in recorded(folder):
        heard = listen(sniffer, turn)
        for key in ((turn.suite, turn.model), (turn.suite, "all")):
            _count(scores[key], turn, heard)
        wrong = heard.top is not None and heard.top.call not in turn.calls
        if misses and (wrong or (turn.calls and heard.top is None)) and random.random() < misses / 100:
            _show(turn, heard)
    return scores


def _count(score: Score, turn: Turn, heard: Heard) -> None:
    top = heard.top
    if not turn.calls:
        score.replies += 1
        score.false_turns += bool(heard.live)
        score.false_calls += len(heard.live)
        score.false_writes += sum(not call.tool.startswith(READS) for call in heard.live)
        return
    score.steps += 1
    if top is None:
        return
    score.guessed += 1
    score.launched += len(heard.live)
    score.launched_right += sum(call in turn.calls for call in heard.live)
    score.message += top.call in turn.calls
    if top.call == turn.calls[0]:
        score.first += 1
        score.fractions.append(min(1.0, heard.live[top.call][1] / len(turn.reasoning + turn.text)))


def _show(turn: Turn, heard: Heard) -> None:
    text = (turn.reasoning[-500:] + "\n  | " + turn.text[-400:]).replace("\n", "\n    ")
    guesses = [f"{c.confidence} {c.call} <- {c.evidence[-150:]!r}" for c, _ in heard.live.values()]
    sys.stderr.write(
        f"--- {turn.model}\n    {text}\n  said: {guesses}\n  was:  {list(map(str, turn.calls))[:3]}\n"
    )


PLACES = (0.25, 0.5, 0.75, 1.0)


def outcomes(folder: Path) -> dict[tuple[str, float], list[tuple[float, bool]]]:
    """By domain and share of the text heard: how likely a call was said to be, and whether there was one."""
    found: dict[tuple[str, float], list[tuple[float, bool]]] = defaultdict(list)
    sniffer = ReasoningSniffer()
    for turn in recorded(folder):
        ear = sniffer.listen(TurnContext(tools=turn.registry, history=turn.history))
        pieces = [(ChunkKind.REASONING, letter) for letter in cut(turn.reasoning)]
        pieces += [(ChunkKind.TEXT, letter) for letter in cut(turn.text)]
        marks = {max(1, round(place * len(pieces))): place for place in PLACES}
        for count, (kind, text) in enumerate(pieces, start=1):
            ear.hear(Chunk(kind=kind, text=text))
            if count == len(pieces):
                ear.end()
            if count in marks:
                for domain in (turn.suite, "all"):
                    found[domain, marks[count]].append((ear.will_call, bool(turn.calls)))
    return found


def cut(text: str, piece: int = 12) -> list[str]:
    """The text in pieces."""
    return [text[at : at + piece] for at in range(0, len(text), piece)]


def separation(said: Sequence[tuple[float, bool]]) -> float:
    """The share of pairs of a call and a reply in which the call was said to be the likelier call (AUC)."""
    ranks: dict[float, list[int]] = defaultdict(list)
    for rank, (value, _) in enumerate(sorted(said), start=1):
        ranks[value].append(rank)
    calls = [sum(ranks[value]) / len(ranks[value]) for value, called in said if called]
    replies = len(said) - len(calls)
    return (sum(calls) - len(calls) * (len(calls) + 1) / 2) / (len(calls) * replies)


def brier(said: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """The mean squared error, and that of saying the overall share every time."""
    share = sum(called for _, called in said) / len(said)
    return sum((value - called) ** 2 for value, called in said) / len(said), share * (1 - share)


FLIGHTS = (
    "The traveller wants a cheap trip in December and mentioned two cities. Prices were higher last "
    "year, so I should look at the dates first. Let me search flights from OSL to LIS on 2026-12-12, "
    "then compare. "
)


def speed(texts: Iterable[tuple[ToolRegistry, tuple[HistoryItem, ...], str]], *, runs: int = 8) -> float:
    """Nanoseconds for each character, in pieces of 12: the fastest time of each piece in `runs`, added up.

    So what other programs on the machine take is not in it. What a turn costs once (indexing its
    conversation) is paid before the clock starts; making the pieces is not counted either.
    """
    total = characters = 0
    sniffers: dict[int, ReasoningSniffer] = {}
    for registry, history, text in texts:
        sniffer = sniffers.setdefault(id(registry), ReasoningSniffer())
        pieces = [Chunk(kind=ChunkKind.REASONING, text=piece) for piece in cut(text)]
        best = [10**12] * len(pieces)
        for _ in range(runs):
            ear = sniffer.listen(TurnContext(tools=registry, history=history))
            ear.hear(Chunk(kind=ChunkKind.REASONING, text=" "))
            len(ear._talk.known)
            for at, piece in enumerate(pieces):
                started = time.perf_counter_ns()
                ear.hear(piece)
                best[at] = min(best[at], time.perf_counter_ns() - started)
        total += sum(best)
        characters += len(text)
    return total / characters


def speeds(folder: Path) -> Iterator[tuple[str, float]]:
    """What is measured, and its nanoseconds for each character."""
    names = ("origin", "destination", "date")
    spec = ToolSpec(
        name="search_flights",
        description="Search flights.",
        parameters={
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "required": list(names),
        },
    )
    flights = ToolRegistry([spec])
    for times in (5, 80):
        yield f"prose, {len(FLIGHTS) * times} characters", speed([(flights, (), FLIGHTS * times)])
    thoughts = [turn for turn in recorded(folder) if len(turn.reasoning) > 200][::3]
    yield "recorded reasoning", speed([(turn.registry, (), turn.reasoning) for turn in thoughts])
    told = [(turn.registry, turn.history, turn.reasoning) for turn in thoughts]
    yield "recorded reasoning after its conversation", speed(told)
    texts: dict[int, list[Case]] = defaultdict(list)
    for case in cases():
        texts[id(case.tools)].append(case)
    joined = [(found[0].tools, (), " ".join(case.text for case in found)) for found in texts.values()]
    yield "labelled texts, one after the other", speed(joined)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", type=int, default=0, help="per cent of wrong guesses to print")
    parser.add_argument("--min-confidence", type=float, default=0.25)
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.stderr.write("no recorded runs: set SPECFLOW_DATA to their folder\n")
        return 2
    out = sys.stdout.write
    out(f"| {HEAD} |\n|" + "---|" * (HEAD.count("|") + 1) + "\n")
    for (suite, model), score in sorted(measure(folder, options.min_confidence, options.misses).items()):
        out(f"| {suite} | {model} | " + " | ".join(score.row()) + " |\n")
    out("\n| domain | share of the text | turns | of these calls | AUC | Brier | of the base rate |\n")
    out("|" + "---|" * 7 + "\n")
    for (domain, place), said in outcomes(folder).items():
        calls = sum(called for _, called in said)
        if calls:
            error, base = brier(said)
            counts, auc = f"{len(said)} | {calls}", f"{separation(said):.2f}"
            out(f"| {domain} | {place} | {counts} | {auc} | {error:.3f} | {base:.3f} |\n")
    out("\n")
    for what, cost in speeds(folder):
        out(f"{what}: {cost:.0f} ns a character, {1e3 / cost:.2f} MB/s\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
