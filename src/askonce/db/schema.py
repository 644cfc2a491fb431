"""Tells which schema a database has, and refuses one that this version cannot work with."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import ProgrammingError

from askonce.core.errors import ConfigurationError
from askonce.db.database import SqlDatabase, translated

# Stands in the place of the revision for as long as `askonce db copy` is not through.
BEING_COPIED = "copying"

_AT = text("SELECT version_num FROM alembic_version")


@dataclass(frozen=True, slots=True)
class Schema:
    """How far a database has come: `at` is None where nothing was ever migrated."""

    at: str | None

    @property
    def is_current(self) -> bool:
        return self.at == newest()

    @property
    def missing(self) -> list[str]:
        """The revisions that lead from here to the newest, in their order."""
        return [revision for revision in revisions() if self.at is None or revision > self.at]

    def require_known(self) -> None:
        """Refuse a schema that no migration of this version begins at.

        Raises:
            ConfigurationError: says which revision it is, and what to do.
        """
        if self.at is None or self.at in revisions():
            return
        if self.at == BEING_COPIED:
            what = (
                "a copy into this database is not finished: "
                "run `askonce db copy` again, or empty it and begin anew"
            )
        elif self.at.isdigit() and self.at > newest():
            what = (
                f"the database is at revision {self.at}, newer than {newest()}, the last that "
                "this version of askonce knows: start the newer version, or let it go back "
                f"with `askonce db downgrade {newest()}`"
            )
        else:
            what = f"the database is at revision {self.at}, which is none of askonce's"
        raise ConfigurationError(f"ASKONCE_DATABASE_URL: {what}")

    def require_current(self) -> None:
        """Refuse every schema but the one that this version was written for.

        Raises:
            ConfigurationError: says which revision it is, and what to do.
        """
        self.require_known()
        if self.is_current:
            return
        state = "has no tables yet" if self.at is None else f"is at revision {self.at}"
        raise ConfigurationError(
            f"ASKONCE_DATABASE_URL: the database {state}, and this version of askonce needs "
            f"{newest()}: run `askonce db upgrade`"
        )


def schema_of(database: SqlDatabase) -> Schema:
    """Look at a database.

    Raises:
        DatabaseUnavailableError: it does not answer.
        ConfigurationError: it does not let us look.
    """
    try:
        with translated(), database.engine.connect() as connection:
            return Schema(at(connection))
    except ProgrammingError:
        message = "ASKONCE_DATABASE_URL: the database cannot be used as it is"
        raise ConfigurationError(message) from None


def at(connection: Connection) -> str | None:
    """Return the revision that a database is at; None where it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalars(_AT).all()
    return ", ".join(sorted(found)) or None


def newest() -> str:
    """Return the revision that all migrations lead to."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Return the revisions that this version knows, the oldest first: their files are numbered."""
    files = (scripts() / "versions").glob("[0-9]*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def scripts() -> Path:
    """Return where the migrations are: inside the wheel, or beside `src` in a checkout."""
    checkout = Path(__file__).parents[3] / "migrations"
    if (checkout / "env.py").exists():
        return checkout
    return Path(str(resources.files("askonce") / "migrations"))
