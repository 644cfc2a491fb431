"""What is asked, what is expected, and by what it is judged."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from askonce.evaluation.checks import Check


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a rubric: a question, and what each score from 1 to 5 means."""

    name: str
    question: str
    levels: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question of a spec.

    The digest is of what is asked and how that is scored. Instructions, schema and token limit are
    not in it: runs that differ in these can be compared, to see whether they help.
    """

    id: str
    text: str = field(repr=False)
    instructions: str | None = field(repr=False)
    max_output_tokens: int | None
    output_schema: Mapping[str, Any] | None
    reference: str | None = field(repr=False)
    criteria: Sequence[Criterion]
    checks: Sequence[Check]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Prompts that are asked together. The digest is of what was read, not of the file's bytes."""

    name: str
    prompts: Sequence[Prompt]
    digest: str


def digest_of(facts: Any) -> str:
    """Return the SHA-256 of JSON-like facts, whatever the order of their keys, in hex."""
    written = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(written.encode()).hexdigest()
