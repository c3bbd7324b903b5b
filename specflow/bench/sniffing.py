"""How fast the sniffer reads, and whether a character costs the same in a long text as in a short one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from time import process_time

from specflow.bench.effort import Effort
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.regex_sniffer import RegexSniffer
from specflow.bench.row import Row, row
from specflow.bench.sample import musing, tools
from specflow.effects.registry import ToolRegistry
from specflow.graph.tools import specs_of
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, Predictor, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer

BENCH = "sniffer"
PIECE = 12
"""Characters in a piece, three or four tokens."""
ENOUGH = 100_000
"""Characters that are read for one figure of a short text: so many texts are."""
FEW = 12
"""Calls that a text can go on about for ever: few enough that the sniffer never stops listening for more."""
_ASKED = "Where is my order A-10432? My address is ada@example.com."
_ANNOUNCED = (
    "Let me look up order A-{number}, since its state decides what can be done.",
    "I should list the shipments of order A-{number} to see where the parcel is.",
    "Next I need to find the customer with the address user{number}@example.com.",
    "First I'll check the exchange rate from EUR to USD on 2026-11-{day:02}.",
)


def rows(effort: Effort) -> Iterator[Row]:
    """Megabytes a second beside patterns, and nanoseconds a character beside a text of 1 kB."""
    rounds = effort.pairs(7)
    length = effort.size(20_000, 2_000)
    for case, text in (
        ("announces nothing", _quiet(length)),
        ("one in three announces", reasoning(length)),
        (f"one in three announces one of {FEW}", reasoning(length, calls=FEW)),
    ):
        effort.tell(f"sniffer: {case}")
        yield from asyncio.run(_beside_patterns(case, text, rounds))
    lengths = [1_000, 10_000, 100_000, 1_000_000] if not effort.quick else [1_000, 4_000]
    for of, whole in (("announcing nothing", _quiet), (f"of {FEW} calls", _of_few)):
        effort.tell(f"sniffer: long texts {of}")
        yield from asyncio.run(_lengths(of, whole, lengths, effort.pairs(5)))


def reasoning(length: int, *, seed: int = 0, calls: int | None = None) -> str:
    """Reasoning of that many characters of which every third sentence announces a call.

    Mostly a new one, and after the sixteenth no sniffer of ours says any more; or one of so many `calls`.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose, guards nothing
    known = [_announcement(draw) for _ in range(calls or 0)]
    said: list[str] = []
    size = 0
    while size < length:
        announced = draw.choice(known) if known else _announcement(draw)
        said.append(f"{musing(24, seed=draw.randrange(1_000))} {announced}")
        size += len(said[-1]) + 1
    return " ".join(said)[:length]


def _announcement(draw: random.Random) -> str:
    return draw.choice(_ANNOUNCED).format(number=draw.randrange(10_000, 99_999), day=draw.randint(1, 28))


def _slices(of: Callable[[int], str], length: int) -> list[str]:
    """Texts of that length which are one text together, the same for every length up to `ENOUGH`."""
    whole = of(max(length, ENOUGH))
    return [whole[at : at + length] for at in range(0, len(whole) - length + 1, length)]


def _quiet(length: int) -> str:
    return musing(length // 4)[:length]


def _of_few(length: int) -> str:
    return reasoning(length, calls=FEW)


async def _beside_patterns(case: str, text: str, rounds: int) -> list[Row]:
    found = await in_turn(
        {"patterns": _speed(RegexSniffer(), text), "sniffer": _speed(ReasoningSniffer(), text)}, rounds=rounds
    )
    figures = paired(found["sniffer"], found["patterns"])
    return [row(BENCH, case, "reading", "MB/s", figures, note="baseline: tool names and values by pattern")]


async def _lengths(of: str, whole: Callable[[int], str], lengths: Sequence[int], rounds: int) -> list[Row]:
    found = await in_turn(
        {str(length): _cost(ReasoningSniffer(), _slices(whole, length)) for length in lengths}, rounds=rounds
    )
    return [
        row(
            BENCH,
            f"{length:,} characters {of}",
            "CPU time per character",
            "ns",
            paired(found[str(length)], found[str(lengths[0])]),
            note=f"baseline: {lengths[0]:,} characters; without the fixed cost of a turn",
        )
        for length in lengths[1:]
    ]


def _speed(predictor: Predictor, text: str) -> Measure:
    cost = _cost(predictor, [text] * max(1, ENOUGH // len(text)))

    async def measure() -> float:
        return 1e3 / await cost()

    return measure


def _cost(predictor: Predictor, texts: Sequence[str]) -> Measure:
    """Nanoseconds of processor time for each character, by a fresh listener that knows the conversation."""
    context = TurnContext(
        tools=ToolRegistry(specs_of(tools())), history=(HistoryItem(role="user", text=_ASKED),)
    )
    cut = [
        [Chunk(kind=ChunkKind.REASONING, text=text[at : at + PIECE]) for at in range(0, len(text), PIECE)]
        for text in texts
    ]
    opening = Chunk(kind=ChunkKind.REASONING, text="I will look up order A-10432. ")

    async def measure() -> float:
        spent = 0.0
        for pieces in cut:
            listener = predictor.listen(context)
            for _said in listener.hear(opening):  # the first announcement of a turn indexes the conversation
                pass
            started = process_time()
            for piece in pieces:
                for _said in listener.hear(piece):
                    pass
            spent += process_time() - started
        return 1e9 * spent / sum(map(len, texts))

    return measure
