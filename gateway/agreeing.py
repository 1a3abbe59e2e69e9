"""Answers of several models compared as JSON values: which of them agree, and what most of them say. Pure.

Every choice of every model that answered has a vote. Choices that are no JSON, such as tool calls, have none.
"""

from typing import Any

import msgspec
from msgspec import Struct

from adapters.errors import UNREADABLE
from adapters.types import Choice, Reply, Usage
from gateway.agreement import Alike, largest, majority
from gateway.keeping import Keeping
from gateway.types import Leg, LegResult, Part, Plan

NOTHING = Usage(0, 0)

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode

replace = msgspec.structs.replace


MOST = 1_000_000
"""Characters of all answers together that are compared: more would keep other callers waiting."""


class Vote(Struct, frozen=True):
    """One choice, and the value that it is."""

    text: str
    value: Any


def most_alike(results: list[LegResult], alike: Alike) -> list[LegResult]:
    """The models whose answers agree: the largest group, in their order. An answer of several choices agrees with
    another if each choice does. Nobody where there is too much to compare."""
    if not comparable(results):
        return []
    voting = [result for result in results if isinstance(result.outcome, Reply) and votes(result)]
    values = [{str(place): vote.value for place, vote in votes(result).items()} for result in voting]
    return [voting[place] for place in largest(values, alike)] if values else []


def comparable(results: list[LegResult]) -> bool:
    replies = [result.outcome for result in results if isinstance(result.outcome, Reply)]
    return sum([len(choice.text) for reply in replies for choice in reply.choices]) <= MOST


def votes(result: LegResult) -> dict[int, Vote]:
    """The choices of a model that are JSON, by their places in its answer."""
    if not isinstance(result.outcome, Reply):
        return {}
    return {choice.index: vote for choice in result.outcome.choices if (vote := vote_of(choice)) is not None}


def vote_of(choice: Choice) -> Vote | None:
    try:
        return Vote(choice.text, decode(choice.text))
    except UNREADABLE:
        return None


def merged(results: list[LegResult], alike: Alike, created: int, elapsed_ms: int, usage: Usage) -> list[Part]:
    """One choice for each prompt, made of all the votes on it. The whole usage goes with the first of them."""
    n, name = results[0].leg.call.params.n, names([result.leg for result in results])
    parts: list[Part] = []
    for prompt in range(results[0].leg.call.prompts):
        ballot = [vote for result in results for place, vote in votes(result).items() if place // n == prompt]
        if not ballot:
            continue
        text, shares = elected(ballot, alike, results[0].leg.keeping)
        paid = NOTHING if parts else usage
        parts.append(Part(prompt, name, text, "stop", paid, created, elapsed_ms, agreement=shares))
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


def merged_plan(plan: Plan) -> Plan:
    """The plan as the answer will show it, if it shows one choice of all."""
    params = replace(plan[0].call.params, n=1, best_of=None)
    return (replace(plan[0], model=names(list(plan)), call=replace(plan[0].call, params=params)),)
