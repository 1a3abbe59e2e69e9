"""Reads answers that are meant to be JSON, and frees them of what models put around it.

Only what surrounds a whole value is taken away, and commas with nothing behind them. A value that breaks off or is
malformed otherwise stays as it is, with its problem: closing its brackets would make up an answer that nobody gave.
"""

import json  # noqa: TID251 - msgspec keeps the last of repeated keys and does not tell
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.constraints.problems import shown

FENCE = "```"
LONGEST_NUMBER = 308
"""Digits before the point: longer ones are beyond a double, which is what most readers of JSON have."""

ENDLESS = re.compile(r"[0-9]{309}")
BYTE_ORDER_MARK = "\ufeff"
THOUGHT = "</think>"
"""What ends a model's own considerations, if its host does not take them off."""

LOOSE_COMMA = re.compile(r'("(?:[^"\\]|\\.)*(?:"|$))|,(?=\s*[}\]])', re.DOTALL)

decode = msgspec.json.Decoder().decode
decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
decode_here = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


class Unreadable(Exception):
    """No JSON; the message says why."""


def read(text: str) -> tuple[str, Any]:
    """The JSON value that an answer is, and its text: the answer itself, or the one value within it."""
    try:
        return text, value_of(text)
    except Unreadable as problem:
        for inner in within(text):
            try:
                return inner, value_of(inner)
            except Unreadable:
                continue
        raise problem


def holds_json(text: str) -> bool:
    """Whether a text is a whole JSON value, or holds one."""
    return is_json(text) or any(map(is_json, within(text)))


def is_json(text: str) -> bool:
    try:
        decode_raw(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def value_of(text: str) -> Any:
    """The value of a JSON text. Raises Unreadable, also where readers would differ: at repeated keys, and at numbers
    that are out of a double's range."""
    try:
        value = decode(text)
        check_repeats(text)
        if len(text) > LONGEST_NUMBER and ENDLESS.search(text):
            check_numbers(text)
    except RecursionError:
        raise Unreadable("the answer is JSON that is nested too deeply") from None
    except msgspec.ValidationError:
        raise Unreadable("the answer holds a number that is out of range") from None
    except (msgspec.DecodeError, UnicodeError, json.JSONDecodeError) as error:
        raise Unreadable(why(str(error))) from None
    return value


def why(error: str) -> str:
    if "truncated" in error:
        return "the answer is not valid JSON: it ends too early"
    return f"the answer is not valid JSON: {error.removeprefix('JSON is malformed: ')}"


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Unreadable(f"the answer has the key {shown(twice)} twice in one object")
    return found


# Numbers are left as text: Python refuses to read very long ones.
check_repeats = json.JSONDecoder(object_pairs_hook=unrepeated, parse_int=str, parse_float=str).decode


def in_range(digits: str) -> str:
    if len(digits.lstrip("-")) > LONGEST_NUMBER:
        raise Unreadable("the answer holds a number that is out of range")
    return digits


check_numbers = json.JSONDecoder(parse_int=in_range, parse_float=str).decode


def within(text: str) -> Iterator[str]:
    """What of an answer may be meant, if not all: one fenced block, or one JSON value between prose."""
    bare = text.removeprefix(BYTE_ORDER_MARK)
    if bare.lstrip().startswith("<think>"):
        bare = bare.partition(THOUGHT)[2]
    for source in dict.fromkeys((bare, LOOSE_COMMA.sub(r"\1", bare))):
        if source != text:
            yield source.strip()
        fenced = unfenced(source)
        if fenced is not None:
            yield fenced
        value = only_value(source)
        if value is not None:
            yield value


def unfenced(text: str) -> str | None:
    """The inside of a text's only code block, without the name of its language."""
    parts = text.split(FENCE)
    if len(parts) != 3:
        return None
    first, line_break, rest = parts[1].partition("\n")
    return (rest if line_break and not first.strip() or first.strip().isalnum() else parts[1]).strip()


def only_value(text: str) -> str | None:
    """The array or object that starts at the text's first bracket, if no other bracket follows its end. So the inner
    part of a value that breaks off is never taken for the whole."""
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts:
        return None
    start = min(starts)
    try:
        _, end = decode_here(text, start)
    except (ValueError, RecursionError):
        return None
    return None if any(bracket in text[end:] for bracket in "{}[]") else text[start:end]
