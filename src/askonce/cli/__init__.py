"""The command line. Nothing heavy is imported before a command needs it."""

from typing import Annotated

import typer

from askonce import __version__
from askonce.cli import (
    analyze,
    audit,
    batch,
    budgets,
    chat,
    db,
    doctor,
    evaluate,
    history,
    keys,
    prune,
    serve,
    usage,
)
from askonce.cli.examples import add_examples

# Typer's own tracebacks print local variables, and those may hold keys and texts.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        typer.echo(f"askonce {__version__}")
        raise typer.Exit


@app.callback()
def askonce(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Ask an AI once: the same question is not paid for twice in a day."""


app.command("serve")(serve.serve)
app.command("analyze")(analyze.analyze)
app.command("chat")(chat.chat)
app.add_typer(history.app, name="history")
app.command("batch")(batch.batch)
app.command("usage")(usage.usage)
app.command("eval")(evaluate.evaluate)
app.command("doctor")(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.add_typer(budgets.app, name="budgets")
app.add_typer(audit.app, name="audit")
app.add_typer(db.app, name="db")
app.command("prune")(prune.prune)
add_examples(app)
