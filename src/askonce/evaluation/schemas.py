"""The JSON Schemas beside this file, by which files that people bring are checked."""

import json
from importlib.resources import files


def schema_text(name: str) -> str:
    """Return a schema as one line of JSON."""
    return json.dumps(json.loads((files(__package__) / name).read_text("utf-8")))
