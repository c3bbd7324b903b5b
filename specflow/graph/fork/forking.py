"""What the ways into LangGraph share of forking: the graphs, the adopting models, the calls of forks."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from specflow.graph.compat import ambient_callback
from specflow.graph.fork.adopting import Adopters
from specflow.graph.fork.attached import Attachments
from specflow.graph.fork.current import Fork
from specflow.graph.fork.exchange import Exchange
from specflow.graph.fork.forms import adopting
from specflow.graph.fork.purity import ModelNode
from specflow.graph.fork.shadow_tool import ShadowCalls
from specflow.graph.fork.siblings import Families
from specflow.graph.host import Host
from specflow.graph.tap import StreamTap


class Forking:
    """One per host."""

    def __init__(self, host: Host) -> None:
        self.attachments = Attachments(host)
        self.shadows = ShadowCalls(host, self.attachments)
        self.families = Families()
        self._adopters = Adopters(Exchange(host))

    def model(self, model: Any) -> Any:
        """The model, in whatever form, with calls that can be adopted."""
        return adopting(self._adopters, model)

    def model_if_attached(self, model: Any) -> Any:
        """The same; the model itself while there is no graph that could be run ahead."""
        return self.model(model) if self.attachments else model


_FORKING: weakref.WeakKeyDictionary[Host, Forking] = weakref.WeakKeyDictionary()


def forking(host: Host) -> Forking:
    """That of the host; made when there is none."""
    made = _FORKING.get(host)
    if made is None:
        made = _FORKING[host] = Forking(host)
    return made


@contextmanager
def in_fork(fork: Fork, mark: ModelNode) -> Iterator[StreamTap]:
    """Around a model node of a fork: run only when its model adopts, or it would be for nothing."""
    if not mark.adopts:
        fork.halt("a model that does not adopt: wrap it with Runtime.model")
    with streaming(fork) as deaf:
        yield deaf


@contextmanager
def streaming(fork: Fork) -> Iterator[StreamTap]:
    """Around a model call of a fork: streamed as the real run's is, for its listener; nobody listens."""
    if fork.branch.lost:
        fork.halt("its branch has ended")
    deaf = StreamTap(lambda _chunk: None)
    with ambient_callback(deaf):
        yield deaf
