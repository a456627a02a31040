"""JSON Schema narrowed to what GigaChat's functions understand. Pure."""

from typing import Final
from urllib.parse import unquote

from providers.chat import JsonObject
from providers.errors import InvalidRequestError

MAX_NODES: Final = 10_000  # a schema whose references multiply would otherwise never end
MAX_DEPTH: Final = 48


def normalised(schema: JsonObject | None) -> JsonObject:
    """The same schema as one object without references, alternatives, or types that GigaChat does not know.

    A reference that leads back into itself becomes an object without rules. Raises InvalidRequestError for a reference
    that leads nowhere, and for a schema of more than MAX_NODES nodes or MAX_DEPTH levels.
    """
    narrowed = _Narrowing(schema or {}).node(schema or {}, (), 0)
    if narrowed.get("type") != "object":
        raise InvalidRequestError("the parameters of a tool must be an object, see their schema's `type`")
    return narrowed


class _Narrowing:
    """One walk over one schema; references are resolved against its root."""

    __slots__ = ("_left", "_root")

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._left = MAX_NODES

    def node(self, schema: object, seen: tuple[str, ...], depth: int) -> JsonObject:
        """`seen`: the references that led here."""
        self._count(depth)
        # `true` and `false` are schemas too.
        flat, seen = self._flat(schema if isinstance(schema, dict) else {}, seen, depth)
        if flat is None:
            return {"type": "object", "properties": {}}
        narrowed: JsonObject = {name: value for name, value in flat.items() if name in _KEPT}
        kind = _kind(flat, top=not depth)
        narrowed["type"] = kind
        if kind == "object":
            properties = flat.get("properties")
            named = properties.items() if isinstance(properties, dict) else ()
            narrowed["properties"] = {name: self.node(value, seen, depth + 1) for name, value in named}
            _add_required(narrowed, flat)
        elif kind == "array":
            narrowed["items"] = self.node(_items(flat), seen, depth + 1)
        _add_words(narrowed, flat)
        return narrowed

    def _flat(self, schema: JsonObject, seen: tuple[str, ...], depth: int) -> tuple[JsonObject | None, tuple[str, ...]]:
        """The schema with its references, alternatives and parts put into it; None where it leads back into itself."""
        while words := [word for word in _COMPOSITE if word in schema]:
            self._count(depth)
            word = words[0]
            rest = {name: value for name, value in schema.items() if name != word}
            if word == "$ref":
                reference = schema[word]
                if reference in seen:
                    return None, seen
                seen = (*seen, str(reference))
                parts: list[object] = [self._target(reference)]
            elif word == "allOf":
                parts = _list(schema[word])
            else:
                parts = [part for part in _list(schema[word]) if not _is_null(part)][:1]
            passed = seen
            for part in parts:
                inner, led = self._flat(part if isinstance(part, dict) else {}, seen, depth + 1)
                if inner is None:
                    return None, led
                rest = _merged(rest, inner)
                passed += tuple(reference for reference in led if reference not in passed)
            schema, seen = rest, passed
        return schema, seen

    def _count(self, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise InvalidRequestError("the schema of a tool is too large or too deep for this upstream")

    def _target(self, reference: object) -> object:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise InvalidRequestError("the schema of a tool refers to something outside itself")
        found: object = self._root
        for escaped in unquote(reference[1:]).split("/")[1:]:
            step = escaped.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdecimal() and len(step) < 6 and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                raise InvalidRequestError("the schema of a tool refers to something it does not hold")
        return found


_COMPOSITE: Final = ("$ref", "allOf", "anyOf", "oneOf")
_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean"})
_FORMATS: Final = frozenset({"date", "date-time", "time"})
_KEPT: Final = frozenset(
    {
        "description",
        "title",
        "default",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "pattern",
    }
)


def _merged(outer: JsonObject, inner: JsonObject) -> JsonObject:
    """What stands beside a reference or an alternative wins, but properties and required names are united."""
    merged = _with_new(outer, inner)
    ours, theirs = outer.get("properties"), inner.get("properties")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        merged["properties"] = _with_new(ours, theirs)
    if "required" in inner and "required" in outer:
        merged["required"] = list(dict.fromkeys([*_words(outer["required"]), *_words(inner["required"])]))
    return merged


def _with_new(first: JsonObject, second: JsonObject) -> JsonObject:
    return first | {name: value for name, value in second.items() if name not in first}


def _kind(schema: JsonObject, *, top: bool) -> str:
    given = schema.get("type")
    if isinstance(given, list):
        given = next((kind for kind in given if kind != "null"), None)
    if isinstance(given, str) and given in _TYPES:
        return given
    if top or "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _items(schema: JsonObject) -> object:
    for word in ("items", "prefixItems"):
        items = schema.get(word)
        if isinstance(items, list) and items:
            return items[0]
        if isinstance(items, dict):
            return items
    return {"type": "string"}


def _add_required(narrowed: JsonObject, schema: JsonObject) -> None:
    properties = narrowed["properties"]
    required = [name for name in _words(schema.get("required")) if isinstance(properties, dict) and name in properties]
    if required:
        narrowed["required"] = required


def _add_words(narrowed: JsonObject, schema: JsonObject) -> None:
    """Only strings may have listed values, and only three formats are known."""
    if narrowed["type"] != "string":
        return
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    words = _words(listed)
    if words:
        narrowed["enum"] = words
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        narrowed["format"] = form


def _is_null(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _words(value: object) -> list[str]:
    return [word for word in _list(value) if isinstance(word, str)]
