"""Admin keys, and what each role may do."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.control.local import LocalControl
from gateway.control.types import Control, KeyChanges, LimitsChanges, Role, TeamChanges, UsageQuery
from tests.gateway.control.desk import NOW, Office

Call = Callable[[LocalControl, str], Awaitable[Any]]

READS: list[Call] = [
    lambda control, id: control.teams(),
    lambda control, id: control.team("t"),
    lambda control, id: control.keys(),
    lambda control, id: control.key(id),
    lambda control, id: control.admins(),
    lambda control, id: control.limits(),
    lambda control, id: control.usage(UsageQuery(since=0)),
    lambda control, id: control.log(),
    lambda control, id: control.audit(False),
]
CHANGES: list[Call] = [
    lambda control, id: control.create_team("u"),
    lambda control, id: control.change_team("t", TeamChanges(disabled=True)),
    lambda control, id: control.create_key("t"),
    lambda control, id: control.change_key(id, KeyChanges(disabled=True)),
    lambda control, id: control.rotate_key(id, 0),
    lambda control, id: control.set_limits("team", "t", LimitsChanges(rpm=1)),
    lambda control, id: control.clear_limits("team", "t"),
    lambda control, id: control.revoke_key(id),
    lambda control, id: control.audit(True),
]


async def prepared(office: Office) -> str:
    await office.control.create_team("t", limits=LimitsChanges(rpm=9))
    return (await office.control.create_key("t")).id


@pytest.mark.parametrize("role", ["viewer", "operator", "owner"])
async def test_what_a_role_may_do(office: Office, role: Role) -> None:
    id = await prepared(office)
    control = office.of(role, f"admin:{role}")
    for read in READS:
        await read(control, id)
    for change in CHANGES:
        if role == "viewer":
            async with office.refused("forbidden", "this takes the role operator; admin:viewer has the role viewer"):
                await change(control, id)
        else:
            await change(control, id)
    mine = await office.control.create_admin("own", "owner")
    changes: list[Callable[[], Awaitable[Any]]] = [
        lambda: control.create_admin("new", "owner"),
        lambda: control.create_admin("new2", role),
        lambda: control.revoke_admin(mine.id),
    ]
    for attempt in changes:
        if role == "owner":
            await attempt()
        else:
            async with office.refused("forbidden", f"this takes the role owner; admin:{role} has the role {role}"):
                await attempt()


async def test_a_role_that_is_none(office: Office) -> None:
    control: Any = office.of("root", "admin:x")  # type: ignore[arg-type]
    async with office.refused("forbidden", "this takes the role viewer"):
        await control.teams()


async def test_an_admin_key(office: Office) -> None:
    made = await office.control.create_admin("ann", "operator", expires=NOW + 5)
    assert made.key.startswith(f"ak-gw-{made.id}-")
    [view] = await office.control.admins()
    assert (view.id, view.name, view.role, view.created, view.expires) == (made.id, "ann", "operator", NOW, NOW + 5)
    async with office.refused("conflict", "there is an admin key named 'ann' already", "name"):
        await office.control.create_admin("ann", "viewer")
    revoked = await office.control.revoke_admin(made.id)
    assert revoked.revoked == NOW
    assert await office.control.revoke_admin(made.id) == revoked
    await office.control.create_admin("ann", "viewer")
    lines = await office.control.log(subject=made.id)
    assert [(line.action, line.kind) for line in lines] == [("revoke", "admin"), ("create", "admin")]


async def test_the_last_owner_stays(office: Office) -> None:
    first = await office.control.create_admin("first", "owner")
    await office.control.create_admin("op", "operator")
    brief = await office.control.create_admin("brief", "owner", expires=NOW + 5)
    office.now += 5
    async with office.refused("conflict", "is the last admin key of an owner", "id"):
        await office.control.revoke_admin(first.id)
    second = await office.control.create_admin("second", "owner")
    await office.control.revoke_admin(first.id)
    await office.control.revoke_admin(brief.id)
    async with office.refused("conflict", "is the last admin key of an owner"):
        await office.control.revoke_admin(second.id)


async def test_what_is_refused(office: Office) -> None:
    strange: Any = "god"
    async with office.refused("invalid", "role must be one of viewer, operator, owner", "role"):
        await office.control.create_admin("x", strange)
    async with office.refused("invalid", "lies in the past", "expires"):
        await office.control.create_admin("x", "viewer", expires=NOW)


def test_it_is_a_control(office: Office) -> None:
    control: Control = office.control
    assert control is office.control
