"""Answers of several models compared as JSON values: which of them agree, and what most of them say. Pure.

Every choice of every model that answered has a vote, if it was found to keep its type: tool calls, refusals, and what
was cut off have none.
"""

from typing import Any

import msgspec
from msgspec import Struct

from adapters.types import Reply, Usage
from gateway.agreement import Alike, largest, majority
from gateway.errors import LegFailure
from gateway.keeping import Keeping
from gateway.types import Leg, LegResult, Part, Plan

NOTHING = Usage(0, 0)

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode

replace = msgspec.structs.replace


MOST = 262_144
"""Characters of all answers together that are compared: more would keep other callers waiting."""

AT_ONCE = 8_192
"""And up to how many are compared without letting others have their turn in between."""


class Vote(Struct, frozen=True):
    """One choice, and the value that it is."""

    text: str
    value: Any


def most_alike(results: list[LegResult], alike: Alike) -> list[LegResult]:
    """The models whose answers agree: the largest group, in their order. An answer of several choices agrees with
    another if each choice does. Nobody where there is too much to compare."""
    voting = [result for result in results if votes(result)]
    if size(voting) > MOST:
        return []
    values = [{str(place): vote.value for place, vote in votes(result).items()} for result in voting]
    return [voting[place] for place in largest(values, alike)] if values else []


def size(results: list[LegResult]) -> int:
    """Characters to compare; none where only one has answered."""
    answered = [result.kept.values() for result in results if isinstance(result.outcome, Reply)]
    lengths = [sum([len(choice.text) for choice in choices]) for choices in answered]
    return sum(lengths) if len(lengths) > 1 else 0


def votes(result: LegResult) -> dict[int, Vote]:
    """The choices of a model that have a vote, by their places in its answer."""
    keeping = result.leg.keeping
    if keeping is None or not isinstance(result.outcome, Reply):
        return {}
    good = [choice for choice in result.kept.values() if keeping.is_good(choice)]
    return {choice.index: Vote(choice.text, decode(choice.text)) for choice in good}


def merged(
    results: list[LegResult], alike: Alike, created: int, elapsed_ms: int, usage: Usage, failed: tuple[LegFailure, ...]
) -> list[Part]:
    """One choice for each prompt, made of all the votes on it. The whole usage goes with the first of them."""
    n, name = results[0].leg.call.params.n, names([result.leg for result in results if votes(result)])
    parts: list[Part] = []
    for prompt in range(results[0].leg.call.prompts):
        ballot = [vote for result in results for place, vote in votes(result).items() if place // n == prompt]
        if not ballot:
            continue
        text, shares = elected(ballot, alike, results[0].leg.keeping)
        paid = NOTHING if parts else usage
        parts.append(Part(prompt, name, text, "stop", paid, created, elapsed_ms, None, None, shares, failed))
    return parts


def elected(ballot: list[Vote], alike: Alike, keeping: Keeping | None) -> tuple[str, Any]:
    """The text that most agree on, and the share of them for each leaf: an object in any case, which holds what is none
    as ``answer``."""

    def keeps(value: Any) -> bool:
        text = written(value)
        return text is not None and (keeping is None or not keeping.checker.check(keeping.constraint, text).problem)

    found = majority([vote.value for vote in ballot], alike, keeps)
    elected = written(found.value)
    text = next((vote.text for vote in ballot if written(vote.value) == elected), elected or "")
    return text, found.agreement if isinstance(found.value, dict) and found.value else {"answer": found.agreement}


def written(value: Any) -> str | None:
    """As JSON; None if it is nested beyond what can be written."""
    try:
        return encode(value).decode()
    except RecursionError:
        return None


def names(legs: list[Leg]) -> str:
    """The models that a merged choice is of, as callers write several in one text."""
    return ",".join(dict.fromkeys([leg.model for leg in legs]))


def merged_plan(plan: Plan, parts: tuple[Part, ...]) -> Plan:
    """The plan as the answer shows it, if it shows one choice of all."""
    leg = plan[0]
    params = replace(leg.call.params, n=1, best_of=None)
    return (replace(leg, model=parts[0].model, call=replace(leg.call, params=params)),)
