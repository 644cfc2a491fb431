"""Files in which paid answers wait for their commit.

A file that was written survives the process, also kill -9, at the cost of 0.2 ms. It survives a
power cut only once it has been made safe, which costs an fsync and so is done only while the
database is away.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from askonce.core.access import Asker
from askonce.core.answers import Answer, FinishReason
from askonce.core.conversations import Role, Spoken, Turn
from askonce.core.flights import Lease
from askonce.core.idempotency import IdempotencyKey
from askonce.core.purchases import Purchase
from askonce.core.questions import Question
from askonce.telemetry import log

_FINISHED = ".json"
_HALF_WRITTEN = ".tmp"
_SET_ASIDE = ".bad"
_FORGOTTEN_SECONDS = 3600.0
_WRITABLE_BY_OTHERS = 0o022


class FileSpool:
    """A folder that only we can read, with one file for each answer.

    Where it cannot be written everything goes on without it; the log says so once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_missed = False
        try:
            self._prepare()
            self._sweep()
        except OSError as error:
            self._miss(error)

    def put(self, purchase: Purchase) -> None:
        """Write an answer down."""
        self._put(purchase, is_safe=False)

    def make_safe(self, purchase: Purchase) -> None:
        """Let an answer survive a power cut too, and write it where that failed before."""
        self._put(purchase, is_safe=True)

    def drop(self, purchase: Purchase) -> None:
        """Forget an answer that has been committed."""
        with suppress(OSError):
            self._path(purchase).unlink()

    def set_aside(self, purchase: Purchase) -> None:
        """Keep an answer that cannot be committed out of the way, for a person to look at."""
        self._rename(self._path(purchase))

    def waiting(self, fingerprint: bytes | None = None) -> list[Purchase]:
        """Return the answers that wait here, of all processes: to one question, or to all."""
        prefix = "" if fingerprint is None else fingerprint.hex()
        try:
            self._prepare()
            # Not a glob, which is compiled anew for each fingerprint: this precedes every call.
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if entry.name.startswith(prefix)]
        except OSError as error:
            self._miss(error)
            return []
        finished = sorted(name for name in names if name.endswith(_FINISHED))
        read = (self._read(self._folder / name) for name in finished)
        return [purchase for purchase in read if purchase is not None]

    def forget(self, tenant: str, user_id: str) -> int:
        """Remove all answers that a user has here, those set aside included; return how many."""
        removed = 0
        with suppress(OSError), os.scandir(self._folder) as entries:
            for path in (Path(entry.path) for entry in entries):
                if path.suffix in (_FINISHED, _SET_ASIDE, _HALF_WRITTEN) and _is_of(
                    path, tenant, user_id
                ):
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _put(self, purchase: Purchase, *, is_safe: bool) -> None:
        path = self._path(purchase)
        unfinished = path.with_suffix(_HALF_WRITTEN)
        try:
            self._prepare()
            try:
                _write(unfinished, _written(purchase), is_safe=is_safe)
                unfinished.rename(path)
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
            if is_safe:
                _sync_folder(self._folder)
        except OSError as error:
            self._miss(error)
        else:
            self._is_missed = False

    def _path(self, purchase: Purchase) -> Path:
        lease = purchase.lease
        facts = (lease.fingerprint.hex(), lease.epoch, purchase.attempt_id, purchase.owner)
        return self._folder / ("-".join(str(fact) for fact in facts) + _FINISHED)

    def _prepare(self) -> None:
        try:
            found = self._folder.stat()
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._folder.stat()
        if found.st_uid != os.getuid() or found.st_mode & _WRITABLE_BY_OTHERS:
            # What lies here is committed as it stands: nobody else may put anything in.
            raise PermissionError

    def _read(self, path: Path) -> Purchase | None:
        try:
            return _purchase(json.loads(path.read_bytes()))
        except FileNotFoundError:
            # Committed meanwhile, by the process that wrote it or by another one.
            return None
        except OSError as error:
            self._miss(error)
            return None
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
            self._rename(path)
            return None

    def _rename(self, path: Path) -> None:
        log.warning("spooled_answer_set_aside", file=path.name)
        with suppress(OSError):
            path.rename(path.with_suffix(_SET_ASIDE))

    def _miss(self, error: OSError) -> None:
        if not self._is_missed:
            self._is_missed = True
            log.warning("spool_not_usable", folder=str(self._folder), error=type(error).__name__)

    def _sweep(self) -> None:
        """Remove what processes left that died while they wrote."""
        for path in self._folder.glob(f"*{_HALF_WRITTEN}"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                    path.unlink()


def _is_of(path: Path, tenant: str, user_id: str) -> bool:
    """Return whether a file, readable as an answer or not, names this user."""
    try:
        asker = json.loads(path.read_bytes())["asker"]
        return bool(asker["tenant"] == tenant and asker["user_id"] == user_id)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _write(path: Path, content: bytes, *, is_safe: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        if is_safe:
            os.fsync(file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _written(purchase: Purchase) -> bytes:
    # Not by `asdict`, which copies everything first, and takes three times as long.
    return json.dumps(purchase, default=_plain).encode()


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    match value:
        case bytes():
            return value.hex()
        case datetime():
            return value.isoformat()
        case Decimal():
            return str(value)
    raise TypeError(type(value).__name__)


def _purchase(facts: dict[str, Any]) -> Purchase:
    asker, question, lease = facts["asker"], facts["question"], facts["lease"]
    key, turn = asker["key"], asker.get("turn")
    return Purchase(
        question=_question(question),
        asker=Asker(
            tenant=asker["tenant"],
            user_id=asker["user_id"],
            # A file that was written before there were keys has neither.
            key_id=asker.get("key_id"),
            request_id=asker.get("request_id", ""),
            era=asker.get("era"),
            key=None if key is None else _key(key),
            turn=None if turn is None else Turn(**turn | {"role": Role(turn["role"])}),
        ),
        lease=Lease(**lease | {"fingerprint": bytes.fromhex(lease["fingerprint"])}),
        has_lease=facts["has_lease"],
        is_kept=facts["is_kept"],
        owner=facts["owner"],
        attempt_id=facts["attempt_id"],
        answer=_answer(facts["answer"]),
        spent=None if facts["spent"] is None else _answer(facts["spent"]),
        at=datetime.fromisoformat(facts["at"]),
    )


def _question(facts: dict[str, Any]) -> Question:
    # A file that was written before there were conversations has no messages.
    messages = facts.get("messages")
    if messages is not None:
        messages = tuple(Spoken(Role(one["role"]), one["content"]) for one in messages)
    return Question(**facts | {"fallbacks": tuple(facts["fallbacks"]), "messages": messages})


def _key(facts: dict[str, str]) -> IdempotencyKey:
    return IdempotencyKey(
        scope=bytes.fromhex(facts["scope"]), digest=bytes.fromhex(facts["digest"])
    )


def _answer(facts: dict[str, Any]) -> Answer:
    cost = facts["cost"]
    return Answer(
        **facts
        | {
            "finish_reason": FinishReason(facts["finish_reason"]),
            "cost": None if cost is None else Decimal(cost),
        }
    )
