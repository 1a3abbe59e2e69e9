"""The instruments by themselves: what is measured with them is no better than they are."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.load import Client, Dead, Load
from tests.faults.processes import Provider, provider
from tests.faults.proxy import proxied


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Provider]:
    async with provider(tmp_path / "served.jsonl") as running:
        yield running


async def test_the_provider_enters_what_it_served(fake: Provider) -> None:
    client = Client(fake.port, "")
    answer = await client.call({"model": "m+p7+o3", "user": "whole"})
    assert answer.json["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert (await client.call({"model": "m+s503", "user": "failed"})).status == 503
    for model in ("m+drop", "m+cut"):
        with pytest.raises(Dead):
            await client.call({"model": model, "user": model})
    await fake.quiet()
    books = {one.user: (one.status, one.whole, one.reported, one.input, one.output) for one in fake.served()}
    assert books == {
        "whole": (200, True, True, 7, 3),
        "failed": (503, True, False, 0, 0),
        "m+drop": (200, False, False, 10, 0),
        "m+cut": (200, False, False, 10, 0),
    }
    await client.close()


async def test_the_provider_counts_the_pieces_that_it_wrote(fake: Provider) -> None:
    client = Client(fake.port, "")
    for user, options in (("asked", {"include_usage": True}), ("unasked", None)):
        asked = {"model": "m+o4", "user": user, "stream": True, "stream_options": options}
        async with client.stream(asked) as stream:
            events = [event async for event in stream.events()]
        assert events[-1] == b"[DONE]" and sum(b"tok " in event for event in events) == 4
        assert sum(b"prompt_tokens" in event for event in events) == (options is not None)
    async with client.stream({"model": "m+o50+g20", "user": "left", "stream": True}) as stream:
        async for _ in stream.events():
            break
    await fake.quiet()
    books = {one.user: (one.whole, one.reported, one.pieces) for one in fake.served()}
    assert books["asked"] == (True, True, 4) and books["unasked"] == (True, False, 4)
    assert books["left"][0] is False and 1 <= books["left"][2] <= 2


async def test_wrong_answers_come_first(fake: Provider) -> None:
    client = Client(fake.port, "")
    asked = {"model": "m+bad2", "user": "u"}
    texts = [(await client.call(asked)).json["choices"][0]["message"]["content"] for _ in range(3)]
    assert ["twelve" in text for text in texts] == [True, True, False]
    await client.close()


async def test_a_load_tells_what_came_of_it(fake: Provider) -> None:
    load = Load(Client(fake.port, ""), lambda user: {"model": "m+s429", "user": user}, 5, "l", fine=(429,))
    load.start()
    await asyncio.sleep(0.1)
    tally = await load.stop()
    assert tally.statuses[429] == tally.calls == len(fake.served()) > 5
    assert not tally.bad and set(tally.by_user.values()) == {429}


async def test_a_proxy_fails_as_it_is_told(fake: Provider) -> None:
    async with proxied(fake.port) as proxy:
        client = Client(proxy.port, "")
        asked = {"model": "m", "user": "u"}
        assert (await client.call(asked)).status == 200
        proxy.set("delay", 0.05)
        began = time.monotonic()
        assert (await client.call(asked)).status == 200
        assert time.monotonic() - began >= 0.1
        proxy.set("hole")
        waiting = asyncio.create_task(client.call(asked))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        proxy.set("pass")
        assert (await waiting).status == 200
        proxy.set("hole")
        waiting = asyncio.create_task(client.call(asked))
        await asyncio.sleep(0.05)
        proxy.reset()
        with pytest.raises(Dead):
            await waiting
        proxy.set("refuse")
        with pytest.raises(Dead):
            await client.call(asked)
        proxy.set("pass")
        assert (await client.call(asked)).status == 200
        waiting = asyncio.create_task(client.call({"model": "m+d200", "user": "half"}))
        await asyncio.sleep(0.05)
        proxy.half_close()
        with pytest.raises(Dead):
            await waiting
        await client.close()
