"""vLLM, by its OpenAI wire. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html

Its sampling defaults come from the model's ``generation_config.json``, so what is not asked is sent as well.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import Rule, inexpressible, require
from adapters.fields import NULL, is_neutral, without
from adapters.local.refusals import wanted
from adapters.openai import OpenAI
from adapters.types import (
    AnyJson,
    Call,
    Chat,
    Constraint,
    Fields,
    Grammar,
    Host,
    JsonSchema,
    Mode,
    OneOf,
    Params,
    Path,
    Regex,
)
from adapters.weakening import Weakened, weakened
from adapters.weakening.table import VLLM

RULES: tuple[Rule, ...] = (
    ("seed", lambda p: p.seed != -1, "vLLM takes a seed of -1 for no seed: send another"),
    ("min_p", lambda p: p.min_p is None or 0 <= p.min_p <= 1, "vLLM's min_p goes from 0 to 1"),
)

SAMPLING: dict[str, float] = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""What the model's file would decide otherwise: OpenAI's defaults, and off for what OpenAI does not have."""

ADDED = ("echo", "logit_bias", "top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids", "ignore_eos")
"""Parameters that vLLM has under the same names, beyond those that ``OpenAI`` speaks of itself."""

NOT_SENT = ("best_of", "early_stopping", "guided_decoding_backend")
"""Fields that vLLM has dropped without a word: the gateway does the first, and the last chose between equals."""

OFF = (0, Raw(b"0"))


class Vllm(OpenAI):
    """Everything a caller wrote is vLLM's own vocabulary, and is sent as it is. At temperature 0 vLLM refuses more than
    one choice a request; its prefix cache makes the repeats cheap."""

    left_out: frozenset[str] = frozenset()
    modes: tuple[Mode, ...] = ("completion", "chat")
    takes: frozenset[str] = frozenset({"prompts", "tokens", "echo"})
    chat_limit = "max_tokens"
    rules: tuple[Rule, ...] = RULES

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._constrained = guided if host.guided == "guided" else structured

    def path(self, call: Call) -> Path | None:
        return "guided"

    def most(self, call: Call) -> int | None:
        return 1 if call.params.temperature == 0 and not searches(call) else self.max_n

    def body(self, call: Call) -> dict[str, Any]:
        require(call.params, self.rules)
        most = self.most(call)
        if most is not None and call.params.n > most:
            raise inexpressible("n", f"this engine gives {most} at most of such choices a request: ask for n = {most}")
        if call.fields is not None:
            return explicit(self.forwarded(call, self.in_its_words(call, call.fields)))
        body = msgspec.to_builtins(self.asked(call), builtin_types=(Raw,)) | said(call)
        if call.constraint is not None:
            body |= self.constrained(call, call.constraint)
        return explicit(body)

    def in_its_words(self, call: Call, fields: Fields) -> Fields:
        """The caller's fields as this engine has them."""
        stopping = fields.get("early_stopping", NULL)
        if stopping != NULL and not is_neutral("early_stopping", stopping):
            raise inexpressible("early_stopping", "vLLM has no early_stopping any more: leave it out")
        return without(fields, *NOT_SENT, *unasked(fields))

    def constrained(self, call: Call, constraint: Constraint) -> dict[str, Any]:
        return self._constrained(constraint)

    def by_schema(self, constraint: Constraint) -> Weakened | None:
        return None


def unasked(fields: Fields) -> tuple[str, ...]:
    """A ``response_format`` that asks for nothing, and so must not stand in a constraint's way."""
    asked = fields.get("response_format", NULL)
    return ("response_format",) if asked == NULL or is_neutral("response_format", asked) else ()


def structured(constraint: Constraint) -> dict[str, Any]:
    """A constraint as vLLM has it since 0.12, in one field."""
    said: dict[str, Any]
    match constraint:
        case JsonSchema():
            said = {"json": weakened(constraint.schema, VLLM).schema, **(constraint.options or {})}
        case AnyJson():
            said = {"json_object": True}
        case Regex():
            said = {"regex": constraint.pattern}
        case OneOf():
            said = {"choice": constraint.choices}
        case Grammar():
            said = {"grammar": constraint.text}
    return {"structured_outputs": said}


def guided(constraint: Constraint) -> dict[str, Any]:
    """A constraint as vLLM had it before, in a field for each kind."""
    match constraint:
        case JsonSchema():
            return {"guided_json": weakened(constraint.schema, VLLM).schema, **guided_options(constraint.options)}
        case AnyJson():
            return {"response_format": {"type": "json_object"}}
        case Regex():
            return {"guided_regex": constraint.pattern}
        case OneOf():
            return {"guided_choice": constraint.choices}
        case Grammar():
            return {"guided_grammar": constraint.text}


def guided_options(options: Fields | None) -> dict[str, Any]:
    asked = wanted(options)
    for name in asked:
        if name != "whitespace_pattern":
            raise inexpressible(name, f"vLLM before 0.12 has no {name}: leave it out")
    return {f"guided_{name}": value for name, value in asked.items()}


def said(call: Call) -> dict[str, Any]:
    """The parameters of another dialect that OpenAI's request has no place for."""
    asked = call.params
    body = {name: value for name in ADDED if (value := getattr(asked, name)) not in (None, False, ())}
    if asked.suffix:
        body["suffix"] = asked.suffix
    if asked.include_stop:
        body["include_stop_str_in_output"] = True
    if asked.truncate is not None:
        body["truncate_prompt_tokens"] = asked.truncate
    return body | alternatives(asked, isinstance(call.input, Chat))


def alternatives(asked: Params, chat: bool) -> dict[str, Any]:
    if asked.logprobs is None:
        return {}
    return {"logprobs": True, "top_logprobs": asked.logprobs} if chat else {"logprobs": asked.logprobs}


def explicit(body: dict[str, Any]) -> dict[str, Any]:
    """The request with every sampling value said; and a ``top_k`` that is off in the word that all versions know."""
    for name, value in SAMPLING.items():
        if body.get(name, NULL) == NULL:
            body[name] = value
    if body["top_k"] in OFF:
        body["top_k"] = -1
    return body


def searches(call: Call) -> bool:
    """Whether it asks for a beam search, whose width is ``n``."""
    return (call.fields or {}).get("use_beam_search") == Raw(b"true")
