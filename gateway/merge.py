"""The outcomes of all legs to one answer. Pure, and small."""

from adapters.errors import Invalid, ProviderError, Rejected, Throttled, TimedOut
from adapters.types import Reply, Usage, summed
from gateway.errors import LegFailure, Unanswered
from gateway.gate import Overloaded
from gateway.types import CompletionResponse, Fanout, LegResult, Part

NOTHING = Usage(0, 0)


def merge(results: list[LegResult], fanout: Fanout, *, id: str, created: int, elapsed: float) -> CompletionResponse:
    """The answer, or Unanswered when too few models did. ``elapsed`` is in seconds."""
    outcome = results[0].outcome
    if len(results) == 1 and isinstance(outcome, Reply):
        parts, usage = tuple(parts_of(results[0])), outcome.usage or NOTHING
        return CompletionResponse(id, created, parts, usage, round(elapsed * 1000), 1, outcome.raw)
    shown = told(results, fanout)
    failed = [result for result in shown if not isinstance(result.outcome, Reply)]
    if failed and (fanout.strict or len(shown) - len(failed) < fanout.min_success):
        raise unanswered(failed, [result for result in results if result.outcome is None], len(results))
    merged = tuple([part for result in shown for part in parts_of(result)])
    return CompletionResponse(id, created, merged, total(shown), milliseconds(elapsed), len(results))


def told(results: list[LegResult], fanout: Fanout) -> list[LegResult]:
    """The legs that the answer speaks of: not those that were given up because enough had answered, and of a race
    only the winner."""
    if fanout.mode == "first" and (won := [r for r in results if isinstance(r.outcome, Reply)]):
        return [min(won, key=lambda result: result.ended)]
    return [result for result in results if result.outcome is not None]


def unanswered(failed: list[LegResult], given_up: list[LegResult], asked: int) -> Unanswered:
    """One error for the call, naming each model that did not answer: 429 or 503 if waiting helps, 400 if only another
    request does, else 504 or 502."""
    errors = [result.outcome for result in failed if isinstance(result.outcome, ProviderError)]
    legs = tuple(failure(result) for result in sorted(failed + given_up, key=lambda result: result.leg.offset))
    reasons = "; ".join(f"{leg.model}: {leg.message}" for leg in legs)
    message = reasons if asked == 1 else f"{len(legs)} of {asked} models did not answer ({reasons})"
    final = any(result.attempts > 1 for result in failed)
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
        return Unanswered(message, 422, legs, final=True)
    return Unanswered(message, 504 if all(isinstance(error, TimedOut) for error in errors) else 502, legs, final=final)


def failure(result: LegResult) -> LegFailure:
    error, leg = result.outcome, result.leg
    if isinstance(error, ProviderError):
        return LegFailure(leg.offset, leg.model, error.code, error.message)
    return LegFailure(leg.offset, leg.model, "cancelled", "given up, since the call had failed already")


def parts_of(result: LegResult) -> list[Part]:
    """A leg's choices at their places; a failed leg's are empty, and say why."""
    leg, outcome = result.leg, result.outcome
    elapsed = milliseconds(result.ended - result.started)
    if not isinstance(outcome, Reply):
        places = range(leg.offset, leg.offset + leg.call.choices)
        return [Part(i, leg.model, "", None, NOTHING, result.created, elapsed, outcome) for i in places]
    usage = outcome.usage or NOTHING
    if len(outcome.choices) == 1:
        [c] = outcome.choices
        return [Part(leg.offset + c.index, leg.model, c.text, c.finish, usage, result.created, elapsed, None, c.raw)]
    lengths = result.sent or [len(choice.text) for choice in outcome.choices]
    return [
        Part(leg.offset + c.index, leg.model, c.text, c.finish, c.usage or share, result.created, elapsed, None, c.raw)
        for c, share in zip(outcome.choices, split(usage, lengths), strict=True)
    ]


def split(usage: Usage, lengths: list[int]) -> list[Usage]:
    """A call's usage over its choices, so that the choices add up to the call.

    Providers report one figure a call. Its input is told at the first choice; its output is shared in proportion to
    the texts' lengths, the remainder going to the first.
    """
    whole = sum(lengths)
    outputs = [usage.output * length // whole if whole else 0 for length in lengths]
    outputs[0] += usage.output - sum(outputs)
    return [Usage(usage.input if i == 0 else 0, output) for i, output in enumerate(outputs)]


def total(results: list[LegResult]) -> Usage:
    """The sum over the legs that answered."""
    return summed([r.outcome.usage for r in results if isinstance(r.outcome, Reply) and r.outcome.usage is not None])


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
