"""A vector in either of its two forms: a JSON list of numbers, or base64 of little-endian 32-bit floats. Only what must
change its form is read."""

import base64
import binascii
import math
import sys
from array import array

import msgspec
from msgspec import Raw

from adapters.errors import UNREADABLE, Garbled

decode_text = msgspec.json.Decoder(str).decode
decode_numbers = msgspec.json.Decoder(list[float]).decode
to_json = msgspec.json.Encoder().encode

WIDTH = 4


def is_vector(value: Raw) -> bool:
    """Whether it looks like one, by its first byte."""
    return bytes(value)[:1] in (b"[", b'"')


def in_form(vector: Raw, as_base64: bool) -> Raw:
    """The vector in the form that is wanted. Raises ``Garbled`` for what must be read and is no vector."""
    data = bytes(vector)
    if data.startswith(b'"') == as_base64:
        return vector
    try:
        return Raw(packed(data) if as_base64 else unpacked(data))
    except (*UNREADABLE, OverflowError, ValueError) as exc:
        raise Garbled("the provider's answer holds a vector that cannot be read", status=200) from exc


def packed(data: bytes) -> bytes:
    numbers = finite(array("f", decode_numbers(data)))
    return b'"%b"' % base64.b64encode(little(numbers).tobytes())


def unpacked(data: bytes) -> bytes:
    numbers = array("f")
    numbers.frombytes(base64.b64decode(decode_text(data), validate=True))
    return to_json(finite(little(numbers)).tolist())


def finite(numbers: "array[float]") -> "array[float]":
    """JSON has no word for the others, and what is too large for 32 bits becomes one of them."""
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not a finite number")
    return numbers


def little(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def length(vector: Raw) -> int | None:
    """How many numbers it holds; None for what is no vector."""
    data = bytes(vector)
    if data.startswith(b"["):
        return data.count(b",") + 1 if data[1:-1].strip() else 0
    try:
        return len(base64.b64decode(decode_text(data), validate=True)) // WIDTH
    except (*UNREADABLE, binascii.Error, ValueError):
        return None
