"""What Redis says that is no answer to what was asked: nobody is left waiting, and nobody gets another's."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.limits.types import StoreDown
from gateway.store.redis.batches import Batches, Unanswered

NOW = 1_790_000_000_000


class Saying:
    """A client whose server answers every script with this."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def start(self, *command: Any) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, self.answer)
        return future

    def soon(self, start: Callable[[], None], first: bool = False) -> None:
        asyncio.get_running_loop().call_soon(start)

    def hang_up(self) -> None:
        pass


def packed(*parts: Any) -> bytes:
    return msgspec.msgpack.encode(parts)


@pytest.mark.parametrize(
    "answer",
    [
        packed(NOW, "epoch", [1, 2], 0),
        packed(NOW, "epoch", [1, 2, 3, 4], 0),
        packed(NOW, "epoch", 3, 0),
        packed(NOW, "epoch", {"1": 2}, 0),
        packed(None, "epoch", [1, 2, 3], 0),
        packed(NOW, 5, [1, 2, 3], 0),
        packed(NOW, "epoch", [1, 2, 3]),
        b"\xff" * 40,
        b"",
        "text",
        None,
        7,
        [1, 2],
    ],
)
async def test_what_is_no_answer(answer: Any) -> None:
    loop, raised, failures = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _, context: raised.append(context))

    def answered(epoch: str | None, at: int, before: int) -> None:
        raise AssertionError("it was taken for an answer")

    client: Any = Saying(answer)
    batches = Batches(client, 0.2, answered, lambda: failures.append(1))
    asked = [batches.submit(("counts", [f"key{number}"])) for number in range(3)]
    async with asyncio.timeout(2):
        came = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in came] == [Unanswered] * 3 and issubclass(Unanswered, StoreDown)
    assert failures == [1] and raised == []
    assert "asked" in str(came[0]) and batches.reason
    await batches.close()


async def test_an_answer_to_each() -> None:
    client: Any = Saying(packed(NOW, False, [1, "b", None], 0))
    told: list[Any] = []
    batches = Batches(client, 0.2, lambda *words: told.append(words), lambda: told.append("failed"))
    asked = [batches.submit(("counts", [f"key{number}"])) for number in range(3)]
    assert await asyncio.gather(*asked) == [(NOW, 1), (NOW, "b"), (NOW, None)]
    assert told == [(None, NOW, 0)]
    await batches.close()


class Deaf(Saying):
    """A client that goes on although it was cancelled, as redis-py does in the midst of a timeout of its own."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    def start(self, *command: Any) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._go_on())

    async def _go_on(self) -> Any:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await self.done.wait()
        return packed(NOW, "epoch", [1], 0)


async def test_nobody_waits_for_a_client_that_does_not_end() -> None:
    client: Any = Deaf()
    told: list[Any] = []
    batches = Batches(client, 0.02, lambda *words: told.append(words), lambda: told.append("failed"))
    for number in range(2):
        with pytest.raises(Unanswered, match="in time"):
            await asyncio.wait_for(batches.submit(("counts", [f"key{number}"])), 5)
    closing = asyncio.create_task(batches.close())
    await asyncio.sleep(0.02)
    assert told == ["failed"] * 2 and not closing.done()  # it would be closed under way
    client.done.set()
    await closing
    assert told == ["failed"] * 2
