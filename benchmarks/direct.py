"""Calls a provider's SDK as a program of one file would: what a miss is measured beside.

`python -m benchmarks.direct claude URL TIMES` prints each call's seconds and the processor's
seconds for a call, as JSON; with `--client-per-call` it builds a client for each, as many do.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

Call = Callable[[str], object]


def claude(url: str) -> Call:
    """Return a function that asks Claude through a new client."""
    import anthropic

    client = anthropic.Anthropic(api_key="stub", base_url=url, max_retries=0)
    return lambda text: client.messages.create(
        model="claude-haiku-5-5",
        max_tokens=1024,
        messages=[{"role": "user", "content": text}],
    )


def openai(url: str) -> Call:
    """Return a function that asks OpenAI through a new client."""
    import openai

    client = openai.OpenAI(api_key="stub", base_url=f"{url}/v1", max_retries=0)
    return lambda text: client.responses.create(
        model="gpt-6-luna", max_output_tokens=1024, input=text
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.direct")
    parser.add_argument("vendor", choices=["claude", "openai"])
    parser.add_argument("url")
    parser.add_argument("times", type=int)
    parser.add_argument("--client-per-call", action="store_true")
    options = parser.parse_args()
    connect = {"claude": claude, "openai": openai}[options.vendor]
    ask = connect(options.url)
    # Not measured: importing, connecting, and what an SDK builds at its first call.
    ask("How are you?")
    taken: list[float] = []
    cpu = time.process_time()
    for number in range(options.times):
        started = time.perf_counter()
        (connect(options.url) if options.client_per_call else ask)(f"Question {number}?")
        taken.append(time.perf_counter() - started)
    cpu_seconds = (time.process_time() - cpu) / options.times
    json.dump({"seconds": taken, "cpu_seconds": cpu_seconds}, sys.stdout)


if __name__ == "__main__":
    main()
