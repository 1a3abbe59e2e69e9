"""``POST /v1/completion/regex``: an answer that matches a regular expression, or one of several.

thiggle's decoder looked after every token whether the text from its start was a match, and ended there. Engines that
constrain an answer end where their model chooses to; so the gateway cuts the whole answer behind its shortest beginning
that matches. It cuts at characters, not at tokens: ``[a-z]+`` gives one letter where it gave one token.
With ``stop_after_match`` false the answer goes on to where the model ends it, or to the limit.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from adapters.types import Fields, Regex
from gateway.automaton import Automaton, PatternError
from gateway.errors import BadRequest, GatewayError
from gateway.types import CompletionRequest, CompletionResponse
from gateway.wire import body as wire
from gateway.wire import constrained, thiggle
from gateway.wire.constrained import Sampled, check_fields, fields_of, matched, params_of
from gateway.wire.thiggle import Text

MAX_PATTERNS = 256

PATTERNS = f"a regular expression, or a list of up to {MAX_PATTERNS} of which any may match, none of them empty"
EXPECTED = {**constrained.EXPECTED, "pattern": PATTERNS, "patterns": PATTERNS}
ENGINES = "models on vLLM, SGLang, TGI or llama.cpp can be held to a regular expression"

Patterns = Text | Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_PATTERNS)]


class RequestBody(Sampled):
    """``patterns`` is an older name of ``pattern``."""

    pattern: Patterns | None = None
    patterns: Patterns | None = None


class Match(Struct, frozen=True):
    """What the answer is cut by; None if it is not."""

    automaton: Automaton | None


KNOWN = frozenset(RequestBody.__struct_fields__)
decode_body = msgspec.json.Decoder(RequestBody).decode

read = wire.read_leniently
status = thiggle.status
chunks = thiggle.chunks


def decode(body: wire.Body) -> CompletionRequest:
    asked: RequestBody = wire.convert(decode_body, body.data, body.fields, EXPECTED)
    check_fields(body.fields, KNOWN)
    pattern, param = pattern_of(asked, body.fields)
    automaton = compiled(pattern, param)
    params = params_of(asked)
    return CompletionRequest(
        thiggle.models_of(asked.model),
        asked.prompt,
        params,
        fields=fields_of(params),
        constraint=Regex(pattern),
        note=Match(None if asked.stop_after_match is False else automaton),
    )


def pattern_of(asked: RequestBody, found: Fields) -> tuple[str, str]:
    """One pattern for all, and the field that it came in."""
    if asked.pattern is not None and asked.patterns is not None and asked.pattern != asked.patterns:
        raise BadRequest("pattern and patterns contradict each other; give one of them", param="patterns")
    param = "pattern" if asked.pattern is not None else "patterns"
    given = asked.patterns if asked.pattern is None else asked.pattern
    if given is None:
        raise BadRequest("pattern is missing", param="pattern")
    each = [bare(pattern) for pattern in ((given,) if isinstance(given, str) else given)]
    if len(each) == 1:
        return each[0], param
    for pattern in each:
        compiled(pattern, param)  # joined, half a pattern could become a whole one
    return "|".join([f"(?:{pattern})" for pattern in each]), param


def bare(pattern: str) -> str:
    """The pattern without an anchor at either end: the whole answer matches, and not all engines know anchors."""
    pattern = pattern.removeprefix("^")
    head = pattern.removesuffix("$")
    backslashes = len(head) - len(head.rstrip("\\"))
    return pattern if backslashes % 2 else head


def compiled(pattern: str, param: str) -> Automaton:
    try:
        return Automaton(pattern)
    except PatternError as exc:
        raise BadRequest(f"{param}: {exc}", param=param) from None


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    [part] = response.parts
    text, match = part.text, part.finish == "stop"
    automaton: Automaton | None = request.note.automaton
    if automaton is None:
        return matched(response, text, match)
    try:
        end = automaton.shortest(text)
    except PatternError as exc:
        raise BadRequest(f"pattern: {exc}", param="pattern") from None
    return matched(response, text[:end], match or end is not None)


def encode_error(error: GatewayError) -> bytes:
    return constrained.encode_error(error, "pattern", ENGINES)
