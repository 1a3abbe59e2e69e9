"""Decodes a text in JSON as it comes."""

import re

from adapters.restoring.tokens import HEX, PLAIN, decode_text, end_of

HIGH = rf"\\u[dD][89abAB]{HEX}{{2}}"
LOW = rf"\\u[dD][c-fC-F]{HEX}{{2}}"
ESCAPE = rf'(?:\\["\\/bfnrt]|\\u(?![dD][89a-fA-F]){HEX}{{4}}|{HIGH}{LOW})'
INSIDE = re.compile(f"{PLAIN}(?:{ESCAPE}{PLAIN})*")
CUT = re.compile(rf"(?:{HIGH})?(?:\\(?:u{HEX}{{0,3}})?)?\Z")
"""An escape whose end is missing, or the second half of whose surrogate pair is."""


class Text:
    """Reads the inside of a string. What comes behind it is not told. From where the text is no JSON any more, it is
    told as it is; an escape that is cut off is not."""

    __slots__ = ("_cut", "_is_over", "_is_wrong")

    def __init__(self) -> None:
        self._cut = ""
        self._is_over = False
        self._is_wrong = False

    def feed(self, text: str) -> str:
        """What can be told by now."""
        if self._is_over or self._is_wrong:
            return text if self._is_wrong else ""
        text = self._cut + text
        end = end_of(INSIDE, text, 0)
        inside, self._cut = text[:end], ""
        if "\\" in inside:
            inside = decode_text(f'"{inside}"')
        if text.startswith('"', end):
            self._is_over = True
        elif CUT.match(text, end):
            self._cut = text[end:]
        else:
            self._is_wrong = True
            return inside + text[end:]
        return inside

    def close(self) -> str:
        return ""
