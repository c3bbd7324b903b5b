"""Received spans as simple records, and a trace as text: a tree with bars on a common time axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

AttributeValue = str | bool | int | float | Sequence[object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLink:
    """A pointer from one span to another, perhaps in another trace. Ids in hex."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanNote:
    """An event on a span. `at` is nanoseconds since the epoch."""

    name: str
    at: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """One span as it came over the wire.

    Ids in hex, `parent_id` empty for a root. `kind` is internal, server, client, producer or
    consumer; `status` is unset, ok or error. `start` and `end` are nanoseconds since the epoch.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    end: int
    status: str = "unset"
    message: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    links: tuple[SpanLink, ...] = ()
    notes: tuple[SpanNote, ...] = ()
    service: str = ""

    @property
    def seconds(self) -> float:
        """How long the span lasted."""
        return (self.end - self.start) / 1e9


def tree(
    spans: Iterable[ReceivedSpan],
    *,
    show: Sequence[str] = (),
    label: Callable[[ReceivedSpan], str] | None = None,
    width: int = 0,
) -> str:
    """The spans as an indented tree, one line each, earliest first; traces apart.

    A span whose parent was not received stands as a root. `show` names attributes to print behind
    the name (without their first part: `specflow.outcome` prints as `outcome=hit`); `label` replaces
    the name; with `width` above 0 each line starts with a bar of that many columns on the time axis
    of its trace.
    """
    ordered = sorted(spans, key=lambda span: (span.start, -span.end, span.name))
    known = {(span.trace_id, span.span_id) for span in ordered}
    children: dict[tuple[str, str], list[ReceivedSpan]] = {}
    for span in ordered:
        # A hostile sender may name a span as its own parent.
        has_parent = span.parent_id != span.span_id and (span.trace_id, span.parent_id) in known
        children.setdefault((span.trace_id, span.parent_id if has_parent else ""), []).append(span)
    names = {(span.trace_id, span.span_id): (label or _name)(span) for span in ordered}
    blocks: list[str] = []
    for trace_id in dict.fromkeys(span.trace_id for span in ordered):
        members = [span for span in ordered if span.trace_id == trace_id]
        begin, end = members[0].start, max(span.end for span in members)
        lines: list[tuple[ReceivedSpan, str]] = []
        pending = [(span, "", "") for span in reversed(children.get((trace_id, ""), []))]
        while pending:
            span, lead, below = pending.pop()
            lines.append((span, lead + _line(span, names, show)))
            under = children.get((trace_id, span.span_id), [])
            for child in reversed(under):
                last = child is under[-1]
                pending.append(
                    (child, below + ("`- " if last else "|- "), below + ("   " if last else "|  "))
                )
        blocks.append("\n".join((_bar(span, begin, end, width) + text).rstrip() for span, text in lines))
    return "\n\n".join(blocks)


def _name(span: ReceivedSpan) -> str:
    return span.name


def _line(span: ReceivedSpan, names: Mapping[tuple[str, str], str], show: Sequence[str]) -> str:
    parts = [names[span.trace_id, span.span_id]]
    for name in show:
        value = span.attributes.get(name)
        if value is not None:
            short = name.partition(".")[2] or name
            parts.append(f"{short}={value:g}" if isinstance(value, float) else f"{short}={value}")
    if span.status == "error":
        parts.append("ERROR")
    for link in span.links:
        elsewhere = f"trace {link.trace_id[:8]}, span {link.span_id}"
        parts.append(f"-> {names.get((link.trace_id, link.span_id), elsewhere)}")
    return "  ".join(parts)


def _bar(span: ReceivedSpan, begin: int, end: int, width: int) -> str:
    if width <= 0:
        return ""
    scale = width / max(end - begin, 1)
    first = min(round((span.start - begin) * scale), width - 1)
    last = min(max(round((span.end - begin) * scale), first + 1), width)
    return "|" + " " * first + "#" * (last - first) + " " * (width - last) + "| "
