"""Many operations in one transaction: quickly when all goes well, carefully when something does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeGuard

from specflow.errors import SpecflowError
from specflow.journal import rows
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
    tx = connection.begin(now)
    try:
        try:
            answers = _together(tx, operations)
            tx.write_events()
        except Exception:
            connection.rollback()
            if connection.lost:
                raise
            tx = connection.begin(now)
            answers = [_alone(connection, tx, operation) for operation in operations]
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return answers


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
            answers.extend(operation.apply(tx) for operation in group)
    return answers


def _is_hot(operation: Operation) -> TypeGuard[Intend | Record]:
    return operation.__class__ is Intend or operation.__class__ is Record


def _hot(tx: Transaction, group: Sequence[Intend | Record]) -> Iterator[object]:
    """Intents and outcomes in bulk. Each touches its own effect, so their order makes no difference."""
    if len(group) == 1:
        return iter([group[0].apply(tx)])
    touched = [item.intent.effect_id if isinstance(item, Intend) else item.effect_id for item in group]
    if len(set(touched)) != len(touched):
        return iter([item.apply(tx) for item in group])
    tx.sessions(item.lease.session_id for item in group)
    answers: list[object] = []
    branches, effects, dependencies, outcomes = [], [], [], []
    for item in group:
        if isinstance(item, Intend):
            branch, effect, seq = item.values(tx)
            branches.append(branch)
            effects.append(effect)
            dependencies.extend(rows.dependencies(item.intent))
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
    if tx.many(tx.statements.record, outcomes) != len(outcomes):
        raise _OtherwiseError
    return iter(answers)
