"""JSON Schemas, made ready to check answers (https://json-schema.org/draft/2020-12).

A schema is of draft 2020-12 unless its ``$schema`` says otherwise, or an ``items`` that is a list shows that it is of
draft 7. ``format`` is checked for the formats that the drafts define; a format of another name allows everything.
"""

import math
from typing import Any

import msgspec
from jsonschema_rs import (
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    ValidationError,
    ValidationErrorKind,
    Validator,
)
from msgspec import Raw

from gateway.constraints.emptiness import contradiction
from gateway.constraints.patterns import LINEAR
from gateway.constraints.problems import ConstraintError, Problem, cut, place, pointer, shown
from gateway.constraints.references import Schema, Shape, has_tuples, shape

MAX_SIZE = 256 * 1024
"""Bytes."""

MAX_DEPTH = 64
MAX_PATTERNS = 64
EXPLAINED = 2_000
"""Up to how much work at a wrong answer the place of the mistake is looked for: unlike the verdict, which the validator
remembers for each part of an answer, the reasons are gathered for every way in which a union could be meant."""

EXPLAINED_SIZE = 5_000_000
"""And up to what product of alternatives and characters: each reason holds a copy of what it is about."""

DRAFTS: dict[str, type[Validator]] = {
    "json-schema.org/draft/2020-12/schema": Draft202012Validator,
    "json-schema.org/draft/2019-09/schema": Draft201909Validator,
    "json-schema.org/draft-07/schema": Draft7Validator,
    "json-schema.org/draft-06/schema": Draft6Validator,
    "json-schema.org/draft-04/schema": Draft4Validator,
}


class Compiled:
    """One schema, ready. ``weight`` is how many others' room it takes in memory."""

    def __init__(self, validator: Validator, form: Shape) -> None:
        self.validator = validator
        self.form = form
        self.weight = 1 + form.patterns

    def problem(self, value: Any, size: int) -> Problem | None:
        """What is wrong with a value whose text has ``size`` characters: its first mistake, with the place."""
        if self.validator.is_valid(value):
            return None
        if not self.explains(value, size):
            return Problem("the answer does not keep the schema")
        try:
            self.validator.validate(value)
        except ValidationError as error:
            error = innermost(error)
            return Problem(sentence(error), pointer(error.instance_path))
        return None

    def explains(self, value: Any, size: int) -> bool:
        form = self.form
        if form.width == 0:
            return True
        if form.branches * size > EXPLAINED_SIZE:
            return False
        if not form.recursive:
            return form.work - form.size <= EXPLAINED
        return depth_of(value) * math.log(max(2, form.width)) <= math.log(EXPLAINED)


def compile_schema(raw: Raw) -> Compiled:
    """Raises ConstraintError when the schema is not valid, not complete, too large, or allows nothing."""
    schema = read(raw)
    validator = validated(schema)
    form = shape(schema)
    if form.patterns > MAX_PATTERNS:
        raise ConstraintError(f"the schema has more than {MAX_PATTERNS} patterns")
    reason = contradiction(schema)
    if reason is not None:
        raise ConstraintError(f"no answer can keep the schema: {reason}")
    return Compiled(validator, form)


def read(raw: Raw) -> Schema:
    data = bytes(raw)
    if len(data) > MAX_SIZE:
        raise ConstraintError(f"the schema is larger than {MAX_SIZE} bytes")
    try:
        schema = msgspec.json.decode(data)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ConstraintError(f"the schema is not valid JSON: {cut(str(error))}") from None
    if not isinstance(schema, dict | bool):
        raise ConstraintError(f"a schema is an object, not {shown(schema)}")
    if depth_of(schema) > MAX_DEPTH:
        raise too_deep()
    return schema


def too_deep() -> ConstraintError:
    return ConstraintError(f"the schema is nested deeper than {MAX_DEPTH} levels")


def validated(schema: Schema) -> Validator:
    try:
        return draft(schema)(schema, validate_formats=True, pattern_options=LINEAR, offline=True)
    except ValidationError as error:
        if isinstance(error.kind, ValidationErrorKind.Referencing):
            shape(schema)  # which says what is named in vain
        raise ConstraintError(f"the schema is not valid: {refusal(error)}") from None
    except ValueError as error:  # a number that does not fit, and the like
        raise ConstraintError(f"the schema cannot be used: {cut(str(error))}") from None


def draft(schema: Schema) -> type[Validator]:
    name = schema.get("$schema") if isinstance(schema, dict) else None
    if name is None:
        return Draft7Validator if has_tuples(schema) else Draft202012Validator
    known = DRAFTS.get(str(name).partition("://")[2].removesuffix("#"))
    if known is None:
        raise ConstraintError(f"$schema is {shown(name)}, which is none of {', '.join(DRAFTS)}")
    return known


def refusal(error: ValidationError) -> str:
    if isinstance(error.kind, ValidationErrorKind.Format) and error.kind.format == "regex":
        return (
            f"{place(error.instance_path)}{shown(error.instance)} is malformed, too large, or has look-around or "
            "back-references, which linear matching does not have"
        )
    return sentence(error)


def sentence(error: ValidationError) -> str:
    """One mistake and its place, without the schema's text."""
    error = innermost(error)
    return f"{place(error.instance_path)}{mistake(error)}"


def innermost(error: ValidationError) -> ValidationError:
    """The mistake that is meant: where only one alternative of a union was begun, that one's."""
    context = getattr(error.kind, "context", None)
    if context:
        inner = [found for branch in context for found in branch if len(found.instance_path) > len(error.instance_path)]
        if len(inner) == 1:
            return innermost(inner[0])
    return error


def mistake(error: ValidationError) -> str:
    kind = error.kind
    value = shown(error.instance)
    limit = shown(getattr(kind, "limit", None))
    match kind:
        case ValidationErrorKind.Type():
            return f"{value} is not of type {' or '.join(kind.types)}"
        case ValidationErrorKind.Required():
            return f"{shown(kind.property)} is missing"
        case ValidationErrorKind.AdditionalProperties() | ValidationErrorKind.UnevaluatedProperties():
            return f"{shown(kind.unexpected[0])} is not allowed"
        case ValidationErrorKind.Enum():
            return f"{value} is none of the allowed values"
        case ValidationErrorKind.Constant():
            return f"{value} is not the one allowed value"
        case ValidationErrorKind.Format():
            return f"{value} is not of format {cut(kind.format)}"
        case ValidationErrorKind.Pattern():
            return f"{value} does not match the pattern {cut(kind.pattern)}"
        case ValidationErrorKind.AnyOf() | ValidationErrorKind.OneOfNotValid():
            return f"{value} matches none of the alternatives"
        case ValidationErrorKind.OneOfMultipleValid():
            return f"{value} matches more than one of the alternatives"
        case ValidationErrorKind.FalseSchema():
            return f"{value} stands where nothing is allowed"
    beyond = BEYOND.get(type(kind))
    return f"{value} {beyond} {limit}" if beyond else f"{value} does not keep {cut(kind.name)}"


Kind = type[ValidationErrorKind]

BEYOND: dict[Kind, str] = {
    ValidationErrorKind.Minimum: "is less than",
    ValidationErrorKind.Maximum: "is greater than",
    ValidationErrorKind.ExclusiveMinimum: "is not greater than",
    ValidationErrorKind.ExclusiveMaximum: "is not less than",
    ValidationErrorKind.MinLength: "is shorter than",
    ValidationErrorKind.MaxLength: "is longer than",
    ValidationErrorKind.MinItems: "has fewer items than",
    ValidationErrorKind.MaxItems: "has more items than",
    ValidationErrorKind.AdditionalItems: "has more items than",
    ValidationErrorKind.MinProperties: "has fewer members than",
    ValidationErrorKind.MaxProperties: "has more members than",
}


def depth_of(value: Any) -> int:
    """How deeply arrays and objects are nested in a JSON value: level by level, since it may be hundreds."""
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
    return depth
