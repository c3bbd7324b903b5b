"""What the scripted model thinks and says: a function of the conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from specflow.testing.model_server import CallPlan, Reply

QUESTION = "What is known about caching, and what about consensus?"


def script(messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The reply to a conversation."""
    told = [_data(message["content"]) for message in messages if message.get("role") == "tool"]
    turn = sum(message.get("role") == "assistant" for message in messages)
    if turn == 0:
        return Reply(
            reasoning=(
                'I\'ll search papers with topic "caching". Also I\'ll search papers with topic "consensus". '
                "Both are large fields, and the question does not say which side of them is meant, so I will "
                "take what looks most promising in each and leave the rest. The answer should be short: one "
                "sentence for each of the two, with the number of the paper, and nothing that is not in it. "
                "If a search comes back empty I will say so, and not fill the gap from memory."
            ),
            calls=(
                CallPlan("search_papers", {"topic": "caching"}),
                CallPlan("search_papers", {"topic": "consensus"}),
            ),
            seconds=2.8,
        )
    if turn == 1:
        one, two = (found[0]["paper_id"] for found in told)
        return Reply(
            reasoning=(
                f"I'll read paper {one}. And I'll read paper {two}. "
                "Each of them stands first on its list, and their titles promise a result and not a survey, "
                "which is what can be said in a sentence. The others can wait until somebody asks for more. "
                "Two papers are enough for two sentences."
            ),
            calls=(CallPlan("read_paper", {"paper_id": one}), CallPlan("read_paper", {"paper_id": two})),
            seconds=2.2,
        )
    found = [item for item in told if isinstance(item, dict)]
    said = " ".join(f"{item['finding'].capitalize()} ({item['paper_id']})." for item in found)
    return Reply(text=said, seconds=0.5)


def _data(content: Any) -> Any:
    """What a tool said: the adapter sends blocks of text, one for each item of a list."""
    texts = [content] if isinstance(content, str) else [block["text"] for block in content]
    read = [json.loads(text) for text in texts if text[:1] in {"{", "["}]
    return read[0] if len(read) == 1 and "finding" in read[0] else read
