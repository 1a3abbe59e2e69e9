"""Texts and numbers as JavaScript writes them."""

import math
import re

# Groups are repeated in atomic ones: before Python 3.11.5 a group that is repeated possessively matches too little.
STRING = re.compile(r"""(["'])((?>(?:(?!\1)[^\\]|\\.)*))\1""", re.DOTALL)
TEMPLATE = re.compile(r"`([^`\\]*+(?>(?:\\.[^`\\]*+)*))`", re.DOTALL)
HOLE = re.compile(r"([^\\$]*+(?>(?:(?:\\.|\$(?!\{))[^\\$]*+)*))\$\{", re.DOTALL)

ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|.))", re.DOTALL)
SINGLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
SINGLE |= dict.fromkeys(("\n", "\r", "\r\n", "\u2028", "\u2029"), "")
"""A line break that is escaped is no part of the text."""

MAX_DIGITS = 400
EXACT = 2**53
"""Numbers are doubles: whole ones are exact up to here."""


def unescape(text: str) -> str:
    """What a text means between its quotes. Raises ValueError, with a reason, where it means nothing."""
    if "\\" not in text:
        return text
    plain = ESCAPE.sub(_character, text)
    try:
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("half a surrogate pair is not a character") from None


def _character(found: re.Match[str]) -> str:
    braces, four, two, single = found.groups()
    digits = braces or four or two
    if digits is None:
        if single in ("u", "x"):
            raise ValueError(f"'\\{single}' must be followed by hexadecimal digits")
        return SINGLE.get(single, single)
    code = int(digits, 16)
    if code > 0x10FFFF:
        raise ValueError(f"there is no character {digits}")
    return chr(code)


def number(text: str) -> int | float:
    """Whole where it is; what a double cannot hold exactly is rounded as a double. Raises ValueError with a reason."""
    digits = text.removesuffix("n").replace("_", "")
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits")
    whole = digits.isdecimal() or digits[:2].lower() in ("0x", "0o", "0b")
    value = int(digits, 0 if not digits.isdecimal() else 10) if whole else float(digits)
    if abs(value) > EXACT and isinstance(value, int):
        value = float(value) if value < 1 << 1023 else math.inf
    if not math.isfinite(value):
        raise ValueError("the number is too large for JSON")
    return int(value) if value == int(value) and abs(value) <= EXACT else value
