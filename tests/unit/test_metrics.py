"""What is counted, and what never becomes a name."""

from decimal import Decimal

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from askonce.core.answers import Answer, FinishReason
from askonce.telemetry.instruments import Distribution
from askonce.telemetry.meters import Level
from askonce.telemetry.metrics import PrometheusMeters


def answer(model: str, cost: str | None = "0.5") -> Answer:
    return Answer(
        text="Fine.",
        provider="claude",
        model=model,
        finish_reason=FinishReason.STOP,
        tokens_in=3,
        tokens_out=2,
        cost=None if cost is None else Decimal(cost),
    )


def call(meters: PrometheusMeters, model: str, given: Answer | None) -> None:
    outcome = "http-404" if given is None else "answered"
    meters.provider_called("claude", model, outcome=outcome, seconds=0.1, answer=given)


def lines(meters: PrometheusMeters) -> list[str]:
    meters.start()
    text = meters.shown().result(60).decode()
    meters.close()
    return text.splitlines()


def test_many_values_at_once_are_counted_as_one_by_one() -> None:
    values = [0.0, 0.001, 0.1, 0.10001, 1.0, 99.0]
    bounds = (0.001, 0.1, 1.0)
    one, all_ = CollectorRegistry(), CollectorRegistry()
    reference = Histogram("seconds", "Of a test", buckets=bounds, registry=one)
    for value in values:
        reference.observe(value)

    Distribution("seconds", "Of a test", buckets=bounds, registry=all_).add(values)

    def told(registry: CollectorRegistry) -> list[str]:
        return [
            line
            for line in generate_latest(registry).decode().splitlines()
            if "_created" not in line
        ]

    assert told(one) == told(all_)


def test_a_model_has_a_name_once_it_has_answered_and_only_a_hundred_have_one() -> None:
    meters = PrometheusMeters(["configured"])

    call(meters, "configured", None)
    call(meters, "invented", None)
    for number in range(150):
        call(meters, f"model-{number}", answer(f"model-{number}"))
    shown = lines(meters)

    calls = [line for line in shown if line.startswith("askonce_provider_calls_total{")]
    assert (
        'askonce_provider_calls_total{model="configured",outcome="http-404",provider="claude"} 1.0'
        in calls
    )
    assert (
        'askonce_provider_calls_total{model="other",outcome="http-404",provider="claude"} 1.0'
        in calls
    )
    assert (
        'askonce_provider_calls_total{model="other",outcome="answered",provider="claude"} 51.0'
        in calls
    )
    assert len(calls) == 1 + 1 + 99 + 1


def test_a_call_without_a_known_price_costs_nothing_and_is_counted_apart() -> None:
    meters = PrometheusMeters(["m"])

    call(meters, "m", answer("m"))
    call(meters, "m", answer("m", cost=None))
    shown = lines(meters)

    assert 'askonce_cost_dollars_total{model="m",provider="claude"} 0.5' in shown
    assert 'askonce_unpriced_calls_total{model="m",provider="claude"} 1.0' in shown
    assert 'askonce_tokens_total{direction="in",model="m",provider="claude"} 6.0' in shown


def test_routes_and_methods_that_there_are_not_share_one_name() -> None:
    meters = PrometheusMeters([])

    meters.request_served("POST", "/analyze/{user_id}", 200, 0.1)
    meters.request_served("PURGE", None, 404, 0.1)
    meters.request_served("GRAB", None, 404, 0.1)
    shown = lines(meters)

    assert [line for line in shown if line.startswith("askonce_requests_total{")] == [
        'askonce_requests_total{method="POST",route="/analyze/{user_id}",status="200"} 1.0',
        'askonce_requests_total{method="other",route="other",status="404"} 2.0',
    ]


def test_a_level_that_cannot_be_read_stops_nothing() -> None:
    def fail() -> float:
        raise OSError

    meters = PrometheusMeters([])
    meters.watch(Level.WAITING, fail)
    meters.watch(Level.FLIGHTS, lambda: 7)

    assert "askonce_flights_in_the_air 7.0" in lines(meters)


def test_who_does_not_wait_for_the_numbers_does_not_keep_others_from_them() -> None:
    meters = PrometheusMeters([])
    gone, waiting = meters.shown(), meters.shown()

    gone.cancel()

    assert any("askonce_workers 1.0" in line for line in lines(meters))
    assert waiting.result(60)
