"""One whole answer, held to its constraint: what breaks it is shown to the model with what is wrong, a few times.

Every round is another request to the same target, for the one choice that was no good; its usage counts. What was cut
off at the limit of tokens, or stopped by a content filter, would be again, and is not asked for a second time.
"""

from adapters.errors import CutOff, Invalid, ProviderError, Withheld
from adapters.types import Asked, Choice, Prompts, Reply
from gateway.asking import asked_again
from gateway.choices import placed
from gateway.keeping import Keeping
from gateway.tokens import estimate
from gateway.types import LegResult, Sending, Target


async def exchanged(result: LegResult, target: Target, asked: Asked, shift: int) -> Reply:
    """One HTTP exchange and the reply in it, always with a usage. Raises a ProviderError."""
    sending = Sending(asked.call) if result.meter is None else result.meter.sending(asked.call)
    try:
        request = asked.request or target.adapter.encode(asked.call)
        response = await target.upstream.fetch(request, target.timeouts, sending.reach)
        reply = target.adapter.decode(asked.call, response)
    except ProviderError as failure:
        sending.failure = failure
        raise
    call, choices = asked.call, reply.choices
    usage = sending.usage = reply.usage or estimate(call, [len(choice.text) for choice in choices])
    if call.params.n != 1 or len(choices) != 1 or choices[0].index or shift or isinstance(call.input, Prompts):
        choices = placed(choices, call.choices, shift)
    return reply if choices is reply.choices and usage is reply.usage else Reply(choices, usage, reply.raw)


async def mended(result: LegResult, target: Target, asked: Asked, reply: Reply, shift: int, spare: bool) -> Reply:
    """The reply with choices that keep the constraint. Those that no round made good are empty, and noted as broken;
    ``spare`` says that there are more than the caller wants: then they are left out."""
    keeping = result.leg.keeping
    if keeping is None:
        return reply
    note(result, reply)
    good: list[Choice] = []
    for choice in reply.choices:
        try:
            kept = keeping.kept(choice)
        except Invalid as problem:
            if spare:
                continue
            try:
                kept = await another(result, target, asked, choice, choice.index - shift, problem, keeping)
            except Invalid as still:
                result.broken = {**result.broken, choice.index: still}
                good.append(Choice(choice.index, "", choice.finish))
                continue
        result.kept = {**result.kept, kept.index: kept}
        good.append(kept)
    return Reply(tuple(good), reply.usage, reply.raw)


def note(result: LegResult, reply: Reply) -> None:
    """Every answer was paid for, be it good or not."""
    if reply.usage is not None:
        result.used += (reply.usage,)


async def another(
    result: LegResult, target: Target, asked: Asked, choice: Choice, place: int, problem: Invalid, keeping: Keeping
) -> Choice:
    """A choice in the place of one that was no good. Raises Invalid if there is none, whatever a round failed by."""
    given = choice
    for round in range(1, keeping.rounds + 1):
        if isinstance(problem, CutOff | Withheld):
            break
        try:
            again = asked_again(target, asked, place, given.text, problem, keeping, round)
            result.attempts += 1
            reply = await exchanged(result, target, again, 0)
        except ProviderError:
            break
        note(result, reply)
        [given] = reply.choices
        try:
            good = keeping.kept(given)
        except Invalid as still:
            problem = still
            continue
        return Choice(choice.index, good.text, good.finish, None, good.raw)
    raise problem
