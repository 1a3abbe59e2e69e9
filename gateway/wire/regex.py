"""``POST /v1/completion/regex``: an answer that matches a regular expression, or one of several.

thiggle's decoder looked after every token whether the text from its start was a match, and ended there. Engines that
constrain an answer end where their model chooses to; so the gateway cuts the whole answer behind its shortest beginning
that matches. It cuts at characters, not at tokens: ``[a-z]+`` gives one letter where it gave one token.
With ``stop_after_match`` false the answer goes on to where the model ends it, or to the limit.
"""

from bisect import bisect_left
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.types import Regex
from gateway.constraints.patterns import compiled, stripped, whole_match
from gateway.constraints.problems import ConstraintError
from gateway.errors import BadRequest, GatewayError
from gateway.types import CompletionRequest, CompletionResponse
from gateway.wire import body as wire
from gateway.wire import constrained, thiggle
from gateway.wire.constrained import Sampled, check_fields, fields_of, matched, params_of
from gateway.wire.values import Text

MAX_PATTERNS = 256

LOOKED_AT = 200
"""Characters in which a match is looked for one by one, where the pattern matches the empty text already."""

PATTERNS = f"a regular expression, or a list of up to {MAX_PATTERNS} of which any may match, none of them empty"
EXPECTED = {**constrained.EXPECTED, "pattern": PATTERNS, "patterns": PATTERNS}
ENGINES = "models on vLLM, SGLang, TGI or llama.cpp can be held to a regular expression"

Patterns = Text | Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_PATTERNS)]


class RequestBody(Sampled):
    """``patterns`` is an older name of ``pattern``."""

    pattern: Patterns | None = None
    patterns: Patterns | None = None


KNOWN = frozenset(RequestBody.__struct_fields__)
decode_body = msgspec.json.Decoder(RequestBody).decode

read = wire.read_leniently
status = thiggle.status
chunks = thiggle.chunks


def decode(body: wire.Body) -> CompletionRequest:
    asked: RequestBody = wire.convert(decode_body, body.data, body.fields, EXPECTED)
    check_fields(body.fields, KNOWN)
    pattern, param = pattern_of(asked)
    check(pattern, param)
    params = params_of(asked)
    return CompletionRequest(
        thiggle.models_of(asked.model),
        asked.prompt,
        params,
        fields=fields_of(params),
        constraint=Regex(pattern),
        constrained_by=param,
        note=asked.stop_after_match is not False,
    )


def pattern_of(asked: RequestBody) -> tuple[str, str]:
    """One pattern for all, and the field that it came in."""
    if asked.pattern is not None and asked.patterns is not None and asked.pattern != asked.patterns:
        raise BadRequest("pattern and patterns contradict each other; give one of them", param="patterns")
    param = "pattern" if asked.pattern is not None else "patterns"
    given = asked.patterns if asked.pattern is None else asked.pattern
    if given is None:
        raise BadRequest("pattern is missing", param="pattern")
    each = [stripped(pattern) for pattern in ((given,) if isinstance(given, str) else given)]
    if len(each) == 1:
        return each[0], param
    for pattern in each:
        check(pattern, param)  # joined, half a pattern could become a whole one
    return "|".join([f"(?:{pattern})" for pattern in each]), param


def check(pattern: str, param: str) -> None:
    try:
        whole_match(pattern)
    except ConstraintError as exc:
        raise BadRequest(f"{param}: {exc.message}", param=param) from None


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    [part] = response.parts
    assert isinstance(request.constraint, Regex)
    end = shortest(request.constraint.pattern, part.text) if request.note else None
    return matched(response, part.text[:end], part.finish == "stop" or end is not None)


def shortest(pattern: str, text: str) -> int | None:
    """The length of the shortest beginning of a text, but not the empty one, that the pattern matches as a whole; None
    if there is none."""
    whole = whole_match(pattern)
    if whole(""):
        return next((end for end in range(1, min(len(text), LOOKED_AT) + 1) if whole(text[:end])), None)
    begins = compiled(f"^(?:{pattern})", pattern).is_valid  # true of every text that goes on behind a match
    end = bisect_left(range(len(text) + 1), True, key=lambda end: begins(text[:end]))
    return end if end <= len(text) and whole(text[:end]) else None


def encode_error(error: GatewayError) -> bytes:
    return constrained.encode_error(error, ("pattern", "patterns"), ENGINES)
