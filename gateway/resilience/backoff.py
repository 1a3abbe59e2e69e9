"""How long to wait before asking again."""

DOUBLINGS = 60
"""More would only make numbers too large."""


def wait(round: int, chance: float, base: float, most: float, retry_after: float | None = None) -> float | None:
    """Seconds before the ``round``-th time of asking again, from 0 on: drawn evenly (``chance`` is from 0 to 1) from
    nothing to ``base``, then to twice that, and so on, to ``most`` at most.

    What the provider has advised is the least; the draw is then of what comes on top, so that those who were sent away
    together do not come back together. None: the advice is longer than ``most``, so the caller had better be told.
    """
    least = retry_after or 0.0
    if least > most:
        return None
    longest = min(most, least + base * 2.0 ** min(round, DOUBLINGS))
    return min(least + chance * (longest - least), most)
