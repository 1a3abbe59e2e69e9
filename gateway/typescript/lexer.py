"""A text to tokens: one regular expression, linear in the text.

A token is a pair of strings: what stands before it (white space and comments) and itself. Its place in the text is the
length of all that stands before, so it is worked out only when something has to be said about it.
"""

import re
from bisect import bisect

from gateway.typescript.errors import Param, TypeScriptError

MAX_BYTES = 262_144

Token = tuple[str, str]
PADDING: tuple[Token, ...] = (("", ""), ("", ""))

# What has no end (a comment, a text) runs on to where the text or the line ends, so that no place is looked at twice.
# Groups are repeated in atomic ones: before Python 3.11.5 a group that is repeated possessively matches too little.
TOKEN = re.compile(
    r"""
    ( (?> (?: [\s\ufeff]++ | //[^\n\r\u2028\u2029]*+ | /\*(?s:.*?)(?:\*/|\Z) )* ) )
    (
        [^\W\d][\w$]*+ | \$[\w$]*+
      | " [^"\\\n\r]*+ (?> (?: \\(?s:.) [^"\\\n\r]*+ )* ) "?+
      | ' [^'\\\n\r]*+ (?> (?: \\(?s:.) [^'\\\n\r]*+ )* ) '?+
      | ` [^`\\]*+ (?> (?: \\(?s:.) [^`\\]*+ )* ) `?+
      | 0[xX][0-9a-fA-F_]++ n?+ | 0[oO][0-7_]++ n?+ | 0[bB][01_]++ n?+
      | [0-9][0-9_]*+ (?> (?: \.[0-9_]*+ )? (?: [eE][+-]?+[0-9]++ )? ) n?+
      | \.[0-9][0-9_]*+ (?> (?: [eE][+-]?+[0-9]++ )? )
      | => | \.\.\.
      | (?s:.)
      | \Z
    )
    """,
    re.VERBOSE,
)
UNCLOSED = re.compile(r"(?> (?: [\s\ufeff]++ | //[^\n\r\u2028\u2029]*+ | /\*(?s:.*?)\*/ )* ) (?=/\*)", re.VERBOSE)
LINE_BREAK = re.compile(r"\r\n|[\n\r\u2028\u2029]")


class Source:
    """A text and its tokens, with empty ones at the end, so that a look ahead needs no care."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._check_size()
        self.tokens: list[Token] = TOKEN.findall(text)
        self._firsts, self._origins = [0], [(0, 0)]
        self._check_last_comment()
        self.tokens += PADDING

    def _check_size(self) -> None:
        try:
            size = len(self.text.encode()) if len(self.text) <= MAX_BYTES else MAX_BYTES + 1
        except UnicodeEncodeError as exc:
            raise self.error_at(exc.start, "half a surrogate pair is not a character") from None
        if size > MAX_BYTES:
            raise TypeScriptError(f"the schema is longer than {MAX_BYTES // 1024} KiB", None, None, "schema")

    def _check_last_comment(self) -> None:
        """The one place that a comment without an end can get to is before the last token."""
        for index, (space, token) in enumerate(self.tokens[-2:], max(len(self.tokens) - 2, 0)):
            if not token and (unclosed := UNCLOSED.match(space)):
                offset = self.offset(index) - len(space) + unclosed.end()
                raise self.error_at(offset, "a comment begins here and does not end; close it with '*/'")

    def splice(self, index: int, start: int, end: int) -> int:
        """Reads a part of a token as tokens of its own; returns the index of the first."""
        first = len(self.tokens)
        self.tokens += [*TOKEN.findall(self.tokens[index][1][start:end]), *PADDING]
        self._firsts.append(first)
        self._origins.append((index, start))
        return first

    def breaks_before(self, index: int) -> bool:
        """Whether the token begins a line."""
        space = self.tokens[index][0]
        return bool(space) and LINE_BREAK.search(space) is not None

    def offset(self, index: int) -> int:
        """Where the token stands in the text."""
        piece = bisect(self._firsts, index) - 1
        origin, start = self._origins[piece]
        before = self.tokens[self._firsts[piece] : index]
        within = sum(len(space) + len(token) for space, token in before) + len(self.tokens[index][0])
        return within + (self.offset(origin) + start if piece else 0)

    def error(self, index: int, message: str, param: Param = "schema") -> TypeScriptError:
        """A complaint about a token."""
        return self.error_at(self.offset(index), message, param)

    def error_at(self, offset: int, message: str, param: Param = "schema") -> TypeScriptError:
        line, start = 1, 0
        for found in LINE_BREAK.finditer(self.text, 0, offset):
            line, start = line + 1, found.end()
        return TypeScriptError(message, line, offset - start + 1, param)
