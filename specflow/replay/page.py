"""A replay as one HTML page that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from specflow.replay.latency import USUAL, taking
from specflow.replay.page_parts import PARTS
from specflow.replay.page_rest import REST
from specflow.replay.page_style import STYLE
from specflow.replay.page_table import Found, figure_of
from specflow.replay.plot import plain

NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(found: Found, *, takes: str, real_time: bool) -> str:
    """The page, as text. Every figure in it is one of `found`, and says which. `takes`: as for a variant."""
    clock = "by the wall clock" if real_time else "on virtual time"
    title = "What speculation would have saved"
    intro = (
        f"{found['runs']} recorded runs with {found['steps']} steps, replayed {clock} with tools that take "
        f"{taking(takes)}. Tokens are spread evenly over each step's model time."
    )
    doubts = []
    if found["untimed_steps"]:
        doubts.append(f"{found['untimed_steps']} steps have no recorded time: 50 tokens a second.")
    if found["untimed_calls"]:
        doubts.append(f"{found['untimed_calls']} calls have no recorded time: {USUAL}.")
    if "user_seconds" in found:
        doubts.append(f"Users took {found['user_seconds']:.0f} s to answer, which are in no other figure.")
    if found.get("interrupted"):
        doubts.append("The replay was interrupted: these are the runs before that.")
    if found["intervals"]["saved_seconds"] is None:
        doubts.append("All runs are of one task: there are no intervals.")
    said = "".join(f"<p>{escape(plain(text, 300))}</p>" for text in (intro, *doubts))
    body = "".join(section for part in (*PARTS, *REST) for section in part(found))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_ELSE}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{said}{''.join(_headlines(found))}{body}"
        '<p class="soft">In brackets: 95 % intervals, by drawing tasks again (bootstrap, 400 draws). '
        "Made by specflow replay.</p></main></body></html>\n"
    )


def _headlines(found: Found) -> Iterator[str]:
    shown = [
        ("in sequence", "sequential_seconds", 1, " s"),
        ("saved", "saved_seconds", 1, " s"),
        ("could be saved (oracle)", "oracle_seconds", 1, " s"),
        ("regret", "regret_seconds", 1, " s"),
        ("launched early", "launched", 0, ""),
        ("of these wasted", "wasted_calls", 0, ""),
        ("wasted money", "wasted_usd", 2, " USD"),
    ]
    figures = [
        (name, figure_of(found, part, digits=digits, unit=unit, between=("intervals", part)))
        for name, part, digits, unit in shown
    ]
    figures.append(("tasks", figure_of(found, "intervals", "tasks")))
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{figure.html()}</dd></div>" for name, figure in figures)
    yield f"<dl>{cells}</dl>"
