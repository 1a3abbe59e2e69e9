"""``gateway cache`` where no gateway is asked: on Redis itself, and without."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.store.redis.address import parse
from gateway.store.redis.cache import RedisCache
from gateway.store.redis.opening import open_client
from tests.gateway.commands.conftest import MAIN
from tests.gateway.commands.test_commands import refused, said
from tests.servers.redis import RedisServer

Direct = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Direct:
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **environ: str) -> Result:
        return CliRunner().invoke(MAIN, [*words, "--state-dir", str(tmp_path)], env=environ, prog_name="gateway")

    return run


async def fill(url: str) -> None:
    client = open_client(parse(url))
    cache = RedisCache(client, 1 << 20, lambda: True)
    for team in ("t", "u"):
        for model in ("a", "b"):
            cache.keep(team, model, "1" * 64, b"x", 60)
    while cache.under_way:  # noqa: ASYNC110 - nobody is told
        await asyncio.sleep(0.001)
    await client.aclose()


def test_on_redis(direct: Direct, server: RedisServer) -> None:
    url = {"GATEWAY_REDIS_URL": server.url}
    assert direct("teams", "create", "t", **url).exit_code == 0
    asyncio.run(fill(server.url))
    rows = said(direct("cache", "stats", "--json", **url))
    assert [(row["team"], row["model"], row["entries"]) for row in rows] == [
        ("t", "a", 1), ("t", "b", 1), ("u", "a", 1), ("u", "b", 1),
    ]  # fmt: skip
    assert said(direct("cache", "stats", "--team", "t", "--model", "a", "--json", **url)) == rows[:1]
    assert said(direct("cache", "purge", "--team", "t", "--model", "a", "--json", **url))["entries"] == 1
    assert direct("cache", "purge", **url).stdout == "3 kept answers are gone\n"
    assert direct("cache", "stats", **url).stdout == "no kept answers\n"
    log = said(direct("audit", "log", "--json"))
    assert [(line["action"], line["kind"], line["subject"]) for line in log[:2]] == [
        ("purge", "cache", "*/*"),
        ("purge", "cache", "t/a"),
    ]
    assert log[1]["after"] == {"team": "t", "model": "a", "entries": 1}
    assert log[1]["actor"].startswith("cli:")
    assert "entries: 1" in direct("audit", "log", "--subject", "t/a").stdout


@pytest.mark.parametrize("action", ["stats", "purge"])
def test_what_cannot_be(direct: Direct, action: str) -> None:
    assert direct("teams", "create", "t").exit_code == 0
    assert "there is no team 'x'" in refused(direct("cache", action, "--team", "x"))
    assert "there is no team ''" in refused(direct("cache", action, "--team", ""))
    assert "model must be the name of a model" in refused(direct("cache", action, "--model", "a b"))
    without = refused(direct("cache", action, "--team", "t"))
    assert "kept in the gateway's own process" in without and "--url http://127.0.0.1:8080" in without
    away = refused(direct("cache", action, "--team", "t", GATEWAY_REDIS_URL="redis://127.0.0.1:1"))
    assert away.startswith("Redis cannot be asked") and "GATEWAY_REDIS_URL" in away
