"""``POST /v1/completion/cfg``: an answer that is a sentence of a context-free grammar, in Lark's notation (its rule
``start`` comes first) or in EBNF (``root ::= ...``, as llama.cpp has it).

The answer ends where nothing can follow, where the model ends a sentence, or at the limit of tokens: then it is the
beginning of a sentence. That is what ``stop_after_match`` means here, whatever it is: a shorter sentence inside the one
that the model is about to say is not looked for.
"""

import msgspec

from adapters.types import Grammar
from gateway.errors import GatewayError
from gateway.types import CompletionRequest, CompletionResponse
from gateway.wire import body as wire
from gateway.wire import constrained, thiggle
from gateway.wire.constrained import Sampled, check_fields, fields_of, matched, params_of
from gateway.wire.values import Text

EXPECTED = {**constrained.EXPECTED, "grammar": "a grammar as a text, in Lark's notation or in EBNF with ::="}
ENGINES = "models on vLLM, SGLang or llama.cpp can be held to a grammar"


class RequestBody(Sampled):
    grammar: Text


KNOWN = frozenset(RequestBody.__struct_fields__)
decode_body = msgspec.json.Decoder(RequestBody).decode

read = wire.read_leniently
status = thiggle.status
chunks = thiggle.chunks


def decode(body: wire.Body) -> CompletionRequest:
    asked: RequestBody = wire.convert(decode_body, body.data, body.fields, EXPECTED)
    check_fields(body.fields, KNOWN)
    params = params_of(asked)
    return CompletionRequest(
        thiggle.models_of(asked.model),
        asked.prompt,
        params,
        fields=fields_of(params),
        constraint=Grammar(asked.grammar),
        constrained_by="grammar",
    )


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    [part] = response.parts
    return matched(response, part.text, part.finish == "stop")


def encode_error(error: GatewayError) -> bytes:
    return constrained.encode_error(error, ("grammar",), ENGINES)
