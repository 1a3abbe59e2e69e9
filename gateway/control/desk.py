"""What all parts of a Control stand on."""

from gateway.control.names import is_name, shown
from gateway.control.types import Actor, AdminView, ControlError, KeyView, TeamView
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.reader import Reader
from gateway.store.sql.record import Record


class Desk:
    """The record, as one actor may use it."""

    def __init__(self, record: Record, ledger: LedgerStore, actor: Actor) -> None:
        self._record = record
        self._ledger = ledger
        self._actor = actor


async def known_team(reader: Reader, name: str, field: str = "team") -> TeamView:
    """Raises ControlError. What can be no name is not looked for."""
    found = await reader.team(name) if is_name(name) else None
    if found is None:
        raise ControlError("not_found", f"there is no team {shown(name)}", field)
    return found


async def known_key(reader: Reader, id: str, field: str = "id") -> KeyView:
    """Raises ControlError."""
    found = await reader.key(id) if is_name(id) else None
    if found is None:
        raise ControlError("not_found", f"there is no key {shown(id)}; give the id that `keys list` shows", field)
    return found


async def known_admin(reader: Reader, id: str) -> AdminView:
    """Raises ControlError."""
    found = await reader.admin(id) if is_name(id) else None
    if found is None:
        raise ControlError("not_found", f"there is no admin key {shown(id)}", "id")
    return found
