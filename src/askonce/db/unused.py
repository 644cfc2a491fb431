"""Deletes answers with their last use: what nobody was given may not be served again."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, delete, exists, select, update

from askonce.db.flights import PURGED
from askonce.db.rows import AnalysisRow, AnswerRow, FlightRow, MessageRow

_AT_ONCE = 500
_ARE_THEY = AnswerRow.id.in_(bindparam("answer_ids", expanding=True))

_HOLD = select(AnswerRow.id).where(_ARE_THEY).order_by(AnswerRow.id).with_for_update()
# Neither a history nor a session has it.
IS_UNUSED = and_(
    ~exists().where(AnalysisRow.answer_id == AnswerRow.id),
    ~exists().where(MessageRow.answer_id == AnswerRow.id),
)
_UNUSED = select(AnswerRow.id).where(_ARE_THEY, IS_UNUSED)
_PURGE = (
    update(FlightRow)
    .where(FlightRow.answer_id.in_(bindparam("answer_ids", expanding=True)))
    .values(PURGED)
)
_DELETE = delete(AnswerRow).where(_ARE_THEY)


def hold(connection: Connection, answer_ids: Sequence[int]) -> None:
    """Lock answers before their uses are looked for: whoever is just adding one is waited for."""
    for some in _parts(answer_ids):
        connection.execute(_HOLD, {"answer_ids": some})


def remove_unused(connection: Connection, answer_ids: Sequence[int]) -> int:
    """Delete those of these answers that nobody uses any more, and their cache entries.

    Calls in flight for the same questions are fenced off, so that they cannot bring back what was
    deleted. Returns how many answers are gone.
    """
    removed = 0
    for some in _parts(answer_ids):
        unused = connection.execute(_UNUSED, {"answer_ids": some}).scalars().all()
        if unused:
            connection.execute(_PURGE, {"answer_ids": unused})
            removed += connection.execute(_DELETE, {"answer_ids": unused}).rowcount
    return removed


def _parts(answer_ids: Sequence[int]) -> list[Sequence[int]]:
    """Return the ids in portions that a statement may have parameters for, in one order."""
    in_order = sorted(answer_ids)
    return [in_order[at : at + _AT_ONCE] for at in range(0, len(in_order), _AT_ONCE)]
