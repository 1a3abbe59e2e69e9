"""A text to tokens: one regular expression, linear in the text.

What stands before a token (white space and comments) is kept beside it. A token's place in the text is the length of
all that stands before, so it is worked out only when something has to be said about it.
"""

import re
from bisect import bisect

from gateway.typescript.errors import Param, TypeScriptError

MAX_BYTES = 262_144

PADDING = ("", "")

# What has no end (a comment, a text) runs on to where the text or the line ends, so that no place is looked at twice.
# Groups are repeated in atomic ones: before Python 3.11.5 a group that is repeated possessively matches too little.
# What is common stands in front of what has it as well: that takes a sixth off.
_COMMENT = r"/ (?: /[^\n\r\u2028\u2029]*+ | \*[^*]*+ (?> (?: \*(?!/)[^*]*+ )* ) (?:\*/|\Z) )"
_SPACE = rf"(?> (?: [\s\ufeff]++ | {_COMMENT} )* )"
_BEFORE = rf"[\n ]*+ (?: {_COMMENT} {_SPACE} | [\s\ufeff] {_SPACE} | )"
_NAME = r"[a-zA-Z_$][\w$]*+"
_OTHER = r"""
    [:;?|,{}<>\[\]()&]
    | " [^"\\\n\r]*+ (?> (?: \\(?s:.) [^"\\\n\r]*+ )* ) "?+
    | ' [^'\\\n\r]*+ (?> (?: \\(?s:.) [^'\\\n\r]*+ )* ) '?+
    | [^\W\d][\w$]*+
    | ` [^`\\]*+ (?> (?: \\(?s:.) [^`\\]*+ )* ) `?+
    | 0[xX][0-9a-fA-F_]++ n?+ | 0[oO][0-7_]++ n?+ | 0[bB][01_]++ n?+
    | [0-9][0-9_]*+ (?> (?: \.[0-9_]*+ )? (?: [eE][+-]?+[0-9]++ )? ) n?+
    | \.[0-9][0-9_]*+ (?> (?: [eE][+-]?+[0-9]++ )? )
    | => | \.\.\.
    | (?s:.)
    | \Z
"""
TOKEN = re.compile(rf"({_BEFORE}) ({_NAME} | {_OTHER})", re.VERBOSE)

# A line may end a member only where the next one follows: "extends" could go on.
_WORDS = r"[a-zA-Z0-9_$]++ (?:\[\])? (?: [ ]\|[ ] [a-zA-Z0-9_$]++ (?:\[\])? )*"
_TEXTS = r"""" [^"\\\n\r]*+ " (?: [ ]\|[ ] "[^"\\\n\r]*+" )*"""
_END = r"(?: ; | ,(?=\n) | (?= [ ]\} | \n\s*+ (?!extends\b) (?: [\w$]++\??: | \} | /\*\* ) ) )"
_TAIL = rf"(?: \?:[ ] | :[ ] (?<=[\w$]:[ ]) ) (?: {_WORDS} | {_TEXTS} ) {_END}"
TOKEN_OR_TAIL = re.compile(rf"({_BEFORE}) ({_NAME} | {_TAIL} | {_OTHER})", re.VERBOSE)

UNCLOSED = re.compile(r"(?> (?: [\s\ufeff]++ | //[^\n\r\u2028\u2029]*+ | /\*(?s:.*?)\*/ )* ) (?=/\*)", re.VERBOSE)
LINE_BREAK = re.compile(r"\r\n|[\n\r\u2028\u2029]")


def lex(text: str, pattern: re.Pattern[str] = TOKEN) -> tuple[list[str], list[str]]:
    """Tokens, and what stands before each of them. Both end with empty ones, so that a look ahead needs no care."""
    pieces = pattern.split(text)  # each match is what is before, the token, and nothing between it and the next one
    return [*pieces[2::3], *PADDING], [*pieces[1::3], *PADDING]


class Source:
    """A text and its tokens. ``spaces`` are what stands before them. With tails, complaints have no place."""

    def __init__(self, text: str, has_tails: bool = False) -> None:
        self.text = text
        self.has_tails = has_tails
        self._check_size()
        self.tokens, self.spaces = lex(text, TOKEN_OR_TAIL if has_tails else TOKEN)
        self._firsts, self._origins = [0], [(0, 0)]
        self._check_last_comment()

    def _check_size(self) -> None:
        try:
            size = len(self.text.encode()) if len(self.text) <= MAX_BYTES else MAX_BYTES + 1
        except UnicodeEncodeError as exc:
            raise self.error_at(exc.start, "half a surrogate pair is not a character") from None
        if size > MAX_BYTES:
            raise TypeScriptError(f"the schema is longer than {MAX_BYTES // 1024} KiB", None, None, "schema")

    def _check_last_comment(self) -> None:
        """The one place that a comment without an end can get to is before the last token."""
        end = len(self.tokens) - len(PADDING)
        for index in range(max(end - 2, 0), end):
            space = self.spaces[index]
            if not self.tokens[index] and (unclosed := UNCLOSED.match(space)):
                offset = self.offset(index) - len(space) + unclosed.end()
                raise self.error_at(offset, "a comment begins here and does not end; close it with '*/'")

    def splice(self, index: int, start: int, end: int) -> int:
        """Reads a part of a token as tokens of its own; returns the index of the first."""
        first = len(self.tokens)
        tokens, spaces = lex(self.tokens[index][start:end])
        self.tokens += tokens
        self.spaces += spaces
        self._firsts.append(first)
        self._origins.append((index, start))
        return first

    def breaks_before(self, index: int) -> bool:
        """Whether the token begins a line."""
        space = self.spaces[index]
        return bool(space) and LINE_BREAK.search(space) is not None

    def offset(self, index: int) -> int:
        """Where the token stands in the text."""
        piece = bisect(self._firsts, index) - 1
        origin, start = self._origins[piece]
        first = self._firsts[piece]
        within = sum(map(len, self.tokens[first:index])) + sum(map(len, self.spaces[first : index + 1]))
        return within + (self.offset(origin) + start if piece else 0)

    def error(self, index: int, message: str, param: Param = "schema") -> TypeScriptError:
        """A complaint about a token."""
        if self.has_tails:
            return TypeScriptError(message, None, None, param)
        return self.error_at(self.offset(index), message, param)

    def error_at(self, offset: int, message: str, param: Param = "schema") -> TypeScriptError:
        line, start = 1, 0
        for found in LINE_BREAK.finditer(self.text, 0, offset):
            line, start = line + 1, found.end()
        return TypeScriptError(message, line, offset - start + 1, param)
