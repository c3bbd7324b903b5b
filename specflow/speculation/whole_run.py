"""What the journal knows of a logical run as a whole, whatever sessions it was in."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.errors import ConflictError
from specflow.journal.port import Journal
from specflow.speculation.conversation import Conversation, lost
from specflow.speculation.orphans import Orphans


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """One run of a conversation; without a `run_key` it is not told from others, and nothing is known."""

    journal: Journal
    thread: str
    run_key: str
    tenant: str

    async def must_stand(self) -> None:
        """# INVARIANT: a run that was taken back as a whole does not go on: half of what it knows is undone.

        Raises:
            ConflictError: it was.
        """
        if not self.run_key:
            return
        if await self.journal.run_taken_back(self.thread, self.run_key, tenant=self.tenant):
            raise ConflictError(
                f"this run was taken back as a whole (run {self.run_key})",
                hint="start it again from the beginning",
                run_key=self.run_key,
            )

    async def orphans(self, known: Conversation, before: Orphans) -> Orphans:
        """What it has committed that the conversation does not know; see `Orphans` for `before`."""
        kept = await self.journal.kept_by_run(self.thread, self.run_key, tenant=self.tenant)
        return Orphans(kept, known, before=before)

    async def doubtful(self, known: Conversation) -> dict[str, str]:
        """By fingerprint: calls of which neither it nor anybody else knows whether they happened.

        # INVARIANT: whoever has recovered them meanwhile, no twin is made beside one under a new name.
        """
        found = await self.journal.doubtful_by_run(self.thread, self.run_key, tenant=self.tenant)
        rows = [item.effect for item in found if lost(item, known)]
        return {row.fingerprint: row.effect_id for row in reversed(rows)}

    async def has_done(self) -> bool:
        """Whether sessions of it that are over have committed something."""
        if not self.run_key:
            return False
        return bool(await self.journal.kept_by_run(self.thread, self.run_key, tenant=self.tenant))
