"""routing.yaml is changed while a gateway serves, as a process of its own, with traffic and real signals."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.gateway import KEY, SERVER, Gateway, routing, running
from tests.faults.judge import ledger
from tests.faults.load import Client, Load
from tests.faults.processes import Provider, provider, until
from tests.servers.redis import RedisServer

COMPLETION = "/v1/completion"
MODELS: dict[str, str | tuple[str, ...]] = {"quick": "q", "slow": "s+d1500", "stream": "t+o40+g40"}

SHARED = pytest.mark.asyncio(loop_scope="module")
"""Of the tests whose gateway is the same: it lives in the loop in which it was started."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


class Reloaded(Gateway):
    """``since``: how long its log was when this test began."""

    since = 0

    @property
    def told(self) -> str:
        return self.log.read_text()[self.since :]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Reloaded, Provider]]:
    folder = tmp_path_factory.mktemp("reloaded")
    async with provider(folder / "served") as playing:
        one = Reloaded(folder, routing(playing.url, MODELS))
        async with running(one):
            yield one, playing


@pytest_asyncio.fixture(loop_scope="module")
async def serves(started: tuple[Reloaded, Provider]) -> tuple[Reloaded, Provider]:
    """One gateway for whoever only changes its file, which is as it was at the start of each test."""
    one, playing = started
    one.since = len(one.log.read_text())
    put(one.folder, routing(playing.url, MODELS))
    hup(one)
    await said(one, "routing.yaml")
    one.since = len(one.log.read_text())
    return started


@asynccontextmanager
async def gateway(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Reloaded, Provider]]:
    async with provider(tmp_path / "served") as playing:
        one = Reloaded(tmp_path, routing(playing.url, MODELS), **settings)
        async with running(one):
            yield one, playing


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "prompt": "hi", **more}


def put(folder: Path, text: str) -> None:
    """As careful editors do, and deployments: never half a file."""
    new = folder / "routing.new"
    new.write_text(text)
    new.replace(folder / "routing.yaml")


async def said(one: Reloaded, words: str, times: int = 1, seconds: float = 5.0) -> None:
    async def is_there() -> bool:
        return one.told.count(words) >= times

    await until(is_there, seconds, f"'{words}' is not said {times} times:\n{one.tail()}")


def hup(one: Gateway) -> None:
    assert one.process is not None
    one.process.send_signal(signal.SIGHUP)


@SHARED
async def test_a_changed_file_is_found_and_told_by_its_changes(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    client = Client(one.port, KEY)
    assert (await client.call(asked("new"), COMPLETION)).status == 404
    more = {**MODELS, "new": "n"}
    one.config.write_text(routing(playing.url, more, limits="{team: {rpm: 900}}"))
    await said(one, "models.new: added")
    await said(one, "limits.team.rpm: not set -> 900")
    answer = await client.call(asked("new"), COMPLETION)
    assert (answer.status, answer.headers["x-ratelimit-limit-requests"]) == (200, "900")
    text = one.log.read_text()
    assert "sk-provider" not in text and playing.url not in text
    await client.close()


@SHARED
async def test_two_changes_within_a_second_are_both_found(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    client = Client(one.port, KEY)
    put(one.folder, routing(playing.url, {**MODELS, "aa": "n"}))
    await said(one, "models.aa: added")
    put(one.folder, routing(playing.url, {**MODELS, "bb": "n"}))  # of the same size
    await said(one, "models.bb: added")
    assert (await client.call(asked("aa"), COMPLETION)).status == 404
    assert (await client.call(asked("bb"), COMPLETION)).status == 200
    await client.close()


async def test_a_link_that_leads_elsewhere_is_another_file(tmp_path: Path) -> None:
    """As Kubernetes replaces a ConfigMap: routing.yaml -> ..data/routing.yaml, and ..data -> ..2024."""
    async with provider(tmp_path / "served") as playing:
        one = Reloaded(tmp_path, routing(playing.url, MODELS))
        for number, models in enumerate((MODELS, {**MODELS, "new": "n"})):
            (tmp_path / f"..{number}").mkdir()
            (tmp_path / f"..{number}" / "routing.yaml").write_text(routing(playing.url, models))
            os.utime(tmp_path / f"..{number}" / "routing.yaml", (1, 1))
        (tmp_path / "..data").symlink_to("..0")
        (tmp_path / "routing.yaml").unlink()
        (tmp_path / "routing.yaml").symlink_to("..data/routing.yaml")
        async with running(one):
            await asyncio.sleep(1.5)
            assert "is read again" not in one.told
            (tmp_path / "..next").symlink_to("..1")
            (tmp_path / "..next").replace(tmp_path / "..data")
            await said(one, "models.new: added")


@SHARED
async def test_a_broken_file_changes_nothing_and_is_told_once(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    client = Client(one.port, KEY)
    good = routing(playing.url, MODELS)
    put(one.folder, good.replace("adapter: gpt", "adapter: gtp") + "modles: {}\n")
    await said(one, "did you mean 'gpt'?")
    await said(one, "modles: unknown section")
    await asyncio.sleep(2.5)
    assert one.told.count("did you mean 'gpt'?") == 1
    assert (await client.call(asked("quick"), COMPLETION)).status == 200
    put(one.folder, good.replace("model: q,", "model: q, tokenizer: nowhere.gguf,"))
    await said(one, "models.quick.targets[0].tokenizer: there is no file nowhere.gguf")
    one.config.unlink()
    await said(one, "routing.yaml: No such file")
    put(one.folder, good)
    await said(one, "it says the same")
    assert (await client.call(asked("quick"), COMPLETION)).status == 200
    await client.close()


async def test_what_is_removed_is_gone_for_new_calls_while_old_ones_end(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (one, playing), provider(tmp_path / "others") as other:
        put(
            tmp_path,
            routing(playing.url, MODELS).replace(f'llama, base_url: "{playing.url}"', f'llama, base_url: "{other.url}"')
            + "  far: {targets: [{provider: open, model: f+o40+g40}]}\n",
        )
        await said(one, "models.far: added")
        client = Client(one.port, KEY)
        waiting = asyncio.create_task(client.call(asked("slow"), COMPLETION))
        async with client.stream(asked("far", stream=True), COMPLETION) as stream:
            events = stream.events()
            await anext(events)
            put(tmp_path, routing(playing.url, {"quick": "q"}).replace("  open:", "  # open:"))
            await said(one, "models.far: removed")
            await said(one, "providers.open: removed")
            assert connections(one, other.port) == 1
            for model in ("slow", "far", "stream"):
                assert (await client.call(asked(model), COMPLETION)).status == 404
            assert (await client.call(asked("quick"), COMPLETION)).status == 200
            assert [event async for event in events][-1] == b"[DONE]"
        assert (await waiting).status == 200

        async def closed() -> bool:
            return connections(one, other.port) == 0

        await until(closed, 2, "the connection to a provider that is gone stays")
        assert connections(one, playing.port) > 0
        await client.close()


def connections(one: Gateway, port: int) -> int:
    """Of the gateway's to this port, those that are open."""
    assert one.process is not None
    lines = Path(f"/proc/{one.process.pid}/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    own = {
        link.removeprefix("socket:[").removesuffix("]")
        for fd in Path(f"/proc/{one.process.pid}/fd").iterdir()
        if (link := os.readlink(fd)).startswith("socket:")
    }
    return sum(int(field[2].rpartition(":")[2], 16) == port and field[9] in own for field in fields)


@pytest.mark.parametrize(("workers", "times"), [(1, 100), (2, 50)])
async def test_many_reloads_under_traffic_and_no_call_fails(
    tmp_path: Path, redis: RedisServer, workers: int, times: int
) -> None:
    more = {"workers": workers, "redis_url": redis.url} if workers > 1 else {}
    async with gateway(tmp_path, **more) as (one, playing):
        assert one.process is not None
        client = Client(one.port, KEY)
        load = Load(client, lambda user: {"model": "quick", "user": user, "messages": []} | PROMPT, 8, "r")
        streams = Load(
            Client(one.port, KEY), lambda user: asked("stream", stream=True) | {"user": user} | PROMPT, 3, "s"
        )
        load.start()
        streams.start()
        await asyncio.sleep(1)  # what traffic takes is taken
        memory = resident(one)
        for number in range(times):
            other = {**MODELS, f"m{number}": "n"}
            put(tmp_path, routing(playing.url, other, limits=f"{{team: {{rpm: {100_000 + number}}}}}"))
            hup(one)
            await said(one, f"models.m{number}: added", workers)
        tally, streamed = await load.stop(), await streams.stop()
        assert tally.calls > 50 and streamed.calls > 3
        for one_of in (tally, streamed):
            assert (set(one_of.statuses), one_of.dead, one_of.bad) == ({200}, 0, [])
        assert one.process.returncode is None and "Traceback" not in one.log.read_text()
        assert resident(one) < memory + workers * 15_000
        await one.stop()
        assert len(await ledger(one.state)) == tally.calls + streamed.calls


PROMPT = {"messages": [{"role": "user", "content": "hi"}]}


def resident(one: Gateway) -> int:
    """Kilobytes of the gateway and its workers."""
    assert one.process is not None
    pids = [one.process.pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == one.process.pid:
                    pids.append(int(entry.name))
            except FileNotFoundError:
                continue
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 for pid in pids)


async def test_sighup_reaches_all_workers_and_restarts_none(tmp_path: Path, redis: RedisServer) -> None:
    async with gateway(tmp_path, workers=3, redis_url=redis.url) as (one, _):
        for _ in range(2):
            hup(one)
            await asyncio.sleep(0.3)
        await said(one, "is as it was", 4, 20)  # one that was still starting may have heard both as one
        assert "worker has died" not in one.log.read_text()


@SHARED
async def test_what_needs_a_restart_is_said(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    put(one.folder, routing(playing.url, MODELS, ledger="{on_full: allow}"))
    await said(one, "needs a restart: ledger: holds from the next start")


@SHARED
async def test_what_holds_again_needs_no_restart(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    put(one.folder, routing(playing.url, MODELS, ledger="{on_full: allow}"))
    await said(one, "ledger.on_full: refuse -> allow")
    await said(one, "needs a restart: ledger")
    put(one.folder, routing(playing.url, {**MODELS, "new": "n"}, ledger="{on_full: allow}"))
    await said(one, "models.new: added")
    await said(one, "needs a restart: ledger", times=2)
    put(one.folder, routing(playing.url, MODELS))
    await said(one, "ledger.on_full: allow -> refuse")
    put(one.folder, routing(playing.url, {**MODELS, "other": "n"}))
    await said(one, "models.other: added")
    assert one.told.count("needs a restart") == 2


@SHARED
async def test_a_model_that_loses_its_key_is_told(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    put(one.folder, routing(playing.url, MODELS).replace("P_KEY", "P_KEYS"))
    await said(one, "models.quick: not offered: P_KEYS is not set")
    put(one.folder, routing(playing.url, {**MODELS, "new": "n"}).replace("P_KEY", "P_KEYS"))
    await said(one, "models.new: not offered: P_KEYS is not set")
    assert one.told.count("models.quick: not offered") == 1


@SHARED
async def test_bounds_of_the_worker_follow(serves: tuple[Reloaded, Provider]) -> None:
    one, playing = serves
    client = Client(one.port, KEY)
    put(
        one.folder,
        routing(playing.url, MODELS).replace(SERVER, "server: {concurrency: 1, queue: 0, max_body_bytes: 2000}"),
    )
    await said(one, "server.concurrency: 4096 -> 1")
    waiting = asyncio.create_task(client.call(asked("slow"), COMPLETION))
    await asyncio.sleep(0.2)
    assert (await client.call(asked("quick"), COMPLETION)).status == 503
    assert (await waiting).status == 200
    assert (await client.call(asked("quick", user="u" * 3000), COMPLETION)).status == 413
    await client.close()
