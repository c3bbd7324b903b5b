"""Small plots as inline SVG, drawn with the colours of the page they stand in: light or dark.

Every plot has a title and a description for those who do not see it; the figures stand in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 640
LEFT, RIGHT, TOP, ROW = 190, 24, 12, 34
SQUARE = 420
COLOURS = 9
"""So many colours the page has, `--c0` and on."""

Interval = Sequence[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar. `marks` are further values on the same scale, such as a bound; `colour` counts from 0."""

    label: str
    value: float
    interval: Interval = None
    marks: Sequence[float] = ()
    colour: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a curve; `interval` is that of `y`."""

    x: float
    y: float
    interval: Interval = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve by name."""

    name: str
    points: Sequence[Point]


def plain(text: str, limit: int = 80) -> str:
    """A name fit to be shown: what cannot be printed, or turns the direction of writing, goes."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def bars(ident: str, title: str, about: str, rows: Sequence[Bar], *, unit: str) -> str:
    """Horizontal bars, one below the other, with their intervals and marks."""
    ends = [0.0, *(row.value for row in rows), *(mark for row in rows for mark in row.marks)]
    ends += [end for row in rows for end in row.interval or ()]
    scale, bottom = scale_of(min(ends), max(ends)), TOP + ROW * len(rows)
    place = scale.place
    parts = list(_grid(scale, bottom, unit))
    for at, row in enumerate(rows):
        middle = TOP + ROW * at + ROW / 2
        start, end = sorted((place(0.0), place(row.value)))
        parts.append(
            f'<rect x="{start:.1f}" y="{middle - 9:.1f}" width="{max(end - start, 0.5):.1f}" height="18" '
            f'rx="2" fill="var(--c{row.colour % COLOURS})"/>'
        )
        parts += [_whisker(place(row.interval[0]), place(row.interval[1]), middle)] if row.interval else []
        parts += [
            f'<path d="M{place(mark):.1f} {middle - 13:.1f}v26" stroke="var(--ink)" stroke-width="2" '
            f'stroke-dasharray="{"none" if number == 0 else "3 2"}"/>'
            for number, mark in enumerate(row.marks)
        ]
        parts.append(_text(LEFT - 8, middle + 4, plain(row.label, 28), anchor="end"))
    return svg(ident, title, about, bottom + 40, parts)


def stacks(
    ident: str, title: str, about: str, rows: Sequence[tuple[str, Sequence[int]]], kinds: Sequence[str]
) -> str:
    """Horizontal stacks of counts, with a legend of the kinds that occur."""
    scale = scale_of(0.0, float(max((sum(counts) for _, counts in rows), default=1)))
    bottom, place = TOP + ROW * len(rows), scale.place
    parts = list(_grid(scale, bottom, ""))
    for at, (label, counts) in enumerate(rows):
        middle, sum_so_far = TOP + ROW * at + ROW / 2, 0
        for number, count in enumerate(counts):
            if count:
                start, end = place(sum_so_far), place(sum_so_far + count)
                said = escape(f"{kinds[number]}: {count}")
                parts.append(
                    f'<rect x="{start:.1f}" y="{middle - 9:.1f}" width="{end - start:.1f}" height="18" '
                    f'fill="var(--c{number % COLOURS})" stroke="var(--paper)"><title>{said}</title></rect>'
                )
                sum_so_far += count
        parts.append(_text(LEFT - 8, middle + 4, plain(label, 28), anchor="end"))
    used = [at for at in range(len(kinds)) if any(counts[at] for _, counts in rows)]
    for number, at in enumerate(used):
        x, y = LEFT + 150 * (number % 3), bottom + 50 + 20 * (number // 3)
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="var(--c{at % COLOURS})"/>')
        parts.append(_text(x + 18, y, kinds[at]))
    return svg(ident, title, about, bottom + 60 + 20 * (-(-len(used) // 3)), parts)


def curves(
    ident: str, title: str, about: str, lines: Sequence[Line], *, across: str, up: str, diagonal: bool = False
) -> str:
    """Lines in the unit square. `diagonal`: the line on which both axes are equal is drawn, too."""
    inner, left, top = SQUARE - 90, 60, 14

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * inner, top + (1 - y) * inner

    parts = []
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x, y = place(tick, tick)
        parts.append(f'<path d="M{x:.1f} {top}V{top + inner}M{left} {y:.1f}H{left + inner}" class="grid"/>')
        parts.append(_text(x, top + inner + 18, f"{tick:g}", anchor="middle"))
        parts.append(_text(left - 8, y + 4, f"{tick:g}", anchor="end"))
    if diagonal:
        parts.append(f'<path d="M{left} {top + inner}L{left + inner} {top}" class="diagonal"/>')
    for number, line in enumerate(lines):
        colour = f"var(--c{number % COLOURS})"
        placed = [place(point.x, point.y) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), point in zip(placed, line.points, strict=True):
            if point.interval is not None:
                (_, low), (_, high) = place(0, point.interval[0]), place(0, point.interval[1])
                parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" opacity="0.45"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        level = top + 12 + 22 * number
        parts.append(f'<path d="M{SQUARE} {level}h24" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(SQUARE + 32, level + 4, plain(line.name, 24)))
    parts.append(_text(left + inner / 2, top + inner + 40, across, anchor="middle"))
    turned = f'transform="rotate(-90 16 {top + inner / 2})"'
    parts.append(_text(16, top + inner / 2, up, anchor="middle", more=turned))
    return svg(ident, title, about, top + inner + 52, parts)


def svg(ident: str, title: str, about: str, height: float, parts: Sequence[str]) -> str:
    """The picture, with what is read out in its place."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{ident}-t {ident}-d">'
        f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(about)}</desc>'
        f"{''.join(parts)}</svg>"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A range with round steps, laid out over the width of a plot."""

    low: float
    high: float
    step: float

    def place(self, value: float) -> float:
        """Where a value stands, from the left."""
        return LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)


def scale_of(low: float, high: float) -> Scale:
    """A range that holds both and zero, in steps of 1, 2 or 5 times a power of ten."""
    reach = max(high, 0.0) - min(low, 0.0) or 1.0
    rough = reach / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(min(low, 0.0) / step), math.ceil(max(high, 0.0) / step) or 1
    return Scale(low=first * step, high=last * step, step=step)


def _grid(scale: Scale, bottom: float, unit: str) -> Iterator[str]:
    for number in range(round((scale.high - scale.low) / scale.step) + 1):
        value = scale.low + number * scale.step
        x = scale.place(value)
        yield f'<path d="M{x:.1f} {TOP}V{bottom}" class="grid"/>'
        yield _text(x, bottom + 18, f"{round(value, 9):g}{unit}", anchor="middle")


def _whisker(start: float, end: float, middle: float) -> str:
    return (
        f'<path d="M{start:.1f} {middle - 5:.1f}v10M{start:.1f} {middle:.1f}H{end:.1f}M{end:.1f} '
        f'{middle - 5:.1f}v10" class="whisker"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
