"""Splits `<think>` blocks out of a model's visible text, however the stream cuts them."""

from __future__ import annotations

from specflow.prediction.chunk import ChunkKind

_NAMES = ("think", "thinking", "reasoning")
_OPENING = tuple(f"<{name}>" for name in _NAMES)
_CLOSING = tuple(f"</{name}>" for name in _NAMES)
_LONGEST = max(map(len, _CLOSING))

Piece = tuple[ChunkKind, str]


class ThinkSplitter:
    """Turns pieces of visible text into reasoning and text pieces; the tags themselves vanish.

    Knows `<think>`, `<thinking>` and `<reasoning>` in any case. A block ends with its own closing tag;
    one that never closes is reasoning to the end. Inside a block other tags are plain reasoning, outside
    it a closing tag without an opening one is dropped (some chat templates write the opening tag into the
    prompt: `inside=True` starts in such a block). A `<` that begins no tag is text.

    The joined output depends on the joined input only, never on where it was cut. Cost is linear, and at
    most one tag's length less one character (11) is held back.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._closer = _CLOSING if inside else ()
        self._held = ""

    @property
    def kind(self) -> ChunkKind:
        """What the next plain character will be."""
        return ChunkKind.REASONING if self._closer else ChunkKind.TEXT

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` completes, in order; neighbours never share a kind, none is empty."""
        buffer = self._held + text
        self._held = ""
        pieces: list[Piece] = []
        start = 0
        at = buffer.find("<")
        while at >= 0:
            window = buffer[at : at + _LONGEST].lower()
            tag = next((tag for tag in self._awaited() if window.startswith(tag)), None)
            if tag is not None:
                self._emit(pieces, buffer[start:at])
                self._pass(tag)
                start = at + len(tag)
                at = buffer.find("<", start)
            elif len(buffer) - at < _LONGEST and any(tag.startswith(window) for tag in self._awaited()):
                self._held = buffer[at:]
                self._emit(pieces, buffer[start:at])
                return pieces
            else:
                at = buffer.find("<", at + 1)
        self._emit(pieces, buffer[start:])
        return pieces

    def end(self) -> list[Piece]:
        """What was held back, now that nothing follows; the splitter is then as new, outside any block."""
        pieces: list[Piece] = []
        self._emit(pieces, self._held)
        self._held, self._closer = "", ()
        return pieces

    def _awaited(self) -> tuple[str, ...]:
        return self._closer or _OPENING + _CLOSING

    def _pass(self, tag: str) -> None:
        self._closer = (f"</{tag[1:]}",) if tag in _OPENING and not self._closer else ()

    def _emit(self, pieces: list[Piece], text: str) -> None:
        if not text:
            return
        if pieces and pieces[-1][0] is self.kind:
            pieces[-1] = (self.kind, pieces[-1][1] + text)
        else:
            pieces.append((self.kind, text))
