"""Limits are exact: with many gateways on one Redis, and in a process alone. The provider's books are the judge."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from msgspec import Struct

from tests.faults.gateway import PRICE_IN, PRICE_OUT
from tests.faults.judge import cost_of
from tests.faults.load import CHAT, Answer, Client, Dead
from tests.proofs.site import PROMPT, Site, body

THIGGLE = "/v1/completion"


class Wave(Struct):
    """What came of many calls at once: the answers, and how long it took."""

    admitted: list[Answer]
    refused: list[Answer]
    seconds: float


async def wave(
    site: Site, key: str, calls: int, name: str, path: str = CHAT, at_once: int = 10_000, **more: Any
) -> Wave:
    client, room = site.client(key), asyncio.Semaphore(at_once)
    began = time.monotonic()

    async def one(number: int) -> Answer:
        asked = body("m", f"{name}-{number}", **more)
        if path == THIGGLE:
            asked = {"model": "m", "user": asked["user"], "prompt": PROMPT, **more}
        async with room:
            return await client.call(asked, path)

    answers = await asyncio.gather(*[one(number) for number in range(calls)])
    await client.close()
    admitted = [answer for answer in answers if answer.status == 200]
    return Wave(admitted, [answer for answer in answers if answer.status != 200], time.monotonic() - began)


def of(site: Site, name: str) -> list[Any]:
    """What the provider served of a wave."""
    return [one for one in site.provider.served() if one.user.startswith(f"{name}-")]


TRIES = (10_000, 200, 50)
"""How many calls may be under way at once. A wave is sent again, with fewer, if any of it was degraded: where Redis is
not heard for a fifth of a second, since the machine has other work, nothing can be exact."""


def degraded(*found: Wave) -> bool:
    return any("x-gateway-degraded" in answer.headers for one in found for answer in (*one.admitted, *one.refused))


async def requests(site: Site, limit: int, calls: int, name: str = "rpm", tries: Sequence[int] = TRIES) -> Wave:
    """A key of ``limit`` requests a minute."""
    key = await site.gateways[0].new_key(rpm=limit)
    await known(site, key)
    # The call that made the key known counted as well, at each gateway: none of those was sent.
    found = await wave(site, key, calls, name, at_once=tries[0])
    if tries[1:] and degraded(found):
        return await requests(site, limit, calls, f"{name}.", tries[1:])
    assert found.seconds < 55, f"too slow to prove anything about a minute: {found.seconds:.0f} s"
    assert len(found.admitted) == limit, (len(found.admitted), statuses(found))
    await site.provider.quiet()
    assert len(of(site, name)) == limit
    for answer in found.refused:
        throttled(answer, "requests", limit)
    return found


async def tokens(
    site: Site, limit: int, calls: int, name: str = "tpm", written: int = 40, tries: Sequence[int] = TRIES
) -> Wave:
    """A key of ``limit`` tokens a minute: never more, and all of it can be had."""
    key = await site.gateways[0].new_key(tpm=limit)
    await known(site, key)
    found = await wave(site, key, calls, name, at_once=tries[0], max_tokens=written)
    several = await wave(site, key, calls // 4, f"{name}-several", at_once=tries[0], max_tokens=written, n=3)
    if tries[1:] and degraded(found, several):
        return await tokens(site, limit, calls, f"{name}.", written, tries[1:])
    for answer in (*found.refused, *several.refused):
        throttled(answer, "tokens", limit)
    assert found.admitted and found.refused
    last = await exhaust(site, key, name, written)
    throttled(last, "tokens", limit)
    used = sum([one.input + one.output for one in of(site, name)])
    wish = len(PROMPT) + 200 + written
    assert limit - wish < used <= limit, f"{used} tokens of {limit}"
    assert int(last.headers["x-ratelimit-remaining-tokens"]) == limit - used
    return found


async def dollars(
    site: Site, nano: int, calls: int, name: str = "usd", written: int = 40, tries: Sequence[int] = TRIES
) -> Wave:
    """A key with a budget: never more, in all dialects, and all of it can be had."""
    key = await site.gateways[0].new_key(budget_usd=nano / 1e9, period="day")
    await known(site, key)
    found = await wave(site, key, calls, name, at_once=tries[0], max_tokens=written)
    if tries[1:] and degraded(found):
        return await dollars(site, nano, calls, f"{name}.", written, tries[1:])
    for answer in found.refused:
        exhausted(answer)
    assert found.admitted and found.refused
    exhausted(await exhaust(site, key, name, written))
    # It is said in fewer bytes, for which there may yet be room.
    thiggle = await wave(site, key, 1, f"{name}-thiggle", THIGGLE, max_tokens=4 * written)
    assert [answer.status for answer in thiggle.refused] == [402], thiggle
    assert thiggle.refused[0].headers["x-should-retry"] == "false"
    used = sum([cost_of(one.input, one.output) for one in of(site, name)])
    wish = (len(PROMPT) + 200) * PRICE_IN + written * PRICE_OUT
    assert nano - wish < used <= nano, f"{used} of {nano} nano-dollars"
    return found


async def exhaust(site: Site, key: str, name: str, written: int) -> Answer:
    """One call after the other, until one is refused though nothing is under way and all is told: that refusal."""
    client, at_rest = site.client(key), False
    for number in count():
        answer = await client.call(body("m", f"{name}-after-{number}", max_tokens=written))
        if answer.status != 200 and at_rest:
            break
        at_rest = answer.status != 200
        if at_rest:
            await site.settled()
    await client.close()
    return answer


def statuses(found: Wave) -> dict[int, int]:
    seen: dict[int, int] = {}
    for answer in (*found.admitted, *found.refused):
        seen[answer.status] = seen.get(answer.status, 0) + 1
    return seen


def throttled(answer: Answer, kind: str, limit: int) -> None:
    said = (answer.status, answer.headers, answer.body)
    assert answer.status == 429, said
    assert 1 <= int(answer.headers["retry-after"]) <= 60, said
    exact = int(answer.headers["retry-after-ms"])
    assert 0 < exact <= 60_100, said
    assert 0 <= int(answer.headers["retry-after"]) * 1000 - exact < 1000 or exact > 60_000, said
    assert answer.headers[f"x-ratelimit-limit-{kind}"] == str(limit), said
    assert answer.headers["x-ratelimit-scope"] == "key", said
    assert answer.json["error"]["code"] == "rate_limit_exceeded", said


def exhausted(answer: Answer) -> None:
    said = (answer.status, answer.headers, answer.body)
    assert answer.status == 429, said
    assert answer.json["error"]["code"] == "insufficient_quota", said
    assert answer.headers["x-should-retry"] == "false", said
    assert "retry-after" not in answer.headers, said


async def known(site: Site, key: str, seconds: float = 5.0) -> None:
    """Waits until every gateway (and worker) knows the key: a call of an unknown model says so, and counts nowhere."""
    deadline = time.monotonic() + seconds
    for one in site.gateways:
        good = 0
        while good < (1 if one.workers == 1 else 8 * one.workers):
            client = Client(one.port, key)  # a new connection: perhaps another worker
            try:
                answer = await client.call({"model": "no-such-model", "messages": [{"role": "user", "content": "x"}]})
            except Dead:
                answer = None
            await client.close()
            good = good + 1 if answer is not None and answer.status == 404 else 0
            assert time.monotonic() < deadline, f"gateway {one.port} does not know the key: {answer}"
            if not good:
                await asyncio.sleep(0.02)


async def places(site: Site, limit: int, calls: int, name: str = "places") -> int:
    """Never more at once than a key has places, and no place is lost: returns how many were served."""
    key = await site.gateways[0].new_key(concurrent=limit)
    await known(site, key)
    for turn in range(3):
        found = await wave(site, key, calls, f"{name}-{turn}")
        assert len(found.admitted) >= limit, statuses(found)
        for answer in found.refused:
            said = (answer.status, answer.headers, answer.body)
            assert (answer.status, answer.headers["x-gateway-limit"]) == (429, "concurrent"), said
            assert int(answer.headers["retry-after"]) >= 1, said
    served = of(site, name)
    moments = sorted([(one.began, 1) for one in served] + [(one.ended, -1) for one in served])
    at_once = most = 0
    for _, change in moments:
        at_once += change
        most = max(most, at_once)
    assert most <= limit, f"{most} at once where {limit} may be"
    await site.settled()
    found = await wave(site, key, limit, f"{name}-last")
    assert len(found.admitted) == limit, statuses(found)
    return len(served)


async def scopes(site: Site, calls: int, team_rpm: int = 50, key_rpm: int = 40, user_rpm: int = 12) -> None:
    """A team of two keys and five users, each with a limit, and what binds is the sum: exact in every one. ``user_rpm``
    is what ``routing.yaml`` says."""
    first, team = site.gateways[0], f"scopes{calls}"
    await first.admin("teams", {"name": team, "rpm": team_rpm})
    keys = [await first.new_key(team, rpm=key_rpm) for _ in range(2)]
    for key in keys:
        await known(site, key)

    async def one(number: int) -> tuple[int, int, Answer]:
        client, user = site.client(keys[number % 2]), number % 5
        answer = await client.call(body("m", f"scopes-{user}"))
        await client.close()
        return number % 2, user, answer

    answers = await asyncio.gather(*[one(number) for number in range(calls)])
    admitted = [(key, user) for key, user, answer in answers if answer.status == 200]
    assert len(admitted) == team_rpm, len(admitted)
    for which in range(2):
        assert sum([key == which for key, _ in admitted]) <= key_rpm
    for which in range(5):
        assert sum([user == which for _, user in admitted]) <= user_rpm
    binding = {answer.headers["x-ratelimit-scope"] for _, _, answer in answers if answer.status == 429}
    assert "team" in binding and binding <= {"team", "key", "user"}, binding


# ------------------------------------------------------------------ all or none


async def fan_out(site: Site, name: str = "fan") -> None:
    """Four models where three fit: refused whole, whatever binds, and nothing stays reserved."""
    four, three = ["a", "b", "c", "d"], ["a", "b", "c"]
    first = site.gateways[0]
    poor = await first.new_key(budget_usd=0.000000001, period="day")
    await known(site, poor)
    price = await wish(site, poor, four)
    every: dict[str, dict[str, Any]] = {
        "usd": {"budget_usd": (price * 3 // 4 + 7) / 1e9, "period": "day"},
        "rpm": {"rpm": 3},
        "concurrent": {"concurrent": 3},
    }
    for kind, limits in every.items():
        key = await first.new_key(**limits)
        await known(site, key)
        client = site.client(key)
        asked = f"{name}-{kind}"
        refusals = await asyncio.gather(
            *[client.call(body(four, f"{asked}-four-{number}", max_tokens=5)) for number in range(20)]
        )
        assert {answer.status for answer in refusals} == {429}, refusals[0]
        assert of(site, asked) == []
        report = await site.settled()
        assert not report["drifts"]
        answer = await client.call(body(three, f"{asked}-three", max_tokens=5))
        assert answer.status == 200, (kind, answer)
        assert [choice["model"] for choice in answer.json["choices"]] == three
        assert len(of(site, asked)) == 3
        await client.close()


async def wish(site: Site, key: str, models: list[str]) -> int:
    """What a call may cost, in nano-dollars, as its refusal says."""
    client = site.client(key)
    answer = await client.call(body(models, "wish-0", max_tokens=5))
    await client.close()
    assert answer.status == 429, answer
    text = answer.json["error"]["message"].partition("it may cost $")[2].split()[0].rstrip(")")
    return round(float(text.replace(",", "")) * 1e9)
