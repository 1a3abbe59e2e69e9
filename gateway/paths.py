"""By which path a target holds an answer to its constraint, and what it is asked on that path. Pure.

    native      the provider's own structured output                   streams as it comes
    guided      an engine's constrained decoder                        streams as it comes
    json_mode   a mode that makes any JSON object, and the prompt      checked, mended, then told
    prompted    the words of the prompt alone                          checked, mended, then told

A target takes the path that its configuration names, else the one that its adapter knows for the route, else the last.
"""

import msgspec

from adapters.chat import followed, with_words
from adapters.fields import without
from adapters.types import AnyJson, Call, Chat, Constraint, Input, JsonSchema, OneOf, Path, Prompts
from adapters.wrapping import is_object
from gateway.constraints import describe
from gateway.keeping import Keeping
from gateway.types import Target

HELD = frozenset({"native", "guided"})
"""Paths on which the answer keeps its constraint while it is made."""

replace = msgspec.structs.replace


def path_of(target: Target, call: Call, forced: Path | None = None) -> Path | None:
    """The path of a call in the adapter's terms; None for a call without a constraint. A text pattern or a grammar is
    for decoders only: no prompt makes a model keep it."""
    constraint = call.constraint
    if constraint is None:
        return None
    own = target.adapter.path(call)
    if not isinstance(constraint, JsonSchema | AnyJson | OneOf):
        return own
    wanted = forced or target.path or own or "prompted"
    if wanted in HELD:
        return own or "prompted"
    if wanted == "json_mode" and (own is None or not makes_objects(constraint)):
        return "prompted"
    return wanted


def makes_objects(constraint: Constraint) -> bool:
    """Whether every answer is a JSON object, as a mode for JSON makes them."""
    return isinstance(constraint, AnyJson) or (isinstance(constraint, JsonSchema) and is_object(constraint.schema))


def weaker(constraint: Constraint, path: Path | None) -> Path | None:
    """What can be tried where the provider refuses a path."""
    if path in HELD and isinstance(constraint, JsonSchema | AnyJson | OneOf):
        return "json_mode" if isinstance(constraint, JsonSchema) and is_object(constraint.schema) else "prompted"
    return "prompted" if path == "json_mode" else None


def on_path(target: Target, call: Call, path: Path | None, keeping: Keeping | None) -> Call:
    """The call as it is asked on its path: with the type in the prompt where the model must see it there, and without
    what the path has no use for."""
    constraint = call.constraint
    if constraint is None or path is None:
        return call
    hint = None if keeping is None else keeping.hint
    if path in HELD:
        if hint is None or not target.shows_types:
            return call
        return replace(call, input=shown(call.input, hint))
    said = without(call.fields, "response_format", "stream_options") if call.fields is not None else None
    held = AnyJson() if path == "json_mode" else None
    words = hint or describe(constraint)
    return replace(call, input=shown(call.input, words), stream=False, fields=said, constraint=held)


def whole(call: Call) -> Call:
    """The call for an answer in one piece."""
    if not call.stream:
        return call
    said = None if call.fields is None else without(call.fields, "stream_options")
    return replace(call, stream=False, fields=said)


def shown(input: Input, words: str) -> Input:
    """The input with these words behind it. Token ids stay as they are: nobody here knows their language."""
    if isinstance(input, Chat):
        return with_words(input, words)
    if isinstance(input, Prompts):
        return Prompts(tuple([item if isinstance(item, tuple) else behind(item, words) for item in input.items]))
    return behind(input, words)


def behind(prompt: str, words: str) -> str:
    return f"{prompt}\n\n{words}\n\n"


def corrected(call: Call, place: int, answer: str, problem: str, words: str | None) -> Call | None:
    """What a model is asked after an answer that was no good: the same, its answer, and what is wrong with it. None
    where the prompt is none that can go on."""
    reproach = f"{problem[:1].upper()}{problem[1:]}. Give the whole answer again, corrected, and nothing else."
    if words is not None:
        reproach = f"{reproach} {words}"
    input = call.input
    again: Input
    if isinstance(input, Chat):
        turns = [("assistant", answer), ("user", reproach)] if answer else [("user", reproach)]
        again = followed(input, *turns)
    else:
        prompt = input.items[place // call.params.n] if isinstance(input, Prompts) else input
        if not isinstance(prompt, str) or call.params.suffix:
            return None
        again = f"{prompt}{answer}\n\n{reproach}\n\n"
    return replace(call, input=again)
