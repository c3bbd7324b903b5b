"""The page of a replay in a real browser: it asks for nothing, and its figures are those of the JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.policy.load import loads
from specflow.policy.verdict import Speculate
from specflow.replay.cast import Cast
from specflow.replay.page import page
from specflow.replay.page_table import at, path_of
from specflow.replay.plot import Bar, bars, scale_of
from specflow.replay.variant import Variant, swept
from specflow.replay.variants import Replays
from specflow.testing.static_judge import Rule, StaticJudge
from specflow.traces.recorded import RecordedRun

HOSTILE = (
    "<script>console.error(1)</script>",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "pay\u202eyap/~0' onclick='",
)


@pytest.fixture(scope="module")
def found(kit: Any) -> dict[str, Any]:
    """What a replay of a few tasks says, by two predictors with a hostile name each, over hostile tools."""
    names = (*HOSTILE, "plain")
    early = Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, min_confidence=0.1)
    judge = StaticJudge(dict.fromkeys(names, early))
    tools = [kit.tool(name) for name in names]

    def record(task: int) -> RecordedRun:
        right = kit.answer(2.0 + task, (names[task % 4], {"id": task}))
        asked = {"role": "user", "content": f"about {task}"}
        made = kit.record(asked, right, kit.answer(1.0, ("plain", {"id": 0})), tools=tools)
        return RecordedRun.model_validate({**made, "task_id": str(task), "model": HOSTILE[0]})

    @dataclass(frozen=True, kw_only=True)
    class Names(Cast):
        """Scripted predictors in place of the known ones."""

        task: int

        def fresh(self, wanted: Any) -> Any:
            right = Call(tool=names[self.task % 4], args={"id": self.task})
            wrong = Call(tool=HOSTILE[1], args={"id": 99})
            return [kit.guesser([[(0, right, 0.6), (1, wrong, 0.9)]], name=name) for name in wanted]

    base = Variant(predictors=(HOSTILE[0], HOSTILE[2]), takes="2s")
    replays = Replays(
        judge_for=lambda _tools: judge,
        variants=[base, *swept(base, ["threshold=0.7", "tool-latency=1s"])],
        sets=[base, *(Variant(predictors=(name,), takes="2s") for name in base.predictors)],
    )
    for task in range(6):
        replays.add(record(task), Names(task=task), place="here")
    return json.loads(json.dumps(replays.as_json()))


class Page(HTMLParser):
    """The figures of a page, and what is in it otherwise."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.figures: list[tuple[str, str, str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: tuple[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append((tag, known))
        if tag == "data":
            self._open = (known["data-of"] or "", known["value"] or "")

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.figures.append((*self._open, data))
            self._open = None


def check_figures(text: str, found: dict[str, Any]) -> set[str]:
    """Every figure is that of the JSON, exact in its element, rounded in its text; returns their places."""
    figures = Page(text).figures
    for path, value, shown in figures:
        real = at(found, path)
        assert float(value) == real, path
        digits = len(shown.partition(".")[2].split()[0]) if "." in shown else 0
        assert shown.split()[0] == f"{real:.{digits}f}", path
    return {path for path, _, _ in figures}


def test_the_figures_are_those_of_the_json(found: dict[str, Any]) -> None:
    places = check_figures(page(found, takes="2s", real_time=False), found)
    assert {
        "saved_seconds",
        "oracle_seconds",
        "regret_seconds",
        "wasted_usd",
        "by_predictor_set/2/regret_seconds",
        "latency/sequential/p95",
        "latency/speculative/p99",
        "misfires/wrong_tool",
        "sweep/1/recall",
        path_of("by_tool", HOSTILE[2], "hidden_seconds"),
        path_of("predictors", HOSTILE[0], "curve", 0, "precision"),
        path_of("predictors", HOSTILE[0], "reliability", 0, "came"),
        "ensemble/reliability/0/came",
        "ensemble/curve/0/recall",
        path_of("misfires_by_tool", HOSTILE[1], "wrong_tool"),
        path_of("misfires_by_predictor", HOSTILE[0], "wrong_tool"),
    } <= places


def test_intervals_stand_beside_the_figures(found: dict[str, Any]) -> None:
    low, high = found["intervals"]["saved_seconds"]
    assert low <= found["saved_seconds"] <= high
    text = page(found, takes="2s", real_time=False)
    assert f"[{low:.1f}, {high:.1f}]" in text
    for side, name in (("misfires_by_tool", HOSTILE[1]), ("misfires_by_predictor", HOSTILE[0])):
        where = path_of(side, name, "wrong_tool")
        low, high = found["intervals"][side][name]["wrong_tool"]
        figure = f'data-of="{escape(where)}">{at(found, where)}</data> <span class="between">'
        assert f"{figure}[{low:.0f}, {high:.0f}]" in text


def test_nothing_in_the_page_asks_for_anything(found: dict[str, Any]) -> None:
    text = page(found, takes="<b>2s</b>", real_time=True)
    tags = Page(text).tags
    assert not {"script", "img", "iframe", "object", "embed", "base", "form", "b"} & {tag for tag, _ in tags}
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "src"], tag
        assert attributes.get("href") in {None, "data:,"}
    assert "url(" not in text
    assert "@import" not in text
    assert "\u202e" not in text


def test_every_plot_has_a_title_and_a_description(found: dict[str, Any]) -> None:
    text = page(found, takes="2s", real_time=False)
    plots = [attributes for tag, attributes in Page(text).tags if tag == "svg"]
    assert len(plots) == 5
    for plot in plots:
        ids = (plot["aria-labelledby"] or "").split()
        assert [bool(re.search(rf'<(title|desc) id="{ident}">[^<]+<', text)) for ident in ids] == [True, True]


def test_a_single_task_and_nothing_launched_still_make_a_page(kit: Any) -> None:
    base = Variant(predictors=("sniffer",), takes="2s")
    replays = Replays(judge_for=lambda tools: loads(kit.policy, tools=tools), variants=[base], sets=[base])
    replays.add(kit.run(kit.answer(1.0)), Cast(), place="here")
    text = page({**replays.as_json(), "interrupted": True}, takes="2s", real_time=False)
    assert "there are no intervals" in text
    assert "was interrupted" in text


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-3, 7), (0, 1e-9), (-1e9, 0), (0, 0.3), (2, 9)])
def test_a_scale_holds_both_ends_and_zero(low: float, high: float) -> None:
    scale = scale_of(low, high)
    assert scale.low <= min(low, 0)
    assert scale.high >= max(high, 0)
    assert 1 <= round((scale.high - scale.low) / scale.step) <= 14
    assert "nan" not in bars("x", "t", "d", [Bar(label="l", value=high, interval=[low, high])], unit="")


# ---------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no headless Chromium: the page would go unseen")
        pytest.skip("no headless Chromium")
    return path


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """A server of pages; its address, the pages by path, and what was asked for."""
    pages: dict[str, str] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", pages, asked
    server.shutdown()
    server.server_close()
    thread.join()


def seen(browser: str, address: str, folder: Path, *more: str) -> tuple[str, list[str]]:
    """The page as the browser has it, and what it has to complain of."""
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}"),
        # Any other host would be asked for at this server, and show.
        "--host-resolver-rules=MAP * 127.0.0.1",
    ]
    done = subprocess.run(
        [browser, *options, *more, "--dump-dom", address],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.browser
def test_the_page_in_a_browser(found: dict[str, Any], browser: str, site: Any, tmp_path: Path) -> None:
    address, pages, asked = site
    pages["/page.html"] = page(found, takes="2s", real_time=False)
    for number, more in enumerate(((), ("--force-dark-mode", "--window-size=400,900"))):
        dom, complaints = seen(browser, f"{address}/page.html", tmp_path / str(number), *more)
        assert complaints == []
        assert check_figures(dom, found) == check_figures(pages["/page.html"], found)
    assert asked == ["/page.html", "/page.html"]


@pytest.mark.browser
def test_a_page_that_did_either_would_be_caught(browser: str, site: Any, tmp_path: Path) -> None:
    address, pages, asked = site
    pages["/bad.html"] = f"<img src='{address}/more.png'><script>console.error('oh')</script>"
    _, complaints = seen(browser, f"{address}/bad.html", tmp_path)
    assert any("oh" in line for line in complaints)
    assert "/more.png" in asked
