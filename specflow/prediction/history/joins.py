"""The arguments that stood together in one record: as records come in, only the new ones are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from specflow.prediction.history.dialogue import MAX_RECORDS, Dialogue
from specflow.prediction.history.looks import look
from specflow.prediction.history.remembered import Row, Rows
from specflow.prediction.history.seen import Record
from specflow.prediction.history.tables import Join

Pairs = tuple[tuple[str, str], ...]


def rows_of(dialogue: Dialogue, join: Join) -> Rows:
    """The arguments by which each record fills the join, those first of which the user said the most."""
    path = join[0][1]
    arrived = dialogue.arrived.get(path, 0)
    known = dialogue.rows.get(join)
    if known is None or known.arrived < arrived > MAX_RECORDS:
        # Nothing is known, or the oldest records have been dropped.
        known = dialogue.rows[join] = Rows()
    if known.spoken != dialogue.spoken:
        _say_anew(dialogue, known)
    elif known.arrived == arrived:
        return known
    records: Sequence[Record] = dialogue.records.get(path, ())
    new = records[-(arrived - known.arrived) :] if arrived > known.arrived else ()
    for args, values in _of_records(new, join):
        if args not in known.by_args:
            row = Row(_said(dialogue, values), len(known.ordered), args, values)
            known.ordered.append(row)
            known.by_args[args] = row
    known.ordered.sort(key=lambda row: (-row.said, row.turn))
    known.arrived, known.spoken = arrived, dialogue.spoken
    return known


def _say_anew(dialogue: Dialogue, rows: Rows) -> None:
    """Look again what the user said of the rows that are known."""
    for at, row in enumerate(rows.ordered):
        said = _said(dialogue, row.values)
        if said != row.said:
            # Copies of the conversation have the row as well.
            new = Row(said, row.turn, row.args, row.values)
            rows.ordered[at] = rows.by_args[row.args] = new


def _said(dialogue: Dialogue, values: Sequence[str]) -> float:
    looks = [look(dialogue, value) for value in values]
    return 1.0 + 0.5 * sum([seen.user + seen.everywhere for seen in looks])


def _of_records(records: Sequence[Record], join: Join) -> Iterator[tuple[Pairs, tuple[str, ...]]]:
    """The arguments, and their values, that each record fills, in the order of the records."""
    for record in records:
        fields = record.fields
        if all(path in fields for _, path in join):
            values = tuple([fields[path] for _, path in join])
            if len(set(values)) == len(values):
                yield tuple([(name, value) for (name, _), value in zip(join, values, strict=True)]), values
