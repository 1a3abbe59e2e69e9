"""What callers leave in the middle, and what never was an answer: the ledger has what was sent until then."""

import asyncio
import time

from tests.faults.gateway import PRICE_IN, PRICE_OUT, target
from tests.faults.judge import Line, ledger
from tests.faults.load import CHAT, Client
from tests.faults.provider import Served
from tests.proofs.site import Site, body

PIECES = 8
GAP = 40

MODELS: dict[str, str | tuple[str, ...]] = {
    "told": f"told+p11+o{PIECES}+g{GAP}",
    "quiet": f"quiet+p11+o{PIECES}+g{GAP}+q",
    "fast": "fast+p10+o4+d30",
    "embedding": "embedding+p6",
    "late": "late+p10+o4+d400",
    "later": "later+p10+o4+d2000",
    "never": "never+p10+o4+d8000",
    "typed": (target("typed+p30+o6+bad2", "open"),),
    "wrong": (target("wrong+p30+o6+bad99", "open"),),
    "refusing": "refusing+s400",
    "throttled": "throttled+s429",
    "broken": "broken+s500",
    "dropped": "dropped+drop",
    "cut": "cut+cut+o9",
    "rescued": (
        target("first+s500"),
        target("second+drop", more=", fallback: true"),
        target("third+p21+o7", more=", fallback: true"),
    ),
}

AGE = {
    "type": "json_schema",
    "json_schema": {
        "name": "age",
        "schema": {
            "type": "object",
            "properties": {"age": {"type": "integer"}},
            "required": ["age"],
            "additionalProperties": False,
        },
    },
}


async def after_every_chunk(site: Site) -> None:
    """A caller leaves after the k-th chunk, for every k, of streams whose provider reports usage and of others."""
    client = site.client()

    async def leave(model: str, k: int) -> None:
        async with client.stream(body(model, f"abort-{model}-{k}", stream=True)) as stream:
            assert stream.status == 200
            seen = 0
            if k:
                async for event in stream.events():
                    seen += b"tok " in event
                    if seen == k:
                        break

    async def whole(model: str) -> None:
        async with client.stream(body(model, f"abort-{model}-whole", stream=True)) as stream:
            assert [event async for event in stream.events()][-1] == b"[DONE]"

    await asyncio.gather(
        *[leave(model, k) for model in ("told", "quiet") for k in range(PIECES + 1)],
        *[whole(model) for model in ("told", "quiet")],
    )
    await site.proved()
    lines = {line.user: line for line in await ledger(site.database)}
    served = {one.user: one for one in site.provider.served()}
    for model in ("told", "quiet"):
        for k in range(PIECES + 1):
            cut_off(lines[f"abort-{model}-{k}"], served[f"abort-{model}-{k}"], k)
        line = lines[f"abort-{model}-whole"]
        assert (line.outcome, line.output, line.estimated) == ("ok", PIECES, model == "quiet"), line


def cut_off(line: Line, served: Served, k: int) -> None:
    """Between what the caller has seen and what the provider has written by the time it noticed."""
    said = f"{line}\n{served}"
    if served.whole:  # the caller left in the moment in which it ended
        assert k == PIECES, said
        return
    assert line.outcome == "cancelled" and line.estimated, said
    assert k <= line.output <= served.pieces, said
    assert served.pieces <= k + 2, f"the provider was not told at once: {said}"
    assert line.requests == line.calls == 1, said
    assert line.cost == line.input * PRICE_IN + line.output * PRICE_OUT, said
    assert line.input > 0, said


async def of_every_kind(site: Site) -> None:
    """Losers, deadlines, repair rounds, refusals, breaks and fallbacks: each call's entries, one by one."""
    client = site.client()

    async def ask(user: str, model: str | list[str], wanted: int, path: str = CHAT, **more: object) -> None:
        asked = body(model, user, **more)
        if path != CHAT:
            del asked["messages"]
        answer = await client.call(asked, path)
        assert answer.status == wanted, (user, answer)

    first = {"mode": "first"}
    # So that what the provider takes is known before estimates are asked for.
    await ask("warm", "fast", 200)
    await asyncio.gather(
        ask("first", ["fast", "later"], 200, fanout=first),
        ask("several", "fast", 200, n=3, max_tokens=3),
        ask("texts", "fast", 200, "/v1/completions", prompt="Once"),
        ask("vectors", "embedding", 200, "/v1/embeddings", input="a text"),
        ask("quorum", ["fast", "late", "later"], 200, fanout={"mode": "quorum", "min_success": 2}),
        ask("deadline", ["fast", "later"], 200, fanout={"deadline_ms": 300}),
        ask("typed", "typed", 200, response_format=AGE),
        ask("wrong", "wrong", 422, response_format=AGE),
        ask("refusing", "refusing", 400),
        ask("throttled", "throttled", 429),
        ask("broken", "broken", 502),
        ask("dropped", "dropped", 502),
        ask("cut", "cut", 502),
        ask("rescued", "rescued", 200),
        ask("some", ["fast", "broken", "rescued"], 200),
        leave(client, "left"),
    )
    await client.close()
    finding = await site.proved()
    assert not finding.interrupted
    lines = await ledger(site.database)

    def of(user: str) -> dict[str, tuple[str, int, int, int]]:
        """By provider's model: outcome, requests, calls, output."""
        mine = [line for line in lines if line.user == user]
        return {line.asked.split("+")[0]: (line.outcome, line.requests, line.calls, line.output) for line in mine}

    assert of("first") == {"fast": ("ok", 1, 1, 4), "later": ("lost", 1, 1, 0)}
    assert of("several") == {"fast": ("ok", 1, 1, 9)}
    assert of("texts") == {"fast": ("ok", 1, 1, 4)}
    assert of("vectors") == {"embedding": ("ok", 1, 1, 0)}
    assert of("quorum") == {"fast": ("ok", 1, 1, 4), "late": ("ok", 1, 1, 4), "later": ("lost", 1, 1, 0)}
    assert of("deadline") == {"fast": ("ok", 1, 1, 4), "later": ("cancelled", 1, 1, 0)}
    assert of("typed") == {"typed": ("ok", 1, 3, 18)}
    assert of("wrong") == {"wrong": ("invalid", 1, 3, 18)}
    assert of("refusing") == {"refusing": ("failed", 1, 1, 0)}
    assert of("throttled") == {"throttled": ("failed", 1, 1, 0)}
    assert of("broken") == {"broken": ("failed", 1, 1, 0)}
    assert of("dropped") == {"dropped": ("failed", 1, 1, 0)}
    assert of("cut")["cut"][:3] == ("failed", 1, 1)
    assert of("rescued") == {"first": ("failed", 0, 1, 0), "second": ("failed", 0, 1, 0), "third": ("ok", 1, 1, 7)}
    assert of("some") == {"fast": ("ok", 1, 1, 4), "broken": ("failed", 1, 1, 0)} | of("rescued")
    assert of("left") == {"never": ("cancelled", 1, 1, 0)}
    usage = await site.gateways[0].command("usage", "--by", "model", "--since", "1d")
    by_model = {row["model"]: row for row in usage}
    assert by_model["rescued"]["requests"] == 2, by_model["rescued"]
    assert by_model["typed"]["output_tokens"] == 18, by_model["typed"]


async def leave(client: Client, user: str) -> None:
    """Of an answer that is not streamed."""
    began = time.monotonic()
    task = asyncio.create_task(client.call(body("never", user)))
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.wait([task])
    assert time.monotonic() - began < 10  # the provider would go on for ever
