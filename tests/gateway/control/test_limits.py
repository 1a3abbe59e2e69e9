"""Limits over what routing.yaml says."""

import asyncio
from typing import Any

import pytest

from gateway.config.model import AllLimits, LimitsConfig
from gateway.config.rules import views_of
from gateway.control.local import LocalControl
from gateway.control.types import Actor, LimitsChanges, LimitsView
from gateway.limits.types import NANO, SCOPES, Limits, Scope
from tests.gateway.control.desk import Office

MOST = {"rpm": 10**12, "tpm": 10**12, "tpd": 10**12, "concurrent": 10**6} | dict.fromkeys(
    ("usd_day", "usd_month", "soft_usd_day", "soft_usd_month"), 10**9 * NANO
)


async def subjects(office: Office) -> dict[Scope, str]:
    await office.control.create_team("t")
    key = await office.control.create_key("t")
    return {"organisation": "", "team": "t", "key": key.id, "user": "t/ann/ä@b.c", "model": "meta-llama/Llama-3:free"}


async def test_every_scope(office: Office) -> None:
    named = await subjects(office)
    assert tuple(named) == SCOPES
    for scope, subject in named.items():
        view = await office.control.set_limits(scope, subject, LimitsChanges(rpm=7, usd_day="unlimited"))
        assert view == LimitsView(scope=scope, subject=subject, limits=Limits(rpm=7, usd_day=-1))
    views = await office.control.limits()
    assert {view.scope: view.subject for view in views} == named
    assert (await office.control.team("t")).limits == Limits(rpm=7, usd_day=-1)
    assert (await office.control.key(named["key"])).limits == Limits(rpm=7, usd_day=-1)
    for scope, subject in named.items():
        await office.control.clear_limits(scope, subject)
        async with office.refused("not_found", "there are no limits of", "subject"):
            await office.control.clear_limits(scope, subject)
    assert await office.control.limits() == []
    lines = await office.control.log(subject="user/t/ann/ä@b.c")
    assert [(line.action, line.before, line.after) for line in lines] == [
        ("clear", {"rpm": 7, "usd_day": -1}, None),
        ("set", None, {"rpm": 7, "usd_day": -1}),
    ]


async def test_what_routing_yaml_says_is_told_with_the_rest(office: Office) -> None:
    await office.control.create_team("t")
    await office.control.set_limits("team", "t", LimitsChanges(rpm=7))
    said = AllLimits(
        organisation=LimitsConfig(usd_per_month=1.5), key=LimitsConfig(rpm=60), teams={"t": LimitsConfig(rpm=9)}
    )
    control = LocalControl(office.record, office.ledger, Actor("cli:test", "viewer"), configured=lambda: views_of(said))
    found = [(view.scope, view.subject, view.limits, view.source) for view in await control.limits()]
    assert found == [
        ("organisation", "", Limits(usd_month=1_500_000_000), "routing.yaml"),
        ("key", "*", Limits(rpm=60), "routing.yaml"),
        ("team", "t", Limits(rpm=9), "routing.yaml"),
        ("team", "t", Limits(rpm=7), "database"),
    ]


async def test_what_is_given_is_changed(office: Office) -> None:
    await subjects(office)
    await office.control.set_limits("team", "t", LimitsChanges(rpm=1, tpm=2, tpd=3))
    view = await office.control.set_limits("team", "t", LimitsChanges(rpm=None, tpm=9))
    assert view.limits == Limits(tpm=9, tpd=3)
    await office.control.set_limits("team", "t", LimitsChanges(tpm=None, tpd=None))
    assert await office.control.limits() == []


@pytest.mark.parametrize("name", MOST)
async def test_bounds(office: Office, name: str) -> None:
    for amount in (1, MOST[name]):
        view = await office.control.set_limits("organisation", "", LimitsChanges(**{name: amount}))
        assert getattr(view.limits, name) == amount
        assert await office.control.limits() == [view]
    for wrong, message in ((0, "above 0"), (-1, "above 0"), (-(10**30), "above 0"), (MOST[name] + 1, "at most")):
        async with office.refused("invalid", f"^{name} must be {message}", name):
            await office.control.set_limits("organisation", "", LimitsChanges(**{name: wrong}))
    anything: list[Any] = [True, 1.5, "5", "infinite", []]
    for strange in anything:
        async with office.refused("invalid", f"^{name} must be ", name):
            await office.control.set_limits("organisation", "", LimitsChanges(**{name: strange}))


async def test_soft_warns_before_hard(office: Office) -> None:
    def changes(**given: Any) -> Any:
        return office.control.set_limits("organisation", "", LimitsChanges(**given))

    await changes(usd_day=10, soft_usd_day=10, usd_month=5, soft_usd_month=None)
    async with office.refused("invalid", "soft_usd_day must not be above usd_day", "soft_usd_day"):
        await changes(usd_day=9)
    async with office.refused("invalid", "soft_usd_month must not be above usd_month", "soft_usd_month"):
        await changes(soft_usd_month=6)
    await changes(usd_day="unlimited")
    await changes(soft_usd_day=11)


BAD: list[tuple[Any, str, str, str]] = [
    ("planet", "x", "scope must be one of organisation, team, key, user, model", "scope"),
    ("organisation", "x", "the organisation has no name", "subject"),
    ("user", "ann", "subject must be team/user", "subject"),
    ("user", "t/", "user is 1 to 128 printable", "subject"),
    ("user", "t/" + "a" * 129, "user is 1 to 128 printable", "subject"),
    ("user", "t/a\r\nX: y", "user is 1 to 128 printable", "subject"),
    ("user", "t/\ud800", "user is 1 to 128 printable", "subject"),
    ("model", "", "the name of a model", "subject"),
    ("model", "a b", "the name of a model", "subject"),
    ("model", "'; DROP TABLE limits", "the name of a model", "subject"),
    ("model", "gpt-*", "the name of a model", "subject"),
]


@pytest.mark.parametrize(("scope", "subject", "message", "field"), BAD)
async def test_what_is_no_subject(office: Office, scope: Any, subject: str, message: str, field: str) -> None:
    await subjects(office)
    async with office.refused("invalid", message, field):
        await office.control.set_limits(scope, subject, LimitsChanges(rpm=1))
    async with office.refused("invalid", message, field):
        await office.control.clear_limits(scope, subject)


@pytest.mark.parametrize(("scope", "subject"), [("team", "u"), ("key", "k"), ("user", "u/ann"), ("team", "\0")])
async def test_who_is_not_there(office: Office, scope: Scope, subject: str) -> None:
    await subjects(office)
    async with office.refused("not_found", "there is no (team|key)", "subject"):
        await office.control.set_limits(scope, subject, LimitsChanges(rpm=1))


async def test_changes_at_once_lose_nothing(office: Office) -> None:
    await subjects(office)
    names = list(MOST)
    await asyncio.gather(
        *(office.control.set_limits("team", "t", LimitsChanges(**{name: 5})) for name in names),
    )
    assert (await office.control.team("t")).limits == Limits(*[5] * 8)
    assert len(await office.control.log(subject="team/t")) == 8
