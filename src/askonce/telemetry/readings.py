"""Reads back what is shown at /metrics: for people who have no Prometheus at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Reading:
    """One number, of all workers together."""

    name: str
    labels: Mapping[str, str]
    value: float


def readings(shown: bytes) -> Sequence[Reading]:
    """Return all numbers of a text as Prometheus reads it."""
    return [
        Reading(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(shown.decode())
        for sample in family.samples
    ]
