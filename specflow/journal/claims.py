"""Which claims stand in the way of an intent; `memory` and `sql` both ask here.

A claim is written with the intent of its effect and lives while that is undecided: nothing has to be
deleted for it to end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from specflow.effects.claim import ALL, claim_key, covering, tool_claim
from specflow.errors import ClaimedError
from specflow.journal.record import Intent, Snapshot
from specflow.lifecycle import TERMINAL, BranchState, Stage

EXCLUSIVE = "exclusive"
"""Mode of what an intent claims: one session at a time."""

SHARED = "shared"
"""Mode of what an unknown outcome holds, or a part of another effect: others may hold it, too."""

HELD = frozenset(Stage) - TERMINAL - {Stage.COMMITTED}
"""Stages in which an effect's claims may be live; stuck is one of them."""


def is_live(stage: Stage, branch: BranchState) -> bool:
    """Whether the claims of an effect are live: not at rest, or stuck, and not adopted and done."""
    return stage in HELD and not (stage is Stage.DONE and branch is BranchState.CONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One live claim, and the effect that holds it."""

    resource: str
    effect_id: str
    session_id: str
    tenant: str
    tool: str
    stage: Stage
    branch: BranchState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an intent claims, and where to look for what stands in its way.

    `named` are the resources whose claims do; `patterns` those of its own claims that cover others.
    """

    claims: tuple[str, ...]
    named: frozenset[str]
    patterns: tuple[str, ...]

    def meets(self, resource: str) -> bool:
        """Whether a claim on `resource` stands in the way."""
        return resource in self.named or any(pattern in covering(resource) for pattern in self.patterns)


def wanted(intent: Intent) -> Wanted | None:
    """What an intent claims; None when it claims nothing."""
    if not intent.claims:
        return None
    claims = tuple(sorted(set(map(claim_key, intent.claims))))
    # Whoever of the same tool claims nothing and does not know its outcome may have touched these, too.
    every = (*claims, tool_claim(intent.tool))
    return Wanted(
        claims=claims,
        named=frozenset(every).union(*map(covering, every)),
        patterns=tuple(one for one in claims if one.endswith(ALL)),
    )


def grant(
    intent: Intent, want: Wanted, *, session_id: str, tenant: str, holders: Iterable[Holder]
) -> tuple[str, ...]:
    """The effects of the same session that an early call builds on, since they hold what it claims.

    Raises:
        ClaimedError: an effect of another session holds it, or one of this session that is lost and not
            undone yet.
    """
    needs: list[str] = []
    for holder in sorted(holders, key=lambda one: (one.resource, one.effect_id)):
        apart = holder.tenant != tenant or not want.meets(holder.resource)
        if apart or holder.effect_id in intent.inside:
            continue
        if holder.session_id != session_id:
            raise claimed(intent, holder)
        if intent.adopted_by is None:
            if holder.branch is BranchState.ABORTED:
                raise claimed(intent, holder)
            needs.append(holder.effect_id)
    return tuple(dict.fromkeys(needs))


def mode(intent: Intent) -> str:
    """What is a part of another effect shares what that one claims."""
    return SHARED if intent.inside else EXCLUSIVE


def granted(intent: Intent, want: Wanted, *, session_id: str, tenant: str) -> Sequence[Holder]:
    """What the intent holds from now on."""
    state = BranchState.OPEN if intent.adopted_by is None else BranchState.CONFIRMED
    return [
        Holder(
            resource=resource,
            effect_id=intent.effect_id,
            session_id=session_id,
            tenant=tenant,
            tool=intent.tool,
            stage=Stage.INTENDED,
            branch=state,
        )
        for resource in want.claims
    ]


def clashes(snapshot: Snapshot) -> Iterator[tuple[Holder, Holder]]:
    """Pairs of exclusive, live claims of two sessions of a tenant on the same resource: there must be none.

    Not counted is what a session takes back as a whole: that cannot wait for those who came after it.
    """
    tenants = {row.session_id: row.tenant for row in snapshot.sessions}
    branches = {row.branch_id: row.state for row in snapshot.branches}
    effects = {row.effect_id: row for row in snapshot.effects}
    found: dict[tuple[str, str], list[Holder]] = defaultdict(list)
    for claim in snapshot.claims:
        effect = effects.get(claim.effect_id)
        if effect is None or claim.mode != EXCLUSIVE:
            continue
        branch = branches.get(effect.branch_id, BranchState.OPEN)
        taken_back = branch is BranchState.CONFIRMED and effect.attempts > 0
        if is_live(effect.stage, branch) and not taken_back:
            tenant = tenants.get(effect.session_id, "")
            holder = Holder(
                resource=claim.resource,
                effect_id=effect.effect_id,
                session_id=effect.session_id,
                tenant=tenant,
                tool=effect.tool,
                stage=effect.stage,
                branch=branch,
            )
            found[tenant, claim.resource].append(holder)
    for (tenant, resource), holders in found.items():
        for number, one in enumerate(holders):
            above = (other for pattern in covering(resource) for other in found.get((tenant, pattern), ()))
            for other in (*holders[number + 1 :], *above):
                if one.session_id != other.session_id:
                    yield one, other


def claimed(intent: Intent, holder: Holder) -> ClaimedError:
    """The error for an intent in whose way `holder` is."""
    hint = f"look at it with: specflow journal show {holder.effect_id}; if its process died: journal recover"
    if holder.stage is Stage.STUCK:
        hint = f"settle it with: specflow journal resolve {holder.effect_id}"
    return ClaimedError(
        f"{intent.tool} was not called: {holder.tool} (journal effect {holder.effect_id}, {holder.stage}) "
        f"holds {holder.resource}",
        hint=hint,
        tool=holder.tool,
        effect_id=holder.effect_id,
        session_id=holder.session_id,
        stage=holder.stage,
        resource=holder.resource,
        conflict="claim",
    )
