"""Whether one set of declared destinations is within another."""

from __future__ import annotations

from collections.abc import Sequence

from specflow.policy.compiled import Destinations


def within(some: Sequence[Destinations], all_of: Sequence[Destinations]) -> bool:
    """Whether everything that `some` let through early, `all_of` let through as well; False when unsure.

    Each of a sequence must accept what a call contacts; of an empty one nothing is accepted.
    """
    if not some:
        return True
    return bool(all_of) and all(any(_within(mine, theirs) for mine in some) for theirs in all_of)


def _within(mine: Destinations, theirs: Destinations) -> bool:
    return (
        all(_covered(pattern, theirs.host) for pattern in mine.host)
        and _kind(mine.email, theirs.email, mine.host, theirs.host)
        and _kind(mine.path, theirs.path, mine.host, theirs.host, prefix=True)
        # A declaration that names its destinations lets values from results through; `*` does not.
        and (_unbounded(mine) or not _unbounded(theirs))
    )


def _kind(
    mine: Sequence[str],
    theirs: Sequence[str],
    my_hosts: Sequence[str],
    their_hosts: Sequence[str],
    *,
    prefix: bool = False,
) -> bool:
    """Addresses or paths: a declared host accepts them all, unless the declaration is particular."""
    everything = bool(their_hosts) if not theirs else "*" in theirs
    if everything:
        return True
    if not mine:
        return not my_hosts
    return all(_covered(pattern, theirs, prefix=prefix) for pattern in mine)


def _covered(pattern: str, others: Sequence[str], *, prefix: bool = False) -> bool:
    for other in others:
        if other in {"*", pattern}:
            return True
        if prefix and pattern.rstrip("*/").startswith(other.rstrip("*").rstrip("/") + "/"):
            return True
        if (
            not prefix
            and other.startswith("*")
            and pattern.endswith(other[1:])
            and len(pattern) >= len(other)
        ):
            return True
    return False


def _unbounded(declared: Destinations) -> bool:
    return "*" in declared.host + declared.email + declared.path
