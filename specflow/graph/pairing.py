"""Tools that return content and artifact: one JSON value inside specflow, LangChain's pair outside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.tools import BaseTool

from specflow.effects.call import digest
from specflow.effects.result import is_pair, pair, parts
from specflow.graph.mcp_call import mcp_call_of

_JSON = (str, int, float, bool, list, dict, type(None))
_GENERATED = "lc_"
"""What ids that LangChain draws for blocks of content begin with."""


def returns_pair(tool: BaseTool) -> bool:
    """Whether LangChain wants a pair from the tool's body."""
    return tool.response_format == "content_and_artifact"


def paired(tool: BaseTool, value: Any) -> Any:
    """What the body returned, as one value where it is a pair of plain JSON; anything else as it is.

    Blocks get ids made from what they say instead of drawn ones: the same answer is the same value.
    """
    if not returns_pair(tool) or not isinstance(value, tuple) or len(value) != 2:
        return value
    content, artifact = _steady(value[0]), value[1]
    try:
        same = json.loads(json.dumps([content, artifact], allow_nan=False)) == [content, artifact]
    except (TypeError, ValueError, RecursionError):
        same = False  # a message, a command, an image in memory
    return pair(content, artifact, _data(tool, content, artifact)) if same else value


def unpaired(tool: BaseTool, value: Any, returned: Sequence[Any] = ()) -> Any:
    """The pair that LangChain wants, of what `paired` made, or of what stands in the place of an answer.

    `returned` is what the body returned here, where it ran: when that is no pair, LangChain is to say so.
    """
    if not returns_pair(tool) or isinstance(value, tuple):
        return value
    if is_pair(value):
        return parts(value)
    if any(type(one) is type(value) and isinstance(one, _JSON) and one == value for one in returned):
        return value
    if isinstance(value, str):
        return value, None
    if mcp_call_of(tool) is None:
        return json.dumps(value, ensure_ascii=False), value
    # As MCP's own servers put data into words.
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return [{"type": "text", "text": text}], {"structured_content": value}


def _data(tool: BaseTool, content: Any, artifact: Any) -> Any:
    """What a policy reads: data where the tool gives any, else its words."""
    call = mcp_call_of(tool)
    if call is None:
        return artifact if isinstance(artifact, dict) else content
    if isinstance(artifact, dict) and isinstance(artifact.get("structured_content"), dict):
        structured = artifact["structured_content"]
        return structured["result"] if call.wraps_result and structured.keys() == {"result"} else structured
    if not content:
        return None
    text = _only_text(content)
    return content if text is None else _read(text)


def _only_text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    block = content[0] if isinstance(content, list) and len(content) == 1 else None
    text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _read(text: str) -> Any:
    """Servers without structured results put JSON into text; a text that is no object stays text."""
    if text.strip() == "null":
        return None
    if text.lstrip()[:1] not in {"{", "["}:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _steady(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [_block(place, block) for place, block in enumerate(content)]


def _block(place: int, block: Any) -> Any:
    if not isinstance(block, dict) or not str(block.get("id", "")).startswith(_GENERATED):
        return block
    try:
        said = json.dumps({**block, "id": place}, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return block
    return {**block, "id": f"{_GENERATED}{digest('block', said)[:32]}"}
