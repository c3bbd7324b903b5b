"""The splitter's output depends on the text alone, never on where the stream cut it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.prediction.chunk import ChunkKind
from specflow.prediction.think_tags import ThinkSplitter

R, T = ChunkKind.REASONING, ChunkKind.TEXT


def split(pieces: list[str], *, inside: bool = False) -> list[tuple[ChunkKind, str]]:
    splitter = ThinkSplitter(inside=inside)
    out = [piece for text in pieces for piece in splitter.feed(text)] + splitter.end()
    joined: list[tuple[ChunkKind, str]] = []
    for kind, text in out:
        assert text
        if joined and joined[-1][0] is kind:
            joined[-1] = (kind, joined[-1][1] + text)
        else:
            joined.append((kind, text))
    return joined


CASES = [
    ("plain", [(T, "plain")]),
    ("<think>a</think>b", [(R, "a"), (T, "b")]),
    ("x<THINKING>a</Thinking>b", [(T, "x"), (R, "a"), (T, "b")]),
    ("<reasoning>a < b and c<d</reasoning>", [(R, "a < b and c<d")]),
    ("<think>never closed", [(R, "never closed")]),
    ("<think>a<thinking>b</thinking>c</think>d", [(R, "a<thinking>b</thinking>c"), (T, "d")]),
    ("a </think>b", [(T, "a b")]),
    ("1 < 2 <thin> <thinker>", [(T, "1 < 2 <thin> <thinker>")]),
    ("ends with <thin", [(T, "ends with <thin")]),
    ("<think>ends with </thi", [(R, "ends with </thi")]),
    ("<<think>a</think>", [(T, "<"), (R, "a")]),
    ("<think></think>", []),
    ("<think>a</think><think>b</think>", [(R, "ab")]),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_whole_and_character_by_character(text: str, expected: list[tuple[ChunkKind, str]]) -> None:
    assert split([text]) == expected
    assert split(list(text)) == expected


def test_block_opened_by_the_prompt_template() -> None:
    assert split(["plan</thi", "nk>answer"], inside=True) == [(R, "plan"), (T, "answer")]


fragments = st.sampled_from(
    [
        "<",
        "<think>",
        "</think>",
        "<thinking>",
        "</thinking>",
        "<reasoning>",
        "</reasoning>",
        "</",
        ">",
        "th",
        "a < b",
        "é",
    ]
)


@given(st.lists(fragments, max_size=12), st.data())
def test_any_cut_gives_the_same(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(pieces) == split([text]) == split(list(text))


@given(st.text(alphabet="<th ink>ab", max_size=60))
def test_text_without_a_whole_tag_is_untouched(text: str) -> None:
    if "<think>" in text:
        return
    assert split([text]) == ([(T, text)] if text else [])


def test_holds_back_less_than_a_tag() -> None:
    splitter = ThinkSplitter()
    said = 0
    for count in range(1, 5000):
        said += sum(len(text) for _, text in splitter.feed("<"))
        assert count - said < len("</reasoning>")
