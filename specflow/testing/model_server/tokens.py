"""What a token is here: a simple splitting of text that needs no vocabulary.

It is *not* the tokenizer of any provider; it is only there so that pace, usage and the size of deltas are
the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# Up to six letters or digits with the space before them, else a run of blanks, else one character.
_TOKEN = re.compile(r" ?[^\W_]{1,6}|\s+|.", re.DOTALL)

Splitter = Callable[[str], Sequence[str]]
"""Cuts a text into the pieces that are streamed; the pieces joined are the text again."""


def split_tokens(text: str) -> list[str]:
    """The tokens of `text`; joined they are `text` again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` has."""
    return len(split_tokens(text))
