"""The example applications against the model server: the same with specflow as without it, only sooner."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.outputs import ChatGenerationChunk
from langchain_mcp_adapters.client import MultiServerMCPClient
from pydantic import PrivateAttr, SecretStr
from typer.testing import CliRunner

import specflow as sf
from specflow.cli.policy import app as cli
from specflow.doctor.examine import examine
from specflow.effects.registry import ToolRegistry
from specflow.graph.remark import Level
from specflow.graph.tools import specs_of
from specflow.journal.event import CallEvent, EventKind
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy
from specflow.testing.model_server import ModelServer

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
# They are run from the root of the repository, as `python -m examples.NAME`.
sys.path.insert(0, str(ROOT))

from examples import running  # noqa: E402 - needs the path above
from examples.parcel_chat import __main__ as parcel_main  # noqa: E402 - as above
from examples.parcel_chat import app as parcel_app  # noqa: E402 - as above
from examples.parcel_chat import script as parcel_script  # noqa: E402 - as above
from examples.parcel_chat.parcels import Parcels  # noqa: E402 - as above
from examples.research_assistant import __main__ as research_main  # noqa: E402 - as above
from examples.research_assistant import app as research_app  # noqa: E402 - as above
from examples.research_assistant import script as research_script  # noqa: E402 - as above
from examples.retail_support import __main__ as retail_main  # noqa: E402 - as above
from examples.retail_support import app as retail_app  # noqa: E402 - as above
from examples.retail_support import script as retail_script  # noqa: E402 - as above
from examples.retail_support.shop import Shop  # noqa: E402 - as above
from examples.travel.desk import Desk  # noqa: E402 - as above
from examples.travel_desk import __main__ as travel_main  # noqa: E402 - as above
from examples.travel_desk import app as travel_app  # noqa: E402 - as above
from examples.travel_desk import script as travel_script  # noqa: E402 - as above

NAMES = ("travel_desk", "retail_support", "research_assistant", "parcel_chat")
MODULES = dict(zip(NAMES, (travel_main, retail_main, research_main, parcel_main), strict=True))
SCRIPTS = dict(zip(NAMES, (travel_script, retail_script, research_script, parcel_script), strict=True))
ASKING = ("travel_desk", "retail_support")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class Heard(running.Account):
    """The account of a run, and how many early calls of each tool have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def see(self, event: CallEvent) -> None:
        super().see(event)
        if event.kind is EventKind.LAUNCHED and event.call is not None:
            self._tools[event.speculation_id] = event.call.tool
        if event.kind is EventKind.RUN_ENDED:
            self.runs.append(self._tools.get(event.speculation_id, ""))

    @property
    def _tools(self) -> dict[str, str]:
        return self.__dict__.setdefault("launched", {})


Hold = tuple[str, Callable[[], bool]]


class Attentive(sf.ReasoningChatOpenAI):
    """Over HTTP as it is; but what begins with certain words is heard only when their condition is true."""

    _holds: list[Hold] = PrivateAttr(default_factory=list)

    def until(self, *holds: Hold) -> Attentive:
        self._holds = list(holds)
        return self

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        heard = ""
        async for chunk in super()._astream(*args, **options):
            heard += str(chunk.message.additional_kwargs.get("reasoning_content", ""))
            for words, ready in self._holds:
                if words in heard:
                    async with asyncio.timeout(90):
                        while not ready():
                            await asyncio.sleep(0.01)
            yield chunk


@dataclass
class Played:
    """One run: the answer, what is left in the world, how often a person was asked, what was written."""

    answer: str
    world: Any
    asked: list[Any]
    account: Heard
    journal: str
    calls: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, ModelServer]]:
    made = {name: ModelServer(SCRIPTS[name].script, speed=100).start() for name in NAMES}
    yield made
    for server in made.values():
        server.close()


@pytest.fixture
async def model_of(servers: dict[str, ModelServer]) -> AsyncIterator[Callable[[str], Attentive]]:
    # LangChain keeps its own client for each address, beyond the event loop of a test.
    async with httpx.AsyncClient() as client:
        options: dict[str, Any] = {"model": "scripted", "max_retries": 0, "http_async_client": client}
        yield lambda name: Attentive(base_url=servers[name].url, api_key=SecretStr("none"), **options)


def ended(account: Heard, **times: int) -> Callable[[], bool]:
    return lambda: all(account.runs.count(tool) >= number for tool, number in times.items())


async def retail(model: Attentive, folder: Path, *, on: bool, yes: bool = True) -> Played:
    account, shop, asked = Heard(), Shop(folder / "shop.db", pace=0), []

    def ask(question: Any) -> dict[str, str]:
        asked.append(question.args)
        return {"type": "approve"} if yes else {"type": "reject", "message": "no"}

    if on:
        model.until(
            ("Nothing else", ended(account, find_order=1, check_stock=1)),
            ("Wait, no", ended(account, reserve_item=1)),
            ("The rest is only", ended(account, reserve_item=2)),
        )
    url = f"sqlite:///{folder}/journal.db"
    answer = await retail_app.support(
        retail_script.QUESTION,
        model=model,
        shop=shop,
        journal=url,
        speculative=on,
        ask=ask,
        observers=[account],
    )
    return Played(answer, shop.world(), asked, account, url)


async def travel(model: Attentive, folder: Path, *, on: bool, yes: bool = True) -> Played:
    account, desk, asked = Heard(), Desk(folder / "desk.db", pace=0), []
    desk.store.reset()

    def ask(question: Any) -> dict[str, bool]:
        asked.append(question.show)
        return {"agreed": yes}

    if on:
        model.until(("The cheapest", ended(account, weather=1, loyalty_status=1)))
    url = f"sqlite:///{folder}/journal.db"
    answer = await travel_app.travel(
        travel_script.REQUEST,
        flow=travel_app.trip(model, desk),
        ask=ask,
        journal=url,
        mode="on" if on else "off",
        observers=[account],
    )
    return Played(answer, desk.store.state(), asked, account, url)


def library(log: Path) -> Any:
    words = [str(research_main.LIBRARY), "0", str(log)]
    return {"transport": "stdio", "command": sys.executable, "args": words}


async def researching(model: Attentive, folder: Path, *, on: bool, yes: bool = True) -> Played:
    account, log = Heard(), folder / "library.log"
    if on:
        model.until(
            ("Both are large", ended(account, search_papers=2)),
            ("Each of them", ended(account, read_paper=2)),
        )
    url = f"sqlite:///{folder}/journal.db"
    answer = await research_app.research(
        research_script.QUESTION,
        model=model,
        library=library(log),
        journal=url,
        mode="on" if on else "off",
        observers=[account],
    )
    calls = log.read_text().splitlines()
    return Played(answer, sorted(calls), [], account, url, calls)


async def chatting(model: Attentive, folder: Path, *, on: bool, yes: bool = True) -> Played:
    account, parcels = Heard(), Parcels(pace=0)

    async def user_types() -> None:
        async with asyncio.timeout(90):
            while on and not ended(account, find_parcel=1)():
                await asyncio.sleep(0.01)

    url = f"sqlite:///{folder}/journal.db"
    answers = await parcel_app.chat(
        parcel_script.MESSAGES,
        model=model,
        parcels=parcels,
        journal=url,
        user_types=user_types,
        mode="on" if on else "off",
        observers=[account],
    )
    return Played("\n".join(answer.text for answer in answers), None, [], account, url, parcels.read)


PLAY = dict(zip(NAMES, (travel, retail, researching, chatting), strict=True))
EXPECTED = {
    "travel_desk": {("loyalty_status", "hit"), ("weather", "hit")},
    "retail_support": {("find_order", "hit"), ("check_stock", "hit"), ("reserve_item", "hit")},
    "research_assistant": {("search_papers", "hit"), ("read_paper", "hit")},
    "parcel_chat": {("find_parcel", "hit")},
}
SAID = dict(zip(NAMES, ("EUR paid", "on their way back", "LIB201", "the depot in Ghent"), strict=True))
UNDONE = {"retail_support": ["release_item"]}


@pytest.mark.parametrize("name", NAMES)
async def test_the_same_with_and_without_specflow(
    name: str, model_of: Callable[[str], Attentive], tmp_path: Path
) -> None:
    play = PLAY[name]
    runs = []
    for on in (False, True):
        folder = tmp_path / str(on)
        folder.mkdir()
        runs.append(await play(model_of(name), folder, on=on))
    plain, early = runs
    assert early.answer == plain.answer
    assert early.world == plain.world
    assert early.asked == plain.asked
    assert len(early.asked) == (1 if name in ASKING else 0)
    assert set(early.account.answered) >= EXPECTED[name]
    assert early.account.undone == UNDONE.get(name, [])
    await _nothing_twice(early)


async def _nothing_twice(played: Played) -> None:
    journal = SqlJournal.open(played.journal)
    rows = await journal.snapshot()
    await journal.aclose()
    assert verify(rows) == ()
    kept = [(row.tool, row.fingerprint) for row in rows.effects if row.stage.value == "committed"]
    assert len(kept) == len(set(kept))
    assert len(played.calls) == len(set(played.calls))


@pytest.mark.parametrize("name", ASKING)
async def test_after_a_no_nothing_is_paid(
    name: str, model_of: Callable[[str], Attentive], tmp_path: Path
) -> None:
    """The trip takes its booking back; the shop keeps what it reserved, and pays nothing."""
    played = await PLAY[name](model_of(name), tmp_path, on=True, yes=False)
    assert len(played.asked) == 1
    await _nothing_twice(played)
    if name == "travel_desk":
        fresh = Desk(tmp_path / "fresh.db", pace=0)
        fresh.store.reset()
        assert played.world == fresh.store.state()
        assert played.account.undone == ["cancel_booking"]
        assert played.answer == "Nothing was booked: the customer does not want to pay."
    else:
        assert played.world["refunds"] == []
        assert [row["sku"] for row in played.world["reservations"]] == ["HP320"]
        assert "could not be paid back" in played.answer


# ------------------------------------------------------------------ what a user would check


async def tools_for(name: str, folder: Path) -> list[Any]:
    if name == "travel_desk":
        return list(travel_app.tools_of(Desk(folder / "desk.db")).values())
    if name == "retail_support":
        tools, behind = retail_app.tools_of(Shop(folder / "shop.db"))
        return [*tools, *behind]
    if name == "parcel_chat":
        return parcel_app.tools_of(Parcels())
    return await MultiServerMCPClient({"library": library(folder / "log")}).get_tools()


@pytest.mark.parametrize("name", NAMES)
async def test_its_policy_is_clean(name: str, tmp_path: Path) -> None:
    file = EXAMPLES / name / "policy.yaml"
    for command in ("check", "test"):
        done = CliRunner().invoke(cli, [command, str(file)])
        assert done.exit_code == 0, done.output
    registry = ToolRegistry(specs_of(await tools_for(name, tmp_path)))
    found = survey(file, tools=registry)
    assert found.compiled is not None, found.findings
    assert lint(Policy(found.compiled, tools=registry), found.reads) == []


@pytest.mark.parametrize("name", NAMES)
async def test_doctor_finds_nothing(name: str, model_of: Callable[[str], Attentive], tmp_path: Path) -> None:
    model, tools = model_of(name), await tools_for(name, tmp_path)
    if name == "travel_desk":
        flow = travel_app.trip(model, Desk(tmp_path / "desk.db"))
        assert flow.check() == []
        remarks = examine(flow)
    else:
        made = {"retail_support": retail_app, "parcel_chat": parcel_app}.get(name, research_app)
        async with sf.Runtime(made.POLICY, tools=tools, journal=f"sqlite:///{tmp_path}/journal.db") as rt:
            if made is retail_app:
                remarks = examine(retail_app.agent_of(model, tools[:4], rt))
            elif made is parcel_app:
                remarks = examine(parcel_app.agent_of(model, tools, rt))
            else:
                remarks = examine(research_app.assistant(model, tools, rt))
    said = [remark for remark in remarks if remark.area != "environment" and remark.level is not Level.OK]
    assert said == []


@pytest.mark.parametrize("name", NAMES)
def test_user_code_stays_short(name: str) -> None:
    assert len((EXAMPLES / name / "app.py").read_text().splitlines()) < 150


@pytest.mark.parametrize("options", [["--yes"], ["--yes", "--sequential"]], ids=["early", "sequential"])
@pytest.mark.parametrize("name", NAMES)
def test_the_program_runs(
    name: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, *options, "--speed", "50"])
    asyncio.run(running.run(name, SCRIPTS[name].script, MODULES[name].serve))
    shown = capsys.readouterr().out
    assert ("sequential: " in shown) == ("--sequential" in options)
    assert SAID[name] in shown
