"""Drawing a workflow: Mermaid text, an SVG, or a PNG, with effect classes in colour."""

from __future__ import annotations

from html import escape
from io import BytesIO
from typing import Any

from specflow.errors import ConfigurationError
from specflow.graph.workflow.picture import COLOURS, Box, Picture

_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker>'
)


def mermaid(picture: Picture) -> str:
    """A flowchart in Mermaid's language."""
    lines = ["flowchart TD"]
    for box in picture.boxes:
        title = f"{_quoted(box.title)}<br/>{_quoted(box.detail)}"
        lines.append(f'    {box.name}["{title}"]:::{box.word}')
    lines += [f"    {line.source} --> {line.target}" for line in picture.lines]
    for word in sorted({box.word for box in picture.boxes}):
        fill, border = COLOURS[word]
        lines.append(f"    classDef {word} fill:{fill},stroke:{border},color:#111")
    return "\n".join(lines) + "\n"


def svg(picture: Picture) -> str:
    """A picture as SVG text, without anything from elsewhere."""
    size = f'width="{picture.width:.0f}" height="{picture.height:.0f}"'
    view = f'viewBox="0 0 {picture.width:.0f} {picture.height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} font-family="sans-serif" role="img">',
        f"<title>{escape(picture.name)}</title>",
        f"<defs>{_TIP}</defs>",
    ]
    for line in picture.lines:
        x1, y1, x2, y2 = _ends(picture.box(line.source), picture.box(line.target))
        bend = (y2 - y1) / 2
        curve = f"{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
        parts.append(
            f'<path d="M{x1:.1f} {y1:.1f} C{curve}" fill="none" stroke="#555" marker-end="url(#tip)"/>'
        )
    for box in picture.boxes:
        fill, border = COLOURS[box.word]
        middle = box.x + box.width / 2
        parts.append(
            f'<g class="{box.word}"><rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
            f'height="{box.height}" rx="6" fill="{fill}" stroke="{border}" stroke-width="1.5"/>'
            f'<text x="{middle:.1f}" y="{box.y + 19:.1f}" text-anchor="middle" font-size="13" '
            f'font-weight="bold" fill="#111">{escape(box.title)}</text>'
            f'<text x="{middle:.1f}" y="{box.y + 36:.1f}" text-anchor="middle" font-size="11" '
            f'fill="#333">{escape(box.detail)}</text></g>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def png(picture: Picture, *, scale: int = 2) -> bytes:
    """The same as PNG bytes.

    Raises:
        ConfigurationError: the extra `draw` is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("drawing a PNG needs Pillow", hint="pip install 'specflow[draw]'") from error
    size = (round(picture.width * scale), round(picture.height * scale))
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    title, detail = ImageFont.load_default(13 * scale), ImageFont.load_default(11 * scale)
    for line in picture.lines:
        _draw_line(pen, _ends(picture.box(line.source), picture.box(line.target)), scale)
    for box in picture.boxes:
        fill, border = COLOURS[box.word]
        corners = [box.x * scale, box.y * scale, (box.x + box.width) * scale, (box.y + box.height) * scale]
        pen.rounded_rectangle(corners, radius=6 * scale, fill=fill, outline=border, width=scale)
        middle = (box.x + box.width / 2) * scale
        pen.text((middle, (box.y + 15) * scale), box.title, fill="#111111", font=title, anchor="mm")
        pen.text((middle, (box.y + 32) * scale), box.detail, fill="#333333", font=detail, anchor="mm")
    held = BytesIO()
    image.save(held, format="PNG")
    return held.getvalue()


def _draw_line(pen: Any, ends: tuple[float, float, float, float], scale: int) -> None:
    x1, y1, x2, y2 = (value * scale for value in ends)
    bend = (y2 - y1) / 2
    points = []
    for step in range(25):
        t = step / 24
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        points.append(
            (a * x1 + b * x1 + c * x2 + d * x2, a * y1 + b * (y1 + bend) + c * (y2 - bend) + d * y2)
        )
    pen.line(points, fill="#555555", width=scale)
    tip = 4 * scale
    pen.polygon([(x2 - tip, y2 - 2 * tip), (x2 + tip, y2 - 2 * tip), (x2, y2)], fill="#555555")


def _ends(source: Box, target: Box) -> tuple[float, float, float, float]:
    return source.x + source.width / 2, source.y + source.height, target.x + target.width / 2, target.y


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
