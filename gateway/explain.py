"""What an answer's head says of how it was made."""

from adapters.types import Reply
from gateway.exchange import HeaderLines
from gateway.types import LegResult


def explained(results: list[LegResult]) -> HeaderLines:
    """Which targets answer, in the order of the models, by which path their answers are held to a type, how many tries
    there were in all, and what was shared with others. Of several models those that failed are left out."""
    if len(results) == 1:
        [result] = results
        lines = [(b"x-gateway-cache", shared(result).encode())]
        if result.cache == "hit":
            lines.append((b"age", b"%d" % result.age))
        if not (name := result.answered_by):
            return lines
        lines.append((b"x-gateway-target", name.encode()))
        lines.append((b"x-gateway-attempts", b"%d" % result.attempts))
        return lines if result.path is None else [*lines, (b"x-gateway-typed-path", result.path.encode())]
    asked = [result for result in results if result.answered_by]
    shown = [result for result in asked if isinstance(result.outcome, Reply)] or asked
    names, paths = ",".join([r.answered_by for r in shown]), ",".join([r.path for r in shown if r.path])
    attempts = sum([result.attempts for result in results])
    lines = [
        (b"x-gateway-cache", ",".join(map(shared, shown)).encode() or b"bypass"),
        (b"x-gateway-target", names.encode()),
        (b"x-gateway-attempts", b"%d" % attempts),
    ]
    if hits := [result.age for result in shown if result.cache == "hit"]:
        lines.append((b"age", b"%d" % max(hits)))
    return [*lines, (b"x-gateway-typed-path", paths.encode())] if paths else lines


def shared(result: LegResult) -> str:
    """How its answer is shared. What might be, and was not yet, is a miss."""
    return result.cache or ("bypass" if result.share is None else "miss")
