"""Which JSON Schemas may be asked for: small enough that no validator can be held up by one."""

from collections.abc import Iterator
from typing import Any

MAX_BYTES = 16 * 1024
MAX_DEPTH = 16
MAX_EXPANDED_NODES = 5_000
# RFC 8785 section 3.2.2.3: beyond 2^53 two different integers are the same JSON number.
_LARGEST_NUMBER = 2**53 - 1


class SchemaRefusedError(ValueError):
    """The schema is too large, too deep, recursive, or refers outside itself."""


def check_shape(schema: dict[str, Any]) -> None:
    """Refuse what could be a bomb before any library sees it.

    Twenty-five definitions that each refer twice to the next are 2^25 checks for every validator
    there is; so what counts is the size of the schema with all its references written out.

    Raises:
        SchemaRefusedError: says in a few words why.
    """
    if _depth_exceeds(schema, MAX_DEPTH):
        message = f"is nested deeper than {MAX_DEPTH} levels"
        raise SchemaRefusedError(message)
    if _Expansion(schema).size(schema) > MAX_EXPANDED_NODES:
        message = f"has more than {MAX_EXPANDED_NODES} parts once its references are written out"
        raise SchemaRefusedError(message)


def _depth_exceeds(node: object, levels: int) -> bool:
    if levels < 0:
        return True
    return any(_depth_exceeds(child, levels - 1) for child in _children(node))


def _children(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


class _Expansion:
    """Counts the parts of a schema as if each `$ref` were replaced by what it refers to."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._sizes: dict[str, int] = {}
        self._open: set[str] = set()

    def size(self, node: object) -> int:
        if isinstance(node, int | float) and not abs(node) <= _LARGEST_NUMBER:
            message = "has a number that JSON cannot carry exactly"
            raise SchemaRefusedError(message)
        total = 1 + sum(self.size(child) for child in _children(node))
        if isinstance(node, dict):
            total += sum(
                self._size_of_reference(node[key])
                for key in ("$ref", "$dynamicRef", "$recursiveRef")
                if key in node
            )
        return total

    def _size_of_reference(self, reference: object) -> int:
        if not isinstance(reference, str) or not reference.startswith("#"):
            message = "may only refer to its own parts (`$ref` must start with `#`)"
            raise SchemaRefusedError(message)
        if reference in self._open:
            message = "refers to itself; recursive schemas are not supported"
            raise SchemaRefusedError(message)
        if len(self._open) == MAX_DEPTH:
            message = f"chains more than {MAX_DEPTH} references"
            raise SchemaRefusedError(message)
        if reference not in self._sizes:
            self._open.add(reference)
            self._sizes[reference] = self.size(self._target(reference))
            self._open.discard(reference)
        return self._sizes[reference]

    def _target(self, reference: str) -> object:
        """Follow a JSON Pointer fragment (RFC 6901)."""
        node: object = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                message = "refers to a part that does not exist"
                raise SchemaRefusedError(message)
        return node
