"""A place in the tokens, and what is read without knowing any grammar: names, texts and numbers. Bounded in depth and
number."""

from typing import NoReturn

from gateway.typescript.errors import shown
from gateway.typescript.lexer import Source
from gateway.typescript.literals import STRING, number, unescape

MAX_DEPTH = 64
MAX_MEMBERS = 10_000


class Cursor:
    """``i`` is the token that comes next."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = source.tokens
        self.spaces = source.spaces
        self.i = 0
        self.depth = 0
        self.counted = 0

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise self.source.error(self.i if at is None else at, message)

    def found(self) -> str:
        token = self.tokens[self.i]
        return f"'{shown(token)}'" if token else "the end"

    def take(self, token: str, after: str) -> None:
        if self.tokens[self.i] != token:
            self.fail(f"expected '{token}' after {after}, found {self.found()}")
        self.i += 1

    def skip(self, token: str) -> bool:
        if self.tokens[self.i] == token:
            self.i += 1
            return True
        return False

    def name(self, what: str) -> str:
        token = self.tokens[self.i]
        if not is_name(token):
            self.fail(f"expected {what}, found {self.found()}")
        self.i += 1
        return token

    def doc(self) -> int | None:
        return self.i if "/**" in self.spaces[self.i] else None

    def count(self) -> None:
        self.counted += 1
        if self.counted > MAX_MEMBERS:
            self.fail(f"there are more than {MAX_MEMBERS} types and members")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.refuse_depth()

    def refuse_depth(self) -> NoReturn:
        self.fail(f"types nest more than {MAX_DEPTH} levels deep here; give the inner ones names of their own")

    def text(self) -> str:
        token = self.tokens[self.i]
        if len(token) == 1 or token[-1] != token[0] or ("\\" in token and not STRING.fullmatch(token)):
            self.fail(f"a text begins here and does not end; close it with {token[0]}")
        value = self.unescaped(token[1:-1])
        self.i += 1
        return value

    def unescaped(self, text: str) -> str:
        try:
            return unescape(text)
        except ValueError as exc:
            self.fail(str(exc))

    def number(self) -> int | float:
        sign = -1 if self.skip("-") else 1
        token = self.tokens[self.i]
        if not (token[:1].isdecimal() or token[:1] == "."):
            self.fail(f"expected a number after '-', found {self.found()}")
        try:
            value = number(token)
        except ValueError as exc:
            self.fail(str(exc))
        if is_name(self.tokens[self.i + 1]) and not self.spaces[self.i + 1]:
            self.fail(f"'{shown(token + self.tokens[self.i + 1])}' is not a number")
        self.i += 1
        return sign * value


def is_name(token: str) -> bool:
    return token[:1].isidentifier() or token[:1] == "$"
