"""A call in a target's terms: under its own name for the model, in as many requests as it takes, and without what the
gateway does in its place. Pure.

What the engines leave out, the gateway does: repeats the request where one cannot ask for all choices or all prompts,
puts the prompt in front of the answer (``echo``), and picks the likeliest of more choices (``best_of``).
"""

from typing import Any

import msgspec
from msgspec import Struct

from adapters.chat import as_chat, said_by_user
from adapters.errors import Invalid, Rejected, inexpressible
from adapters.fields import written_as
from adapters.types import Asked, Call, Chat, Path, Prompts
from gateway.constraints import describe
from gateway.keeping import Keeping
from gateway.paths import HELD, corrected, on_path, path_of
from gateway.types import Target

STEP = 1_000_003
"""How far the seeds of two tries are apart: choices of one try have neighbours as seeds."""

MOST_SHOWN = 32_768
"""Characters of a wrong answer that its model is shown."""

LIMITS = ("max_tokens", "max_completion_tokens")

to_json = msgspec.json.Encoder().encode
replace = msgspec.structs.replace


class Way(Struct, frozen=True):
    """To whom a call goes, and by which path its answer is held to its constraint if that is not the target's own."""

    target: Target
    keeping: Keeping | None = None
    forced: Path | None = None


def requests(
    target: Target, call: Call, keeping: Keeping | None = None, forced: Path | None = None
) -> tuple[Asked, ...]:
    """What a target is asked: one request, or several. Raises Rejected when its wire cannot express the call."""
    adapter, said, params = target.adapter, call.input, call.params
    if (
        isinstance(said, str)
        and call.fields is None
        and call.constraint is None
        and not params.echo
        and params.best_of is None
        and (params.max_tokens is not None or target.max_tokens is None)
    ):
        own = Call(target.model, said_by_user(said) if target.mode == "chat" else said, params, call.stream)
        if params.n == 1 or (most := adapter.most(own)) is None or params.n <= most:  # as most are
            return (Asked(own, None if adapter.plain else adapter.encode(own)),)
    elif isinstance(said, Chat) and call.constraint is None and "chat" in adapter.modes:
        own = Call(target.model, said, params, call.stream, call.fields)
        if params.n == 1 or (most := adapter.most(own)) is None or params.n <= most:
            return (Asked(own, adapter.encode(own)),)
    way = Way(target, keeping, forced)
    call = Call(target.model, said, params, call.stream, call.fields, call.constraint)
    if params.max_tokens is None and target.max_tokens is not None and not isinstance(said, Chat):
        call = with_params(call, max_tokens=target.max_tokens)
    if isinstance(said, Chat):
        if "chat" not in adapter.modes:
            raise inexpressible("messages", "this model continues a text: send a prompt")
        return asked_in_parts(way, call, "")
    if isinstance(said, str) and not params.echo and params.best_of is None:
        return asked_in_parts(way, as_chat(call) if target.mode == "chat" else call, "")
    native = adapter.takes if target.mode == "completion" else frozenset()
    most, wanted = adapter.most(call), max(call.params.best_of or 0, call.params.n)
    best_here = wants_best(call) and not ("best_of" in native and (most is None or call.params.n <= most))
    if best_here:
        native -= {"echo"}  # the prompt's log probabilities would count
    if call.constraint is not None:
        native -= {"echo"}  # the prompt is not held to it
    together = (most is None or wanted <= most) and not (call.params.echo and "echo" not in native)
    if best_here:
        return with_best(way, call, native, together)
    return in_singles(way, call, native, together, False)


def with_best(way: Way, call: Call, native: frozenset[str], together: bool) -> tuple[Asked, ...]:
    """The gateway picks by log probabilities: where there are none, it is ``best_of`` that cannot be."""
    try:
        return in_singles(way, call, native, together, True)
    except Rejected as refusal:
        if refusal.param in ("logprobs", "top_logprobs", "n") and call.params.logprobs is None:
            raise inexpressible("best_of", "this model tells no log probabilities to choose by") from refusal
        raise


def in_singles(way: Way, call: Call, native: frozenset[str], together: bool, best_here: bool) -> tuple[Asked, ...]:
    found: list[Asked] = []
    for single in singles(call, native, together):
        single, echo = without_echo(single) if call.params.echo and "echo" not in native else (single, "")
        if best_here:
            single = with_more(single)
        found += asked_in_parts(way, as_chat(single) if way.target.mode == "chat" else single, echo)
    return tuple(found)


def singles(call: Call, native: frozenset[str], together: bool) -> list[Call]:
    """A call for each prompt, where the target does not take several in one request."""
    if not isinstance(call.input, Prompts):
        return [call]
    items = call.input.items
    if "tokens" not in native and any(not isinstance(item, str) for item in items):
        raise inexpressible("prompt", "token ids need an engine that shares the model's vocabulary: send a text")
    if len(items) > 1 and "prompts" in native and together:
        return [call]
    return [replace(call, input=item if isinstance(item, str) else Prompts((item,))) for item in items]


def asked_in_parts(way: Way, call: Call, echo: str) -> tuple[Asked, ...]:
    """The requests for a call in the adapter's terms, on the path by which it is held to its constraint."""
    target, path = way.target, None
    adapter = target.adapter
    if call.constraint is not None:
        path = path_of(target, call, way.forced)
        call = on_path(target, call, path, way.keeping)
    most = adapter.most(call)
    if most is None or call.params.n <= most:
        return (Asked(call, adapter.encode(call), echo, path),)
    return tuple([Asked(part, adapter.encode(part), echo, path) for part in parts(call, most)])


def asked_again(
    target: Target, asked: Asked, place: int, answer: str, problem: Invalid, keeping: Keeping, round: int
) -> Asked:
    """The request for another answer in the place of one that was no good: with the answer and what is wrong with it in
    the prompt where it can be, and with another seed. Raises Rejected where it would only be repeated."""
    call = asked.call
    seen = asked.path not in HELD or (keeping.hint is not None and target.shows_types)
    words = None if seen else keeping.hint or describe(keeping.constraint)
    again = corrected(call, place, answer[:MOST_SHOWN], problem.message, words) or repeated(call, place)
    seed = call.params.seed
    if call.params.n != 1 or seed is not None:
        again = with_params(again, n=1, **({} if seed is None else {"seed": (seed + place + round * STEP) % 2**31}))
    return Asked(again, target.adapter.encode(again), asked.echo, asked.path)


def repeated(call: Call, place: int) -> Call:
    """The call for one of its prompts alone."""
    if call.params.temperature == 0:
        raise inexpressible("temperature", "at temperature 0 another try has the same answer")
    if not isinstance(call.input, Prompts):
        return call
    return replace(call, input=Prompts((call.input.items[place // call.params.n],)))


def parts(call: Call, most: int) -> list[Call]:
    """The call in calls of at most ``most`` choices. Each later one gets its own seed, so that choices differ."""
    params, found = call.params, []
    for start in range(0, params.n, most):
        changes: dict[str, Any] = {"n": min(most, params.n - start)}
        if params.best_of is not None:
            changes["best_of"] = None
        if params.seed is not None:
            changes["seed"] = params.seed + start if params.seed + start < 2**63 else start
        found.append(with_params(call, **changes))
    return found


def without_echo(call: Call) -> tuple[Call, str]:
    """The call, and what the gateway puts in front of its answers."""
    if not isinstance(call.input, str):
        raise inexpressible("echo", "token ids cannot be echoed here: send a text, or leave echo out")
    if call.params.logprobs is not None:
        raise inexpressible("echo", "this model cannot score a prompt: leave out echo or logprobs")
    if call.params.max_tokens == 0:
        raise inexpressible("max_tokens", "this model cannot echo a prompt without an answer: ask for at least 1 token")
    return with_params(call, echo=False), call.input


def wants_best(call: Call) -> bool:
    return call.params.best_of is not None and call.params.best_of > call.params.n


def with_more(call: Call) -> Call:
    """All the choices among which the gateway will choose, with what it chooses by."""
    logprobs = call.params.logprobs or 0
    return with_params(call, n=call.params.best_of, best_of=None, logprobs=logprobs)


def with_params(call: Call, **changes: Any) -> Call:
    """The call with other parameters, also in what the caller wrote. A limit of tokens is left to the adapter to
    write, which knows its host's name for it."""
    params, fields = replace(call.params, **changes), call.fields
    if fields is not None:
        fields = dict(fields)
        for name, value in changes.items():
            if name == "max_tokens":
                for limit in LIMITS:
                    fields.pop(limit, None)
            elif value is None or value is False or value == ():
                fields.pop(written_as(name), None)
            else:
                fields[written_as(name)] = msgspec.Raw(to_json(value))
    return replace(call, params=params, fields=fields)
