"""What an answer's head says of how it was made."""

from adapters.types import Reply
from gateway.headers import Head
from gateway.types import LegResult

CACHE = b"x-gateway-cache: %b\r\n"
BYPASS = CACHE % b"bypass"
ASKED = b"x-gateway-target: %b\r\nx-gateway-attempts: %d\r\n"
PATH = b"x-gateway-typed-path: %b\r\n"


def explained(results: list[LegResult]) -> Head:
    """Which targets answer, in the order of the models, by which path their answers are held to a type, how many tries
    there were in all, and what was shared with others. Of several models those that failed are left out."""
    if len(results) == 1:
        result = results[0]
        name = result.served if result.target is None else result.target.name
        head = BYPASS if result.share is None and not result.cache else CACHE % shared(result).encode()
        if result.cache == "hit":
            head += b"age: %d\r\n" % result.age
        if name:
            head += ASKED % (name.encode(), result.attempts)
        return head + PATH % result.path.encode() if name and result.path is not None else head
    replied = [result for result in results if isinstance(result.outcome, Reply) and result.answered_by]
    names, caches, paths, oldest = [], [], [], -1
    for result in replied or results:
        name = result.answered_by
        if not name:
            continue
        names.append(name)
        caches.append(shared(result))
        if result.path:
            paths.append(result.path)
        if result.cache == "hit":
            oldest = max(oldest, result.age)
    head = CACHE % (",".join(caches).encode() or b"bypass")
    head += ASKED % (",".join(names).encode(), sum([result.attempts for result in results]))
    if oldest >= 0:
        head += b"age: %d\r\n" % oldest
    return head + PATH % ",".join(paths).encode() if paths else head


def shared(result: LegResult) -> str:
    """How its answer is shared. What might be, and was not yet, is a miss."""
    return result.cache or ("bypass" if result.share is None else "miss")
