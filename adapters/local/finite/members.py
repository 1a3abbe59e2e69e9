"""What stands between brackets: one after the other, some of it left out."""

from msgspec import Struct

from adapters.local.finite.sentences import EMPTY, Sentence, choice, literal, optional, sequence

MAX_PLACES = 4000
COMMA = literal(", ")


class Member(Struct, frozen=True):
    """``required`` ones are never left out."""

    sentence: Sentence
    required: bool


def chain(members: list[Member], least: int, most: int | None, free: bool) -> Sentence | None:
    """The members in their order, so many of them. Where the choice is not ``free``, as few as may be. None where that
    cannot be."""
    if not free:
        members = fewest(members, least)
    needed = sum(member.required for member in members)
    limit = len(members) if most is None else min(most, len(members))
    if max(needed, least) > limit:
        return None
    counts = least > needed or limit < len(members)
    top = limit if counts else min(1, len(members))
    if (top + 1) * len(members) > MAX_PLACES:
        return None
    tails: list[Sentence | None] = [EMPTY if written >= least or not counts else None for written in range(top + 1)]
    for member in reversed(members):
        tails = [place(member, written, top, tails, counts) for written in range(top + 1)]
    return tails[0]


def fewest(members: list[Member], least: int) -> list[Member]:
    """Those that are required, and the first others that are needed."""
    more = least - sum(member.required for member in members)
    made = []
    for member in members:
        if member.required:
            made.append(member)
        elif more > 0:
            made.append(Member(member.sentence, True))
            more -= 1
    return made


def place(member: Member, written: int, top: int, tails: list[Sentence | None], counts: bool) -> Sentence | None:
    """The rest of the chain from this member on, when so many stand before it."""
    one = sequence(COMMA, member.sentence) if written else member.sentence
    after = tails[min(written + 1, top)] if written < top or not counts else None
    without = None if member.required else tails[written]
    if after is None:
        return without
    if without is after:
        return sequence(optional(one), after)
    here = sequence(one, after)
    return here if without is None else choice([here, without])
