"""Many operations in one transaction: quickly when all goes well, carefully when something does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeGuard

from specflow.errors import ClaimedError, SpecflowError
from specflow.journal import claiming, rows
from specflow.journal.database import Connection
from specflow.journal.operations import Intend, Operation, Record
from specflow.journal.rules import record_sources
from specflow.journal.transaction import Transaction
from specflow.journal.trouble import explain
from specflow.lifecycle import Stage


class _OtherwiseError(Exception):
    """Not every row of a bulk statement was in the expected stage: do it one by one."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer to an operation that raised."""

    error: BaseException


def execute(connection: Connection, operations: Sequence[Operation], now: float) -> list[object]:
    """Run all of `operations` in one transaction; one answer each, in order, `Failed` where one raised.

    An operation that fails leaves nothing behind and does not touch the others. When the database
    itself fails (also at the commit), nothing is written and that error is raised.
    """
    try:
        tx = _begin(connection, operations, now)
        try:
            answers = _together(tx, operations)
            tx.write_events()
        except Exception:
            connection.rollback()
            if connection.lost:
                raise
            tx = _begin(connection, operations, now)
            tx.careful = True
            answers = [_alone(connection, tx, operation) for operation in operations]
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return answers


def _begin(connection: Connection, operations: Sequence[Operation], now: float) -> Transaction:
    """A transaction that holds the locks of what `operations` claim, or says that they were not to be had."""
    wants = [item.wanted for item in operations if isinstance(item, Intend) and item.wanted is not None]
    tx = connection.begin(now)
    try:
        # All at once and before any row is locked, so that two processes never wait for each other.
        claiming.lock(tx, wants)
    except connection.database.driver_error as error:
        if not claiming.is_busy(error):
            raise
        # Somebody was stopped while it had them: only those who want the same wait for that.
        connection.rollback()
        tx = connection.begin(now)
        claiming.try_lock(tx, wants)
    return tx


def _alone(connection: Connection, tx: Transaction, operation: Operation) -> object:
    tx.raw("SAVEPOINT sf_one")
    try:
        answer = operation.apply(tx)
        tx.write_events()
    except SpecflowError as error:
        _back(tx)
        return Failed(error)
    except connection.refusals:
        _back(tx)
        try:
            return operation.conflict(tx)
        except SpecflowError as error:
            return Failed(error)
    except Exception as error:
        if isinstance(error, connection.database.driver_error) and not isinstance(error, connection.misfits):
            raise  # the database is in trouble, not this operation
        _back(tx)
        return Failed(explain(error, connection.database.where, sqlite=connection.database.sqlite))
    tx.raw("RELEASE SAVEPOINT sf_one")
    return answer


def _back(tx: Transaction) -> None:
    tx.raw("ROLLBACK TO SAVEPOINT sf_one")
    tx.raw("RELEASE SAVEPOINT sf_one")
    tx.forget()


def _together(tx: Transaction, operations: Sequence[Operation]) -> list[object]:
    answers: list[object] = []
    for hot, group in groupby(operations, key=_is_hot):
        if hot:
            answers.extend(_hot(tx, [item for item in group if _is_hot(item)]))
        else:
            answers.extend(_one(tx, operation) for operation in group)
    return answers


def _one(tx: Transaction, operation: Operation) -> object:
    try:
        return operation.apply(tx)
    except ClaimedError as error:
        # It looked before it wrote anything: nobody else has to begin anew for that.
        return Failed(error)


def _is_hot(operation: Operation) -> TypeGuard[Intend | Record]:
    if isinstance(operation, Intend):
        return not operation.linked
    return operation.__class__ is Record


def _hot(tx: Transaction, group: Sequence[Intend | Record]) -> Iterator[object]:
    """Intents and outcomes in bulk. Each touches its own effect, so their order makes no difference."""
    if len(group) == 1:
        return iter([_one(tx, group[0])])
    touched = [item.intent.effect_id if isinstance(item, Intend) else item.effect_id for item in group]
    if len(set(touched)) != len(touched):
        return iter([_one(tx, item) for item in group])
    tx.sessions(item.lease.session_id for item in group)
    wants = [item.wanted for item in group if isinstance(item, Intend) and item.wanted is not None]
    held = claiming.held(tx, wants) if wants else []
    if not {holder.effect_id for holder in held}.isdisjoint(touched):
        # What comes first decides whether the claim is still in the way.
        return iter([_one(tx, item) for item in group])
    answers: list[object] = []
    branches, effects, dependencies, claims, outcomes = [], [], [], [], []
    for item in group:
        if isinstance(item, Intend):
            try:
                needs = item.grant(tx, held)
            except ClaimedError as error:
                answers.append(Failed(error))
                continue
            branch, effect, seq = item.values(tx)
            branches.append(branch)
            effects.append(effect)
            dependencies.extend(rows.dependencies(item.intent, needs))
            claims.extend(rows.claims(item.intent, item.wanted.claims if item.wanted else ()))
            answers.append(seq)
        else:
            tx.guard(item.lease)
            source = record_sources(item.outcome.stage)[0]
            assert source is Stage.INTENDED
            outcomes.append(item.values(tx, source))
            item.tell(tx, source)
            answers.append(True)
    tx.many(tx.statements.insert_branch, branches)
    tx.many(tx.statements.insert_effect, effects)
    tx.many(tx.statements.insert_dependency, dependencies)
    tx.many(tx.statements.insert_claim, claims)
    if tx.many(tx.statements.record, outcomes) != len(outcomes):
        raise _OtherwiseError
    for item in group:
        if isinstance(item, Record) and item.outcome.stage is Stage.UNKNOWN:
            claiming.hold_tool(tx, item.effect_id)
    return iter(answers)
