"""A small line chart as SVG: axes, curves, measured dots, a legend. Text only, so that a diff shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 56
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One formula: a `curve`, and the `dots` that were measured."""

    name: str
    curve: Sequence[Point]
    dots: Sequence[Point] = ()
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Both axes start at zero. `across` and `up` are the labels of the axes, `ticks` their marks.

    `below`: the legend stands in the lower left corner, else in the upper left.
    """

    title: str
    across: str
    up: str
    ticks: tuple[Sequence[float], Sequence[float]]
    series: Sequence[Series] = field(default_factory=tuple)
    below: bool = False

    def svg(self) -> str:
        """The chart as the text of an SVG file. The same chart gives the same text everywhere."""
        marks = [
            *self._frame(),
            *(mark for at, one in enumerate(self.series) for mark in self._series(at, one)),
        ]
        body = "\n".join(f"  {mark}" for mark in marks)
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'font-family="sans-serif" font-size="12">'
        )
        return f"{opening}\n  <title>{escape(self.title)}</title>\n{body}\n</svg>\n"

    def _place(self, point: Point) -> tuple[str, str]:
        across, up = self.ticks
        x = LEFT + point[0] / across[-1] * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - point[1] / up[-1] * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f}", f"{y:.1f}"

    def _frame(self) -> list[str]:
        across, up = self.ticks
        marks = [
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            _text(WIDTH / 2, 22, self.title, size=14),
            _text(WIDTH / 2, HEIGHT - 14, self.across),
            _text(18, HEIGHT / 2, self.up, turned=True),
        ]
        for tick in across:
            x, y = self._place((tick, 0))
            _, top = self._place((0, up[-1]))
            marks.append(f'<line x1="{x}" y1="{y}" x2="{x}" y2="{top}" stroke="#e5e5e5"/>')
            marks.append(_text(float(x), float(y) + 18, f"{tick:g}"))
        for tick in up:
            x, y = self._place((0, tick))
            right, _ = self._place((across[-1], 0))
            marks.append(f'<line x1="{x}" y1="{y}" x2="{right}" y2="{y}" stroke="#e5e5e5"/>')
            marks.append(_text(float(x) - 8, float(y) + 4, f"{tick:g}", anchor="end"))
        return marks

    def _series(self, at: int, series: Series) -> list[str]:
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(",".join(self._place(point)) for point in series.curve)
        dash = ' stroke-dasharray="6 4"' if series.dashed else ""
        line = f'stroke="{colour}" stroke-width="2"{dash}'
        marks = [f'<polyline points="{path}" fill="none" {line}/>']
        for point in series.dots:
            x, y = self._place(point)
            marks.append(
                f'<circle cx="{x}" cy="{y}" r="3.5" fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
            )
        first = HEIGHT - BOTTOM - 18 * len(self.series) if self.below else TOP + 14
        level = first + 18 * at
        marks.append(f'<line x1="{LEFT + 12}" y1="{level}" x2="{LEFT + 40}" y2="{level}" {line}/>')
        marks.append(_text(LEFT + 48, level + 4, series.name, anchor="start"))
        return marks


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "middle", turned: bool = False
) -> str:
    turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="#222222"{turn}>'
        f"{escape(text)}</text>"
    )
