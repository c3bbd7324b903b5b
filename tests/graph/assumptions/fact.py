"""One thing that specflow takes for granted of LangGraph or LangChain, and how to see whether it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fact:
    """`holds` looks at the library; `breaks` makes it another one, for the proof that `holds` sees it.

    `used` names the module of specflow that relies on it, `mend` says what to do when it is gone.
    """

    name: str
    says: str
    used: str
    mend: str
    holds: Callable[[], Any]
    breaks: Callable[[Any], Any]

    def check(self) -> None:
        """Raises AssertionError, with the whole story, where it does not hold."""
        try:
            found = self.holds()
        except Exception as error:  # a name that is gone, an argument that is another one
            raise AssertionError(self.story(repr(error))) from error
        assert found, self.story(f"found {found!r}")

    def story(self, why: str) -> str:
        return (
            f"LangGraph or LangChain is not what specflow takes it for: {self.says} ({why}). "
            f"{self.used} relies on it: {self.mend}; see docs/reference/compatibility.md"
        )
