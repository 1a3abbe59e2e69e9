"""What an answer's head says of how it was made."""

from adapters.types import Reply
from gateway.exchange import HeaderLines
from gateway.types import LegResult


def explained(results: list[LegResult]) -> HeaderLines:
    """Which targets answer, in the order of the models, by which path their answers are held to a type, and how many
    tries there were in all. Of several models those that failed are left out."""
    if len(results) == 1:
        [result] = results
        if result.target is None:
            return []
        lines = [
            (b"x-gateway-target", result.target.name.encode()),
            (b"x-gateway-attempts", b"%d" % result.attempts),
        ]
        return lines if result.path is None else [*lines, (b"x-gateway-typed-path", result.path.encode())]
    asked = [result for result in results if result.target is not None]
    shown = [result for result in asked if isinstance(result.outcome, Reply)] or asked
    names, paths = ",".join([r.target.name for r in shown if r.target]), ",".join([r.path for r in shown if r.path])
    attempts = sum([result.attempts for result in results])
    lines = [(b"x-gateway-target", names.encode()), (b"x-gateway-attempts", b"%d" % attempts)]
    return [*lines, (b"x-gateway-typed-path", paths.encode())] if paths else lines
