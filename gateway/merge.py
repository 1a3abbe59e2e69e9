"""The outcomes of all legs to one answer. Pure, and small."""

import asyncio
from functools import partial

from adapters.errors import Invalid, ProviderError, Rejected, Throttled, TimedOut, path_of
from adapters.types import Reply, Usage, summed
from gateway.agreeing import AT_ONCE, MOST, merged, most_alike, size
from gateway.caching.control import NotCached
from gateway.errors import LegFailure, Unanswered
from gateway.gate import Overloaded
from gateway.types import CompletionResponse, Fanout, LegResult, Part

NOTHING = Usage(0, 0)


def merge(results: list[LegResult], fanout: Fanout, *, id: str, created: int, elapsed: float) -> CompletionResponse:
    """The answer, or Unanswered when too few models did. ``elapsed`` is in seconds."""
    outcome = results[0].outcome
    if len(results) == 1 and isinstance(outcome, Reply) and not fanout.agree:
        if fanout.strict and results[0].broken:
            raise broken_parts(results)
        alone, used = parts_of(results[0]), outcome.usage or NOTHING
        return CompletionResponse(id, created, alone, used, round(elapsed * 1000), 1, outcome.raw)
    if fanout.alike is not None and size(results) > MOST:
        raise Unanswered(
            f"the answers have more than {MOST} characters together: too many to compare", 422, (), final=True
        )
    shown = told(results, fanout)
    failed = [result for result in shown if not isinstance(result.outcome, Reply)]
    if failed and (fanout.strict or len(shown) - len(failed) < fanout.min_success):
        raise unanswered(failed, [result for result in results if result.outcome is None], len(results))
    if fanout.strict and any(result.broken for result in shown):
        raise broken_parts(shown)
    elapsed_ms, usage = round(elapsed * 1000), total(shown, results)
    if fanout.alike is not None and fanout.agree:
        failures = tuple(map(failure, failed))
        parts = merged(shown, fanout.alike, created, elapsed_ms, usage, failures)
        if not parts:
            raise Unanswered("no answer is complete JSON of the type, so none can be merged", 422, failures, final=True)
        return CompletionResponse(id, created, tuple(parts), usage, elapsed_ms, len(results))
    parts = [part for result in shown for part in parts_of(result)]
    return CompletionResponse(id, created, tuple(parts), usage, elapsed_ms, len(results))


async def merge_compared(
    results: list[LegResult], fanout: Fanout, *, id: str, created: int, elapsed: float
) -> CompletionResponse:
    """The same for answers that are compared: beside the event loop, where there is much to compare."""
    made = partial(merge, results, fanout, id=id, created=created, elapsed=elapsed)
    return made() if size(results) <= AT_ONCE else await asyncio.to_thread(made)


def broken_parts(results: list[LegResult]) -> Unanswered:
    """A strict call has no place for a model of whose choices some break the type."""
    found = [
        LegFailure(result.leg.offset + index, result.leg.model, problem.code, problem.message, problem.path)
        for result in results
        for index, problem in result.broken.items()
    ]
    return Unanswered(f"{found[0].model}: {found[0].message}", 422, tuple(found), final=True)


def told(results: list[LegResult], fanout: Fanout) -> list[LegResult]:
    """The legs that the answer speaks of: not those that were given up because enough had answered, of a race only the
    winner, and of a quorum that must agree those that do. Raises Unanswered if too few do."""
    if fanout.mode == "first" and (won := [r for r in results if isinstance(r.outcome, Reply)]):
        return [min(won, key=lambda result: result.ended)]
    ended = [result for result in results if result.outcome is not None]
    if fanout.mode != "quorum" or fanout.alike is None:
        return ended
    answered = [result for result in ended if isinstance(result.outcome, Reply)]
    if fanout.strict and len(answered) < len(ended):
        return ended
    agreeing = most_alike(answered, fanout.alike)
    if len(agreeing) >= fanout.min_success:
        return agreeing
    if len(answered) >= fanout.min_success:
        raise disagreement(ended, len(answered), len(agreeing), fanout.min_success)
    return ended


def disagreement(ended: list[LegResult], answered: int, agreeing: int, wanted: int) -> Unanswered:
    """Every model may have answered well, but too few of them the same."""
    message = f"{answered} models gave valid answers, of which {agreeing} agree; {wanted} must (fanout.min_success)"
    failures = tuple([failure(result) for result in ended if isinstance(result.outcome, ProviderError)])
    error = Unanswered(message, 422, failures, final=True, param="fanout.min_success")
    error.code = "no_agreement"
    return error


def unanswered(failed: list[LegResult], given_up: list[LegResult], asked: int) -> Unanswered:
    """One error for the call, naming each model that did not answer: 429 or 503 if waiting helps, 400 if only another
    request does, else 504 or 502."""
    errors = [result.outcome for result in failed if isinstance(result.outcome, ProviderError)]
    legs = tuple(failure(result) for result in sorted(failed + given_up, key=lambda result: result.leg.offset))
    reasons = "; ".join(f"{leg.model}: {leg.message}" for leg in legs)
    message = reasons if asked == 1 else f"{len(legs)} of {asked} models did not answer ({reasons})"
    final = any(result.attempts > 1 for result in failed) or all(isinstance(error, NotCached) for error in errors)
    return verdict(message, errors, legs, final, errors[0].param if asked == 1 else None)


def verdict(
    message: str, errors: list[ProviderError], legs: tuple[LegFailure, ...], final: bool, param: str | None
) -> Unanswered:
    """What these failures come to together; ``param`` is told where another request would help."""
    waits = min([error.retry_after for error in errors if error.retry_after is not None], default=1.0)
    if all(isinstance(error, Throttled) for error in errors):
        return Unanswered(message, 429, legs, waits, final)
    if all(isinstance(error, Overloaded) for error in errors):
        return Unanswered(message, 503, legs, waits, final)
    if all(isinstance(error, Rejected) for error in errors):
        return Unanswered(message, 400, legs, final=True, param=param)
    if all(isinstance(error, Invalid) for error in errors):
        return Unanswered(message, 422, legs, final=True, param=param)
    return Unanswered(message, 504 if all(isinstance(error, TimedOut) for error in errors) else 502, legs, final=final)


def failure(result: LegResult) -> LegFailure:
    error, leg = result.outcome, result.leg
    if isinstance(error, ProviderError):
        return LegFailure(leg.offset, leg.model, error.code, error.message, path_of(error))
    return LegFailure(leg.offset, leg.model, "cancelled", "given up before it had answered")


def parts_of(result: LegResult) -> tuple[Part, ...]:
    """A leg's choices at their places; a failed leg's are empty, and say why."""
    leg, outcome = result.leg, result.outcome
    elapsed = round((result.ended - result.started) * 1000)
    if not isinstance(outcome, Reply):
        places, used = range(leg.offset, leg.offset + leg.call.choices), summed(result.used) if result.used else NOTHING
        paid = [used] + [NOTHING] * (len(places) - 1)
        return tuple(
            [
                Part(i, leg.model, "", None, usage, result.created, elapsed, outcome)
                for i, usage in zip(places, paid, strict=True)
            ]
        )
    usage = outcome.usage or NOTHING
    if len(outcome.choices) == 1:
        c = outcome.choices[0]
        return (Part(leg.offset + c.index, leg.model, c.text, c.finish, usage, result.created, elapsed, None, c.raw),)
    lengths, broken = result.sent or [len(choice.text) for choice in outcome.choices], result.broken
    made, at = result.created, leg.offset
    return tuple(
        [
            Part(at + c.index, leg.model, c.text, c.finish, c.usage or share, made, elapsed, broken.get(c.index), c.raw)
            for c, share in zip(outcome.choices, split(usage, lengths), strict=True)
        ]
    )


def split(usage: Usage, lengths: list[int]) -> list[Usage]:
    """A call's usage over its choices, so that the choices add up to the call.

    Providers report one figure a call. Its input is told at the first choice; its output is shared in proportion to
    the texts' lengths, the remainder going to the first.
    """
    whole = sum(lengths)
    outputs = [usage.output * length // whole if whole else 0 for length in lengths]
    outputs[0] += usage.output - sum(outputs)
    return [Usage(usage.input if i == 0 else 0, output) for i, output in enumerate(outputs)]


def total(shown: list[LegResult], results: list[LegResult]) -> Usage:
    """The sum over the legs that the answer speaks of, and over what others gave under a constraint."""
    answered = [result.outcome for result in shown if isinstance(result.outcome, Reply)]
    used = [reply.usage for reply in answered if reply.usage is not None]
    for result in results:
        if result.used and not (result in shown and isinstance(result.outcome, Reply)):
            used += result.used
    return summed(used)
