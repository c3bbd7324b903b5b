"""Tools whose early writes are off: one stuck effect of a tool, in whatever session, is enough."""

from __future__ import annotations

from specflow.journal.port import Journal


class SwitchedOff:
    """What the journal said last, and what has got stuck here since; of one tenant.

    Resolving the effect switches the tool on again for sessions that read the journal after that.
    """

    def __init__(self, journal: Journal, tenant: str) -> None:
        self._journal = journal
        self._tenant = tenant
        self._off: dict[str, str] = {}
        self._told: list[tuple[str, str]] = []
        self._asked = 0
        self._answered = 0

    def by(self, tool: str) -> str:
        """The id of the stuck effect that switches the tool off; empty when it is on."""
        return self._off.get(tool, "")

    def tell(self, tool: str, effect_id: str) -> None:
        """An effect of this process has got stuck."""
        self._told.append((tool, effect_id))
        self._off.setdefault(tool, effect_id)

    def resolved(self, tool: str, effect_id: str) -> None:
        """Somebody has settled that effect."""
        if self.by(tool) == effect_id:
            del self._off[tool]

    async def read(self) -> None:
        """Ask the journal anew; raises JournalError."""
        self._asked += 1
        number, heard = self._asked, len(self._told)
        found = await self._journal.stuck_tools(self._tenant)
        if number > self._answered:
            self._answered = number
            # What was told meanwhile may have come too late for the answer.
            self._off = {**dict(self._told[heard:]), **found}
