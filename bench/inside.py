"""What only the gateway's own code can tell. A process of its own, in which the checkout to measure comes first on the
path of imports: the benchmark itself imports nothing of the gateway.

    inside.py cost < [TEXT, TYPE_NAME, PART, RUNS]
    inside.py schemas < [[TEXT, TYPE_NAME], ...]

`cost` converts a text RUNS times, each time with another word in the place of PART, and one text RUNS times by the way
of a typed request; it prints the median CPU microseconds of both. `schemas` prints a JSON Schema of each type.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from gateway.typescript import schema_of
from gateway.wire.typed import Conversions

TOGETHER = 20  # known texts for one look at the clock, which takes a good part of the time of one


def cost(text: str, type_name: str, part: str, runs: int) -> dict[str, float]:
    return {"cold_cpu_us": cold(text, type_name, part, runs), "known_cpu_us": known(text, type_name, runs)}


def cold(text: str, type_name: str, part: str, runs: int) -> float:
    """Of texts that are new in every name that holds `part`, so that nothing of them can be remembered."""
    taken = []
    for run in range(runs):
        word = f"T{run:0{len(part) - 1}}"
        new, name = text.replace(part, word), type_name.replace(part, word)
        taken.append(nanoseconds(schema_of, new, name))
    return median(taken) / 1000


def known(text: str, type_name: str, runs: int) -> float:
    """Of a text that was converted before. Each request brings it as another object."""
    conversions, data = Conversions(), text.encode()
    conversions.schema(text, type_name)
    taken = []
    for _ in range(runs):
        texts = [data.decode() for _ in range(TOGETHER)]
        taken.append(nanoseconds(all_of, conversions.schema, texts, type_name) / TOGETHER)
    return median(taken) / 1000


def all_of(schema: Callable[[str, str], Any], texts: list[str], type_name: str) -> None:
    for text in texts:
        schema(text, type_name)


def nanoseconds(work: Callable[..., Any], *arguments: Any) -> int:
    """CPU time of one call."""
    before = time.process_time_ns()
    work(*arguments)
    return time.process_time_ns() - before


def schemas(*types: tuple[str, str]) -> list[Any]:
    return [json.loads(bytes(schema_of(text, type_name))) for text, type_name in types]


if __name__ == "__main__":
    answers: dict[str, Callable[..., Any]] = {"cost": cost, "schemas": schemas}
    print(json.dumps(answers[sys.argv[1]](*json.load(sys.stdin))))
