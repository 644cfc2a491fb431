"""Batches at vendors, and the lines in them: what a crash leaves says what is to be done next."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from askonce.core.access import Asker
from askonce.core.provider_batches import Batch, BatchState, Line, LineState, NewLine
from askonce.core.questions import Question
from askonce.db.batch_rows import BatchLineRow, BatchRow

# Written out, not bound: SQLite uses a partial index only where it can see that it applies.
_WAITS = BatchLineRow.state == literal_column(f"'{LineState.WAITING.value}'")
_NEVER_SENT = ""
_AT_ONCE = 500

_BATCH = select(
    BatchRow.id,
    BatchRow.tenant,
    BatchRow.run,
    BatchRow.token,
    BatchRow.provider,
    BatchRow.model,
    BatchRow.state,
    BatchRow.owner,
    BatchRow.remote_id,
    BatchRow.lines,
    BatchRow.size,
    BatchRow.sent_at,
)
_IS_OF_RUN = (BatchRow.tenant == bindparam("of_tenant"), BatchRow.run == bindparam("of_run"))
_FILLING = select(BatchRow.id).where(
    *_IS_OF_RUN,
    BatchRow.provider == bindparam("of_provider"),
    BatchRow.model == bindparam("of_model"),
    BatchRow.state == BatchState.OPEN.value,
)
_BEGIN = insert(BatchRow).returning(BatchRow.id)
_ONE = _BATCH.where(BatchRow.id == bindparam("batch_id")).with_for_update()
_UNFINISHED = _BATCH.where(
    BatchRow.tenant == bindparam("of_tenant"), BatchRow.state != BatchState.OVER.value
).order_by(BatchRow.id)
_REMOTE_IDS = select(BatchRow.remote_id).where(
    BatchRow.provider == bindparam("of_provider"), BatchRow.remote_id.is_not(None)
)
_GROW = (
    update(BatchRow)
    .where(BatchRow.id == bindparam("of_batch"))
    .values(lines=BatchRow.lines + 1, size=BatchRow.size + bindparam("more"))
)
_LINE_COLUMNS = (
    BatchLineRow.id,
    BatchLineRow.tenant,
    BatchLineRow.user_id,
    BatchLineRow.era,
    BatchLineRow.run,
    BatchLineRow.number,
    BatchLineRow.digest,
    BatchLineRow.fingerprint,
    BatchLineRow.state,
    BatchLineRow.question,
    BatchLineRow.attempt_id,
    BatchLineRow.leader_id,
    BatchLineRow.epoch,
    BatchLineRow.analysis_id,
    BatchLineRow.failure,
)
_LINE = select(*_LINE_COLUMNS)
_IS_LINE_OF_RUN = (
    BatchLineRow.tenant == bindparam("of_tenant"),
    BatchLineRow.run == bindparam("of_run"),
)
_ADD = insert(BatchLineRow).returning(BatchLineRow.id)
_KNOWN = _LINE.where(
    *_IS_LINE_OF_RUN, BatchLineRow.number.in_(bindparam("numbers", expanding=True))
)
_LEADER = (
    select(BatchLineRow.id)
    .join(BatchRow, BatchRow.id == BatchLineRow.batch_id)
    .where(
        # What another run is still filling may never be sent.
        or_(BatchRow.run == bindparam("of_run"), BatchRow.state != BatchState.OPEN.value),
        BatchLineRow.tenant == bindparam("of_tenant"),
        BatchLineRow.fingerprint == bindparam("of_question"),
        _WAITS,
        BatchLineRow.leader_id.is_(None),
    )
    .order_by(BatchLineRow.id)
    .limit(1)
    # Its outcome must not be written before the line that follows it is.
    .with_for_update(of=BatchLineRow)
)
_LINES = (
    _LINE.where(
        BatchLineRow.batch_id == bindparam("of_batch"),
        BatchLineRow.id > bindparam("after"),
        BatchLineRow.leader_id.is_(None),
        _WAITS,
    )
    .order_by(BatchLineRow.id)
    .limit(bindparam("most"))
)
_LOCKED = (
    _LINE.where(BatchLineRow.id.in_(bindparam("ids", expanding=True)))
    .order_by(BatchLineRow.id)
    .with_for_update()
)
_LOCKED_IN = _LOCKED.where(BatchLineRow.batch_id == bindparam("of_batch"))
_LEADING = aliased(BatchLineRow)
_FOLLOWERS = (
    select(BatchLineRow.id, _LEADING.id.label("led_by"))
    .join(_LEADING, _LEADING.id == BatchLineRow.leader_id)
    .where(
        BatchLineRow.tenant == bindparam("of_tenant"),
        _WAITS,
        _LEADING.state != LineState.WAITING.value,
    )
    .order_by(BatchLineRow.id)
    .limit(bindparam("most"))
)
_SETTLE = update(BatchLineRow).where(BatchLineRow.id == bindparam("of_line")).values(question=None)
_WAITING = select(func.count()).where(*_IS_LINE_OF_RUN, _WAITS)
_FORGOTTEN = (
    select(BatchLineRow.id)
    .where(
        *_IS_LINE_OF_RUN,
        ~_WAITS,
        # Who follows one has yet to learn what became of it.
        ~select(_LEADING.id)
        .where(_LEADING.leader_id == BatchLineRow.id, _LEADING.state == LineState.WAITING.value)
        .exists(),
    )
    .limit(bindparam("most"))
)
_FORGET = delete(BatchLineRow).where(BatchLineRow.id.in_(bindparam("ids", expanding=True)))
_FORGET_BATCHES = delete(BatchRow).where(
    *_IS_OF_RUN,
    BatchRow.state == BatchState.OVER.value,
    ~select(BatchLineRow.id).where(BatchLineRow.batch_id == BatchRow.id).exists(),
)


@dataclass(frozen=True, slots=True)
class SqlProviderBatches:
    """The batches of all tenants, and the lines in them."""

    connection: Connection

    def filling(
        self, tenant: str, run: str, *, provider: str, model: str, token: str, at: datetime
    ) -> int:
        """Return the batch of a run that is being filled for a model: a new one, if need be."""
        facts = {"of_tenant": tenant, "of_run": run, "of_provider": provider, "of_model": model}
        found = self.connection.execute(_FILLING, facts).scalar_one_or_none()
        if found is not None:
            return found
        begun = {
            "tenant": tenant,
            "run": run,
            "token": token,
            "provider": provider,
            "model": model,
            "state": BatchState.OPEN.value,
            "owner": _NEVER_SENT,
            "lines": 0,
            "size": 0,
            "created_at": at,
        }
        return self.connection.execute(_BEGIN, begun).scalar_one()

    def batch(self, batch_id: int) -> Batch | None:
        """Return one batch; nobody else changes it until this transaction ends."""
        row = self.connection.execute(_ONE, {"batch_id": batch_id}).one_or_none()
        return None if row is None else _batch(row)

    def unfinished(self, tenant: str) -> Sequence[Batch]:
        """Return all batches of a tenant that are not over, the oldest first."""
        return [_batch(row) for row in self.connection.execute(_UNFINISHED, {"of_tenant": tenant})]

    def remote_ids(self, provider: str) -> frozenset[str]:
        """Return the vendor's ids of all batches that are known here."""
        found = self.connection.execute(_REMOTE_IDS, {"of_provider": provider}).scalars()
        return frozenset(remote_id for remote_id in found if remote_id is not None)

    def move(
        self,
        batch_id: int,
        state: BatchState,
        *,
        owner: str = "",
        remote_id: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        """Note where a batch stands; what is not given stays as it was."""
        given = {"owner": owner, "remote_id": remote_id, "sent_at": sent_at}
        changes = {name: value for name, value in given.items() if value}
        self.connection.execute(
            update(BatchRow).where(BatchRow.id == batch_id).values(state=state.value, **changes)
        )

    def add(self, line: NewLine) -> int:
        """Write a line down, and return its id."""
        question = None if line.question is None else _written(line.question)
        facts = {
            "tenant": line.asker.tenant,
            "user_id": line.asker.user_id,
            "era": line.asker.era,
            "run": line.run,
            "number": line.number,
            "digest": line.digest,
            "fingerprint": line.fingerprint,
            "state": line.state.value,
            "batch_id": line.batch_id,
            "leader_id": line.leader,
            "attempt_id": line.attempt_id,
            "analysis_id": line.analysis_id,
            "epoch": line.epoch,
            "question": question,
        }
        line_id = self.connection.execute(_ADD, facts).scalar_one()
        if line.batch_id is not None and question is not None:
            more = {"of_batch": line.batch_id, "more": len(question.encode())}
            self.connection.execute(_GROW, more)
        return line_id

    def known(self, tenant: str, run: str, numbers: Sequence[int]) -> dict[int, Line]:
        """Return those of these lines of a run that are written down."""
        facts = {"of_tenant": tenant, "of_run": run, "numbers": list(numbers)}
        return {row.number: _line(row) for row in self.connection.execute(_KNOWN, facts)}

    def leader(self, tenant: str, run: str, fingerprint: bytes) -> int | None:
        """Return the line that waits for the answer to a question, if there is one."""
        facts = {"of_tenant": tenant, "of_run": run, "of_question": fingerprint}
        return self.connection.execute(_LEADER, facts).scalar_one_or_none()

    def lines(self, batch_id: int, *, after: int, limit: int) -> Sequence[Line]:
        """Return lines of a batch that wait and lead, in the order of their ids."""
        facts = {"of_batch": batch_id, "after": after, "most": limit}
        return [_line(row) for row in self.connection.execute(_LINES, facts)]

    def locked(self, batch_id: int, line_ids: Sequence[int]) -> dict[int, Line]:
        """Return those of the lines that are in a batch; nobody else changes them until the end."""
        facts = {"of_batch": batch_id, "ids": sorted(line_ids)}
        return {row.id: _line(row) for row in self.connection.execute(_LOCKED_IN, facts)}

    def followers(self, tenant: str, *, limit: int) -> Sequence[tuple[Line, Line]]:
        """Return lines that wait although their leaders do not any more, each with its leader."""
        rows = self.connection.execute(_FOLLOWERS, {"of_tenant": tenant, "most": limit}).all()
        ids = sorted({line_id for row in rows for line_id in (row.id, row.led_by)})
        found = self.connection.execute(_LOCKED, {"ids": ids})
        lines = {row.id: _line(row) for row in found}
        pairs = [(lines.get(row.id), lines.get(row.led_by)) for row in rows]
        return [
            (line, leader)
            for line, leader in pairs
            if line is not None and leader is not None and line.state is LineState.WAITING
        ]

    def settle(
        self, line_id: int, *, analysis_id: int | None = None, failure: str | None = None
    ) -> None:
        """Note what became of a line; its text is kept no longer."""
        state = LineState.ANSWERED if failure is None else LineState.FAILED
        self.connection.execute(
            _SETTLE,
            {
                "of_line": line_id,
                "state": state.value,
                "analysis_id": analysis_id,
                "failure": failure,
            },
        )

    def waiting(self, tenant: str, run: str) -> int:
        """Return how many lines of a run wait."""
        facts = {"of_tenant": tenant, "of_run": run}
        return self.connection.execute(_WAITING, facts).scalar_one()

    def forget(self, tenant: str, run: str) -> None:
        """Remove what is held of a run of which nothing waits."""
        facts: dict[str, Any] = {"of_tenant": tenant, "of_run": run}
        while (
            ids := self.connection.execute(_FORGOTTEN, facts | {"most": _AT_ONCE}).scalars().all()
        ):
            self.connection.execute(_FORGET, {"ids": ids})
        self.connection.execute(_FORGET_BATCHES, facts)


def _batch(row: Row[*tuple[Any, ...]]) -> Batch:
    return Batch(
        id=row.id,
        tenant=row.tenant,
        run=row.run,
        token=row.token,
        provider=row.provider,
        model=row.model,
        state=BatchState(row.state),
        owner=row.owner,
        remote_id=row.remote_id,
        lines=row.lines,
        size=row.size,
        sent_at=row.sent_at,
    )


def _line(row: Row[*tuple[Any, ...]]) -> Line:
    return Line(
        id=row.id,
        run=row.run,
        number=row.number,
        digest=row.digest,
        asker=Asker(tenant=row.tenant, user_id=row.user_id, era=row.era),
        fingerprint=row.fingerprint,
        state=LineState(row.state),
        question=None if row.question is None else question_of(row.question),
        attempt_id=row.attempt_id,
        leader=row.leader_id,
        epoch=row.epoch,
        analysis_id=row.analysis_id,
        failure=row.failure,
    )


def _written(question: Question) -> str:
    return json.dumps(asdict(question), ensure_ascii=False)


def question_of(written: str) -> Question:
    """Return a question as it was written down."""
    facts = json.loads(written)
    return Question(**facts | {"fallbacks": tuple(facts["fallbacks"])})
