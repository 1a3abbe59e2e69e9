"""Three who say what was used: the ledger, /metrics, and (through the judge) the provider."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from tests.faults.gateway import Gateway
from tests.faults.judge import Line

TOKENS, LEGS, COST = "gateway_tokens_total", "gateway_legs_total", "gateway_cost_usd_total"
UNREACHED = ("unreached",)
"""The outcome of targets to which no request went out: they are in no ledger."""
VALID = "gateway_config_valid"
KINDS = ("input", "output")
EXACT = 1e-7
"""Dollars that sums of floating-point numbers may be apart."""

Key = tuple[str, ...]


async def exposition(gateway: Gateway) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return unchunked(body).decode() if b"chunked" in head.lower() else body.decode()
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + rest[:length], rest[length + 2 :]
        if not length:
            break
    return whole


def counted(texts: Iterable[str], name: str, labels: tuple[str, ...]) -> Counter[Key] | None:
    """The sums over gateways, by these labels; None where no gateway has such a metric."""
    sums: Counter[Key] = Counter()
    found = False
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    found = True
                    sums[tuple([sample.labels.get(label, "") for label in labels])] += sample.value  # type: ignore[assignment]
    return sums if found else None


def valid(texts: Iterable[str]) -> bool:
    """Whether all workers of all gateways go by the routing file that is there."""
    texts = list(texts)
    found = counted(texts, VALID, ())
    return found is not None and found[()] == len(texts)


def tokens_of(lines: Iterable[Line]) -> Counter[Key]:
    """What the ledger says, by team, model and kind."""
    sums: Counter[Key] = Counter()
    for line in lines:
        sums[line.team, line.model, "input"] += line.input
        sums[line.team, line.model, "output"] += line.output
    return sums


def compared(texts: list[str], lines: list[Line], died: bool) -> tuple[str, list[str]]:
    """What /metrics says beside the ledger, and what contradicts it. ``died``: a process was killed, and what it had
    not yet told may be missing from the metrics; never is there more in them than in the ledger."""
    told = counted(texts, TOKENS, ("team", "model", "kind"))
    if told is None:
        return "/metrics does not count tokens", []
    ledger = tokens_of(lines)
    known = Counter({key: round(value) for key, value in told.items() if key[2] in KINDS})
    wrong = []
    unsure = tokens_of([line for line in lines if line.outcome == "interrupted"]) if died else Counter()
    for key in sorted(ledger.keys() | known.keys()):
        missing = ledger[key] - known[key]
        if missing < 0 or missing > unsure[key]:
            wrong.append(f"{'/'.join(key)}: ledger {ledger[key]:,}, /metrics {known[key]:,}")
    words = [f"{sum(known.values()):,} tokens"]
    if (cost := counted(texts, COST, ())) is not None:
        words.append(f"${cost[()]:.6f}")
        paid = sum([line.cost or 0 for line in lines]) / 1e9
        unsure_cost = sum([line.cost or 0 for line in lines if died and line.outcome == "interrupted"]) / 1e9
        if not -EXACT < paid - cost[()] < unsure_cost + EXACT:
            wrong.append(f"dollars: ledger {paid:.9f}, /metrics {cost[()]:.9f}")
    if (legs := counted(texts, LEGS, ("outcome",))) is not None:
        del legs[UNREACHED]
        words.append(f"{legs.total():,.0f} legs")
        entered = Counter([(line.outcome,) for line in lines])
        for (outcome,) in sorted(entered.keys() | legs.keys()):
            missing = entered[outcome,] - round(legs[outcome,])
            if missing < 0 or (missing > 0 and not (died and outcome == "interrupted")):
                wrong.append(f"legs {outcome}: ledger {entered[outcome,]:,}, /metrics {legs[outcome,]:,.0f}")
    return ", ".join(words), wrong
