"""Refuses the JSON schemas that OpenAI's strict mode refuses, in its words.

After https://platform.openai.com/docs/guides/structured-outputs and the errors people report; strict mode takes a
subset of JSON Schema, and a test server that took all of it would hide our mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.openai_server.errors import ApiError, invalid

_FORBIDDEN = frozenset({
    "allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "default", "minLength",
    "maxLength", "patternProperties", "propertyNames", "minProperties", "maxProperties", "unevaluatedProperties",
    "unevaluatedItems", "contains", "minContains", "maxContains", "uniqueItems", "additionalItems",
})  # fmt: skip
_TYPES = frozenset({"string", "number", "boolean", "integer", "object", "array", "null"})
_LEVELS = 10
_PROPERTIES = 5_000
_ENUM_VALUES = 1_000
_CHARACTERS = 120_000


def check_strict(schema: Any, name: str) -> None:
    """Raise the 400 that the schema gets; return if strict mode would take it."""
    check = _Check(name)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        found = schema.get("type") if isinstance(schema, dict) else None
        raise check.refuse((), f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{found}\"'")
    if "anyOf" in schema:
        raise check.refuse((), "'anyOf' is not permitted at the root")
    check.node(schema, (), 1)
    check.size()


@dataclass(slots=True)
class _Check:
    name: str
    properties: int = 0
    enum_values: int = 0
    characters: int = 0

    def refuse(self, context: tuple[str, ...], problem: str) -> ApiError:
        message = f"Invalid schema for response_format '{self.name}': In context={context}, {problem}."
        return invalid(message, "response_format")

    def size(self) -> None:
        for count, limit, what in (
            (self.properties, _PROPERTIES, "object properties"),
            (self.enum_values, _ENUM_VALUES, "enum values"),
            (self.characters, _CHARACTERS, "characters in names and values"),
        ):
            if count > limit:
                message = f"Invalid schema for response_format '{self.name}': {count} {what} exceeds limit of {limit}."
                raise invalid(message, "response_format")

    def node(self, schema: Any, context: tuple[str, ...], level: int) -> None:
        if not isinstance(schema, dict):
            raise self.refuse(context, "schema must be an object")
        if forbidden := sorted(_FORBIDDEN & schema.keys()):
            raise self.refuse(context, f"'{forbidden[0]}' is not permitted")
        if "$ref" in schema:
            self._reference(schema, context)
            return
        for place in ("$defs", "definitions"):
            for key, inner in (schema.get(place) or {}).items():
                self.characters += len(key)
                self.node(inner, (*context, place, key), level)
        if "enum" in schema or "const" in schema:
            self._values(schema)
        if "anyOf" in schema:
            for index, inner in enumerate(schema["anyOf"]):
                self.node(inner, (*context, "anyOf", str(index)), level)
            return
        self._typed(schema, context, level)

    def _typed(self, schema: dict[str, Any], context: tuple[str, ...], level: int) -> None:
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if kinds == [None] and not {"enum", "const"} & schema.keys():
            raise self.refuse(context, "schema must have a 'type' key")
        if unknown := [kind for kind in kinds if kind is not None and kind not in _TYPES]:
            raise self.refuse(context, f"{unknown[0]!r} is not a valid type")
        if {"object", "array"} & set(kinds) and level > _LEVELS:
            raise invalid(
                f"Invalid schema for response_format '{self.name}': {level} levels of nesting exceeds limit of "
                f"{_LEVELS}.",
                "response_format",
            )
        if "array" in kinds:
            self._array(schema, context, level)
        if "object" in kinds:
            self._object(schema, context, level)

    def _array(self, schema: dict[str, Any], context: tuple[str, ...], level: int) -> None:
        if not isinstance(schema.get("items"), dict):
            raise self.refuse(context, "array schema missing items")
        if "prefixItems" in schema:
            raise self.refuse(context, "'prefixItems' is not permitted")
        self.node(schema["items"], (*context, "items"), level + 1)

    def _object(self, schema: dict[str, Any], context: tuple[str, ...], level: int) -> None:
        if schema.get("additionalProperties") is not False:
            raise self.refuse(context, "'additionalProperties' is required to be supplied and to be false")
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if missing := [key for key in properties if key not in required]:
            raise self.refuse(
                context,
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'",
            )
        if extra := [key for key in required if key not in properties]:
            raise self.refuse(context, f"'required' is required to hold only keys of properties. Extra '{extra[0]}'")
        self.properties += len(properties)
        for key, inner in properties.items():
            self.characters += len(key)
            self.node(inner, (*context, "properties", key), level + 1)

    def _reference(self, schema: dict[str, Any], context: tuple[str, ...]) -> None:
        if others := sorted(schema.keys() - {"$ref"}):
            raise self.refuse(context, f"$ref cannot have keywords {{{others[0]!r}}}")
        if not str(schema["$ref"]).startswith("#"):
            raise self.refuse(
                context, f"reference can only point to definitions defined at the top level, not {schema['$ref']}"
            )

    def _values(self, schema: dict[str, Any]) -> None:
        values = schema.get("enum", [schema.get("const")])
        self.enum_values += len(values)
        self.characters += sum(len(value) for value in values if isinstance(value, str))
