"""One value of many, place by place. No recursion: values may be as deep as a decoder allows."""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any, TypeVar

from gateway.agreement.leaves import holders
from gateway.agreement.sets import elected
from gateway.agreement.types import Alike

Choice = TypeVar("Choice", bound=Hashable)


def merged(values: Sequence[Any], alike: Alike) -> Any:
    """What most of the voters have at each place. Whoever is outvoted there has no vote beneath it. Of choices with
    equally many votes, the one of the earliest voter wins."""
    top: list[Any] = [None]
    stack: list[tuple[list[Any], Any, Any]] = [(list(values), top, 0)]
    while stack:
        ballots, into, at = stack.pop()
        kinds = [kind_of(ballot) for ballot in ballots]
        kind = winner(kinds)
        voting = [ballot for ballot, own in zip(ballots, kinds, strict=True) if own is kind]
        if kind is dict:
            into[at] = fields = dict.fromkeys(kept(voting))
            stack += [([ballot[key] for ballot in voting if key in ballot], fields, key) for key in fields]
        elif kind is list and alike.sets:
            into[at] = elected(voting, alike.tolerance)
        elif kind is list:
            length = winner([len(ballot) for ballot in voting])
            into[at] = items = [None] * length
            voting = [ballot for ballot in voting if len(ballot) == length]
            stack += [([ballot[place] for ballot in voting], items, place) for place in range(length)]
        else:
            into[at] = leaf(voting, alike.tolerance)
    return top[0]


def kind_of(value: Any) -> type:
    return type(value) if isinstance(value, dict | list) else object


def winner(votes: Sequence[Choice]) -> Choice:
    counts = Counter(votes)
    return max(counts, key=counts.__getitem__)


def kept(objects: list[dict[str, Any]]) -> list[str]:
    """The keys that more of the objects have than not."""
    counts = Counter(chain.from_iterable(objects))
    return [
        key
        for key, count in counts.items()
        if 2 * count > len(objects) or (2 * count == len(objects) and key in objects[0])
    ]


def leaf(leaves: list[Any], tolerance: float) -> Any:
    votes = [same.bit_count() for same in holders(list(enumerate(leaves)), tolerance)]
    return leaves[votes.index(max(votes))]
