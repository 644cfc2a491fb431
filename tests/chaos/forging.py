"""Forged evidence: a run in which all went well, to be changed so that one promise is broken."""

import hashlib
import json
from dataclasses import replace
from typing import Any, Final

from tests.chaos.accountant import violations
from tests.chaos.evidence import (
    Analysis,
    Answer,
    Attempt,
    Call,
    Evidence,
    Flight,
    Removal,
    Replica,
    Request,
    Times,
)

TEXT: Final = "What is it?"
TOPIC: Final = b"it"
ANN, BOB = Replica(name="ann", owner="a"), Replica(name="bob", owner="b")
# A living leader is silent for less than a heartbeat; followers wait for 1.5 seconds.
TIMES: Final = Times(heartbeat=0.2, lease=1.0, grace=0.5, max_tries=3)


def said(call: int, text: str = TEXT) -> str:
    """Return what the stub provider says to a text in its so-many-th call."""
    return f"answer to {hashlib.sha256(text.encode()).hexdigest()[:8]} #{call}"


def request(number: int = 1, **facts: Any) -> Request:
    """Return a request at Ann's that was not answered, a second after the last one."""
    default = {
        "user": f"u{number}",
        "text": TEXT,
        "replica": "ann",
        "sent": float(number),
        "answered": None,
        "status": 0,
    }
    return Request(number=number, **{**default, **facts})


def given(
    number: int = 1,
    analysis: int = 1,
    *,
    call: int = 1,
    result: str | None = None,
    cached: bool = False,
    **facts: Any,
) -> Request:
    """Return a request that was answered with 200 within half a second."""
    asked = request(number, **facts)
    body = {
        "id": analysis,
        "user_id": asked.user,
        "result": result or said(call, asked.text),
        "cached": cached,
    }
    answered = asked.answered or asked.sent + 0.5
    return replace(asked, status=200, answered=answered, body=json.dumps(body))


def removal(analysis: int = 1, *, sent: float, status: int = 204, took: float = 0.1) -> Removal:
    answered = sent + took if status else None
    return Removal(analysis_id=analysis, replica="ann", sent=sent, answered=answered, status=status)


def attempt(id_: int = 1, **facts: Any) -> Attempt:
    """Return an attempt of Ann's, 0.1 seconds after the request of the same number."""
    default = {
        "fingerprint": TOPIC,
        "epoch": 1,
        "fence": 1,
        "owner": "a",
        "provider": "openai",
        "outcome": "answered",
        "reason": None,
        "answer_id": id_ if facts.get("outcome", "answered") == "answered" else None,
        "started": id_ + 0.1,
        "finished": facts.get("started", id_ + 0.1) + 0.3,
    }
    return Attempt(id=id_, **{**default, **facts})


def call(number: int = 1, **facts: Any) -> Call:
    """Return a call of Ann's, 0.2 seconds after the request of the same number."""
    default = {
        "replica": "ann",
        "provider": "openai",
        "text": TEXT,
        "mode": "ok",
        "began": number + 0.2,
    }
    return Call(number=number, **{**default, **facts})


def answer(id_: int = 1, **facts: Any) -> Answer:
    text = facts.get("text", TEXT)
    default = {
        "fingerprint": TOPIC,
        "text": text,
        "result": said(id_, text),
        "finish_reason": "stop",
    }
    return Answer(id=id_, **{**default, **facts})


def analysis(id_: int = 1, **facts: Any) -> Analysis:
    default = {"user": f"u{id_}", "answer_id": 1, "cached": False}
    return Analysis(id=id_, **{**default, **facts})


def flight(**facts: Any) -> Flight:
    default = {
        "fingerprint": TOPIC,
        "epoch": 1,
        "fence": 1,
        "state": "done",
        "owner": "a",
        "answer_id": 1,
    }
    return Flight(**{**default, **facts})


def purged(**facts: Any) -> Flight:
    """Return the question's row after its one answer was deleted."""
    return flight(**{"epoch": 2, "fence": 2, "state": "purged", "answer_id": None, **facts})


def story(**changes: Any) -> Evidence:
    """Return a run in which one question was asked, paid for and answered, with some changes."""
    told = Evidence(
        times=TIMES,
        topics={TOPIC: TEXT},
        requests=(given(),),
        replicas=(ANN, BOB),
        calls=(call(),),
        attempts=(attempt(),),
        answers=(answer(),),
        analyses=(analysis(),),
        flights=(flight(),),
    )
    return replace(told, **changes)


def bought_twice(**changes: Any) -> Evidence:
    """Return a run in which a second request claimed the question anew, and paid again."""
    told = story(
        requests=(given(1, 1), given(2, 2, call=2)),
        calls=(call(1), call(2)),
        attempts=(attempt(1), attempt(2, epoch=2, fence=2)),
        answers=(answer(1), answer(2)),
        analyses=(analysis(1), analysis(2, answer_id=2)),
        flights=(flight(epoch=2, fence=2, answer_id=2),),
    )
    return replace(told, **changes)


def taken_over(**changes: Any) -> Evidence:
    """Return a run in which Bob took over from Ann, who never answered her request."""
    told = story(
        requests=(request(1), given(4, 1, call=2, replica="bob", sent=2.0, answered=5.0)),
        calls=(call(1), call(2, replica="bob", began=4.2)),
        attempts=(
            attempt(1, outcome="unknown", reason="process died", finished=4.1),
            attempt(2, owner="b", fence=2, started=4.1, answer_id=1),
        ),
        answers=(answer(1, result=said(2)),),
        analyses=(analysis(1, user="u4"),),
        flights=(flight(fence=2, owner="b"),),
    )
    return replace(told, **changes)


def broken(evidence: Evidence) -> list[str]:
    """Return the rules that the evidence breaks, each once."""
    return sorted({violation.rule for violation in violations(evidence)})
