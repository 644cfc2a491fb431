"""Commands to paste: what stands at the end of each command's `--help`."""

from collections.abc import Mapping, Sequence
from typing import Final

import typer

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "serve": (
        "askonce serve",
        "askonce serve --port 8080 --workers 4",
        "ASKONCE_DATABASE_URL=postgresql://askonce@db/askonce askonce serve --host 0.0.0.0",
    ),
    "analyze": (
        "askonce analyze 'What is the tone of: I have asked three times.'",
        "askonce analyze report.txt --instructions 'Sum it up in two sentences.'",
        "git diff | askonce analyze - --provider claude",
        "askonce analyze mail.txt --schema tone.json | jq .tone",
    ),
    "chat": (
        "askonce chat",
        "askonce chat --last",
        "askonce chat --session 12 --provider claude",
        "askonce chat --instructions 'Answer in French.' < questions.txt",
    ),
    "history": (
        "askonce history",
        "askonce history --q 'late delivery' --since 2026-11-01 --limit 50",
        "askonce history --user alice --json | jq .result",
    ),
    "history show": ("askonce history show 41", "askonce history show 41 --json"),
    "history delete": ("askonce history delete 41", "askonce history delete 41 42 43 --yes"),
    "usage": (
        "askonce usage",
        "askonce usage alice --since 2026-11-01 --by model",
        "askonce usage --json | jq .total",
    ),
    "eval": (
        "askonce eval evals/samples.toml",
        "askonce eval evals/samples.toml --provider claude --judge openai --repeat 3",
        "askonce eval evals/samples.toml --model claude:claude-haiku-5-5 --model local:",
        "askonce eval evals/samples.toml --against last --fail-under 80",
        "askonce eval eval-results/RUN.jsonl --unmet",
    ),
    "batch": (
        "askonce batch questions.jsonl -o answers.jsonl",
        "askonce batch reviews.csv --column review --ignore-unknown -o answers.jsonl --user ann",
        "askonce batch questions.jsonl -o answers.jsonl --provider-batch",
    ),
    "doctor": (
        "askonce doctor",
        "askonce doctor --json | jq .findings",
        "askonce doctor --url https://askonce.example.com",
    ),
    "keys": ("askonce keys create web", "askonce keys list"),
    "keys create": (
        "KEY=$(askonce keys create web)",
        "askonce keys create phone --user alice",
        "askonce keys create ops --admin --tenant acme",
    ),
    "keys list": ("askonce keys list", "askonce keys list --tenant acme --json"),
    "keys revoke": ("askonce keys revoke web", "askonce keys revoke 3"),
    "keys rotate": ("askonce keys rotate web --grace 3600",),
    "budgets": ("askonce budgets set --user alice --usd 5.00 --per day", "askonce budgets list"),
    "budgets set": (
        "askonce budgets set --tenant default --usd 100 --per month",
        "askonce budgets set --user alice --tokens 100000 --per day",
        "askonce budgets set --key web --usd 5.00 --per day",
    ),
    "budgets list": ("askonce budgets list", "askonce budgets list --json"),
    "budgets remove": ("askonce budgets remove --user alice --unit tokens --per day",),
    "audit": ("askonce audit verify", "askonce audit list --user alice"),
    "audit verify": ("askonce audit verify", 'askonce audit verify --head "$(cat kept.head)"'),
    "audit head": ("askonce audit head > kept.head",),
    "audit list": (
        "askonce audit list",
        "askonce audit list --user alice --since 2026-11-01 --limit 100 --json",
    ),
    "prune": ("askonce prune --dry-run", "askonce prune --before 2026-01-01"),
    "db": ("askonce db current", "askonce db backup askonce-backup.db"),
    "db upgrade": ("askonce db upgrade",),
    "db downgrade": ("askonce db downgrade 0007 --yes",),
    "db current": ("askonce db current",),
    "db check": ("askonce db check",),
    "db backup": ("askonce db backup /backup/askonce-2026-11-22.db",),
    "db copy": ("askonce db copy --to postgresql://askonce@db/askonce",),
}


def add_examples(app: typer.Typer, under: str = "") -> None:
    """Give all commands of `app` their examples."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        command.epilog = _written(f"{under}{name}")
    for group in app.registered_groups:
        path = f"{under}{group.name}"
        group.epilog = _written(path)
        if group.typer_instance is not None:
            add_examples(group.typer_instance, f"{path} ")


def _written(path: str) -> str:
    # A blank line between two keeps them from being joined.
    return "\n\n".join(["Examples:", *EXAMPLES.get(path, ())])
