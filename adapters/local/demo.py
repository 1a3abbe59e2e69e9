"""The model that ships with the gateway, by the llama.cpp that serves it: a model of a megabyte, which was taught to
chat in a few sentences, and nothing else.

What it was never taught is refused here, since the server would pass over it. Its JSON is asked for by a finite
grammar: texts, digits, lists and recursion have no end of their own in a schema, and so small a model does not end
them. A schema for which there is no such grammar is sent within bounds: see ``adapters.weakening.table``.
"""

import msgspec

from adapters.chat import text_of, turns
from adapters.errors import inexpressible
from adapters.fields import NULL, is_neutral
from adapters.local.finite import finite_grammar
from adapters.local.llamacpp import LlamaCpp
from adapters.local.refusals import plain_schema
from adapters.types import AnyJson, Call, Chat, Grammar, HttpRequest, JsonSchema

TOOLS = ("tools", "functions")

ANY_OBJECT = b'{"type":"object"}'

CLOSING = {"99": 18.0, "67": 18.0}
"""Added to the logits of } and ]. The model saw these only behind a quote, in other tokens. By itself it never writes
them, and behind a number that has ended it would sooner write one more digit. With as much as this they come before
what it does not want, and after what it wants."""


class Demo(LlamaCpp):
    """The adapter."""

    def encode(self, call: Call) -> HttpRequest:
        for name in TOOLS:
            value = (call.fields or {}).get(name, NULL)
            if not is_neutral(name, value):
                raise inexpressible(name, "the demo model was not taught to call tools: leave them out")
        if isinstance(call.input, Chat):
            for turn in turns(call.input):
                text_of(turn, "the demo model")
        return super().encode(ending(call))


def ending(call: Call) -> Call:
    """The call with a constraint whose answers end, where it has one that JSON keeps. They keep the caller's as well.
    Raises ``Rejected`` for a schema's options."""
    if not isinstance(call.constraint, JsonSchema | AnyJson):
        return call
    asked = call.constraint
    schema = ANY_OBJECT if isinstance(asked, AnyJson) else bytes(plain_schema(asked, "llama.cpp"))
    grammar = finite_grammar(schema, call.params.max_tokens)
    if grammar is None:
        return call
    params = msgspec.structs.replace(call.params, logit_bias=CLOSING | (call.params.logit_bias or {}))
    return msgspec.structs.replace(call, constraint=Grammar(grammar), params=params)
