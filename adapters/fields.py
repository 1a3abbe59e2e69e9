"""The vocabulary of OpenAI's wire and of vLLM's additions to it, for adapters that must say it in other words.

What a caller wrote and an adapter has no word for is refused by name. It may be passed over only where that changes
nothing: a value that asks for nothing, or a field that is a hint. Names that nobody knows are passed over as OpenAI's
own clients expect of servers, unless they look like a constraint.
"""

from typing import Any

import msgspec

from adapters.errors import inexpressible
from adapters.types import Call, Fields

NULL = msgspec.Raw(b"null")

HINTS = frozenset(
    {"cache_salt", "metadata", "moderation", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
    | {"guided_decoding_backend", "priority", "request_id", "safety_identifier", "service_tier", "session_id", "store"}
    | {"user", "spaces_between_special_tokens", "skip_special_tokens", "stream_interval", "watermarking"}
)
"""Fields that change nothing in the answer's text, so that an engine without a word for them may go without."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "add_special_tokens": (True, False),
    "allowed_token_ids": ([],),
    "audio": (),
    "bad_words": ([],),
    "best_of": (0, 1),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "early_stopping": (False,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "ignore_eos": (False,),
    "include_reasoning": (True,),
    "include_stop_str_in_output": (False,),
    "kv_transfer_params": ({},),
    "length_penalty": (1,),
    "logit_bias": ({},),
    "logprob_token_ids": ([],),
    "logprobs": (False,),
    "max_completion_tokens": (),
    "max_tokens": (),
    "media_io_kwargs": ({},),
    "min_p": (0,),
    "min_tokens": (0,),
    "mm_processor_kwargs": ({},),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_embeds": (),
    "prompt_logprobs": (),
    "reasoning": (),
    "reasoning_effort": (),
    "repetition_detection": (),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "return_prompt_text": (False,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "return_weight_versions": (False,),
    "seed": (),
    "stop": ([],),
    "stop_token_ids": ([],),
    "suffix": ("",),
    "temperature": (),
    "thinking": (),
    "thinking_token_budget": (),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_k": (0, -1),
    "top_logprobs": (0,),
    "top_p": (),
    "truncate_prompt_tokens": (),
    "truncation_side": ("right", "left"),  # without truncate_prompt_tokens, nothing is cut at either side
    "use_beam_search": (False,),
    "verbosity": ("medium",),
    "vllm_xargs": ({},),
    "web_search_options": (),
}
"""Every field that means something, each with the values that ask for nothing. null asks for nothing everywhere."""

CONSTRAINTS = (
    *("guided_", "structured_", "json_schema", "grammar", "regex", "ebnf"),
    *("output_type", "out_type", "schema", "type_name", "pattern", "categories"),
)
"""How names begin that would constrain an answer, here or on a neighbouring route."""


NAMES = {"include_stop": "include_stop_str_in_output", "truncate": "truncate_prompt_tokens"}


def written_as(param: str) -> str:
    """The name that callers write for a parameter of ``Params``."""
    return NAMES.get(param, param)


def refuse_rest(call: Call, handled: frozenset[str], who: str) -> None:
    """Raises ``Rejected`` for the first field that is neither among the handled nor without consequence. A
    ``response_format`` that the call holds as its constraint is the constraint's to be said."""
    for name, value in (call.fields or {}).items():
        if name in handled or name in HINTS or value == NULL:
            continue
        if name == "response_format" and call.constraint is not None:
            continue
        if name in NEUTRAL:
            if not is_neutral(name, value):
                raise inexpressible(name, f"{who} has no word for {name}: leave it out")
        elif name.startswith(CONSTRAINTS):
            raise inexpressible(name, f"{who} cannot be constrained by {name}: leave it out")


def is_neutral(name: str, value: msgspec.Raw) -> bool:
    """Whether this value of a field asks for nothing."""
    if value == NULL:
        return True
    given = msgspec.json.decode(value)
    return any(given == one and isinstance(given, bool) == isinstance(one, bool) for one in NEUTRAL[name])


def without(fields: Fields, *names: str) -> Fields:
    """The fields but for these."""
    return {name: value for name, value in fields.items() if name not in names}
