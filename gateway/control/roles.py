"""Who may do what. Nobody raises their own role: only owners make admin keys, and an owner can do no more than that."""

from gateway.control.types import Actor, ControlError, Role

RANK: dict[Role, int] = {"viewer": 0, "operator": 1, "owner": 2}


def require(actor: Actor, role: Role) -> None:
    """Raises ControlError."""
    if RANK.get(actor.role, -1) < RANK[role]:
        raise ControlError("forbidden", f"this takes the role {role}; {actor.name} has the role {actor.role}")
