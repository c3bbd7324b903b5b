"""A process that claims a few keys again and again, from several sessions, while others do the same.

What it holds it also marks outside of the journal, by creating a file that must not be there: only a
journal that lets two sessions hold one key makes that fail. Run as a script: URL, folder, name, rounds.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

from specflow.effects.claim import meet
from specflow.effects.kind import EffectClass
from specflow.errors import ClaimedError
from specflow.journal.record import Intent, Lease, Outcome
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage

KEYS = ("seat:a", "seat:b", "seat:c", "seat:row:1", "seat:row:2", "seat:row:*", "seat:*")
PLAIN = tuple(key for key in KEYS if not key.endswith("*"))
SESSIONS = 6


class Witness:
    """One file per plain key; creating it fails while it is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, claims: tuple[str, ...]) -> list[Path]:
        covered = [key for key in PLAIN if any(meet(key, claim) for claim in claims)]
        return [self._folder / key.replace(":", "-") for key in covered]

    def take(self, claims: tuple[str, ...], who: str) -> None:
        for file in self.files(claims):
            with file.open("x") as made:
                made.write(who)

    def give_back(self, claims: tuple[str, ...]) -> None:
        for file in self.files(claims):
            file.unlink()


async def work(
    journal: SqlJournal, witness: Witness, lease: Lease, rounds: int, chance: random.Random
) -> Counter[str]:
    counted: Counter[str] = Counter()
    for number in range(rounds):
        claims = tuple(sorted(chance.sample(KEYS, chance.choice((1, 1, 2)))))
        name = f"{lease.session_id}-{number}"
        real = chance.random() < 0.5
        intent = Intent(
            effect_id=name, branch_id=f"{name}-br", tool="book", schema_hash="s", policy_hash="p",
            effect=EffectClass.COMPENSATABLE, fingerprint="f", args={}, idem_key=name, hypothesis="h",
            adopted_by=f"{name}-real" if real else None, claims=claims,
        )  # fmt: skip
        try:
            await journal.intend(lease, intent)
        except ClaimedError:
            counted["refused"] += 1
            await asyncio.sleep(chance.random() * 0.002)
            continue
        witness.take(claims, name)
        counted["held"] += 1
        await asyncio.sleep(chance.random() * 0.002)
        # Given back before the journal knows: from then on anybody may have it.
        if real:
            witness.give_back(claims)
            await journal.record(lease, name, Outcome(stage=Stage.DONE))
            continue
        await journal.record(lease, name, Outcome(stage=Stage.DONE))
        if chance.random() < 0.5:
            witness.give_back(claims)
            assert await journal.adopt(lease, name, f"{name}-adopted")
        else:
            assert await journal.abort(lease, f"{name}-br", "mismatch")
            assert await journal.move(lease, name, Stage.DONE, Stage.COMPENSATING, comp_key=f"{name}-undo")
            witness.give_back(claims)
            assert await journal.move(lease, name, Stage.COMPENSATING, Stage.COMPENSATED)
    return counted


async def main(url: str, folder: str, name: str, rounds: int) -> None:
    journal = SqlJournal.open(url, durability="process", busy_seconds=60.0)
    chance = random.Random(name)
    leases = [
        await journal.open_session(f"{name}-{number}", thread=f"{name}-{number}", owner=name)
        for number in range(SESSIONS)
    ]
    counts = await asyncio.gather(
        *(work(journal, Witness(Path(folder)), lease, rounds, random.Random(f"{name}{n}"))
          for n, lease in enumerate(leases))
    )  # fmt: skip
    chance.shuffle(leases)
    for lease in leases[: SESSIONS // 2]:
        await journal.close_session(lease)
    await journal.aclose()
    total: Counter[str] = sum(counts, Counter())
    print(json.dumps(total))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
