"""The tables of the record.

Times are seconds since 1970, in the ledger microseconds; hours and days are counted since 1970, in UTC. Money is whole
nano-dollars. Lists and metadata are JSON texts. The primary keys of the roll-ups begin with time: what is written
together lies together, and a span of time is read in one piece.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

UNLIMITED = -1
"""In a limit's column: no limit, whatever ``routing.yaml`` says."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits in both; the only type that SQLite counts up by itself."""


def count(name: str) -> "Column[int]":
    return Column(name, BigInteger, nullable=False)


teams = Table(
    "teams",
    metadata,
    Column("name", String(64), primary_key=True),
    count("created"),
    Column("disabled", Boolean, nullable=False),
    Column("models", Text),
    Column("metadata", Text, nullable=False),
    Column("tags", Text, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("team", String(64), ForeignKey("teams.name"), nullable=False),
    Column("name", String(64), nullable=False),
    count("created"),
    Column("expires", BigInteger),
    Column("disabled", Boolean, nullable=False),
    Column("revoked", BigInteger),
    Column("models", Text),
    Column("metadata", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Index(None, "team", "name"),
    sqlite_with_rowid=False,
)

key_secrets = Table(
    "key_secrets",
    metadata,
    Column("digest", String(64), primary_key=True),  # hex SHA-256 of the whole key
    Column("key", String(64), ForeignKey("keys.id"), nullable=False),
    count("created"),
    Column("expires", BigInteger),  # None is the key's present secret
    Index(None, "key", "expires", "digest"),  # all that is read of a secret, key by key
    sqlite_with_rowid=False,
)

admins = Table(
    "admins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    count("created"),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
)

limits = Table(
    "limits",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    Column("tpd", BigInteger),
    Column("concurrent", BigInteger),
    Column("usd_day", BigInteger),
    Column("usd_month", BigInteger),
    Column("soft_usd_day", BigInteger),
    Column("soft_usd_month", BigInteger),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    count("at"),
    Column("actor", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Index(None, "subject", "id"),
    sqlite_autoincrement=True,  # an id is never used again: whoever follows the changes would miss one
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", Text, primary_key=True),
    count("at"),
    Column("request", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    count("requests"),
    count("calls"),
    count("input"),
    count("output"),
    Column("cached", BigInteger),
    Column("cache_write", BigInteger),
    Column("reasoning", BigInteger),
    Column("cost", BigInteger),
    Column("estimated", Boolean, nullable=False),
    count("duration"),
    Column("first_token", BigInteger),
    sqlite_with_rowid=False,  # ids grow with time, so rows are appended either way
)
"""The columns are the fields of ``gateway.ledger.entry.Entry``, in their order."""

COUNTS = (
    "requests",
    "calls",
    "failed",
    "input",
    "output",
    "cached",
    "cache_write",
    "reasoning",
    "cost",
    "unpriced",
    "estimated",
)
"""What the roll-ups sum."""


def rollup(name: str, unit: str, *dimensions: str) -> Table:
    return Table(
        name,
        metadata,
        Column(unit, Integer, primary_key=True, autoincrement=False),
        *(Column(dimension, Text, primary_key=True) for dimension in dimensions),
        *map(count, COUNTS),
        sqlite_with_rowid=False,
    )


usage_hours = rollup("usage_hours", "hour", "team", "key", "model", "target")
usage_days = rollup("usage_days", "day", "team", "key", "model", "target")
usage_teams = rollup("usage_teams", "day", "team", "model", "target")
"""Without keys: a team may have thousands."""
usage_models = rollup("usage_models", "day", "model", "target")
"""Without teams, for the whole organisation's reports."""

usage_users = Table(
    "usage_users",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("team", Text, primary_key=True),
    Column("user", Text, primary_key=True),
    count("requests"),
    count("tokens"),
    count("cost"),
    sqlite_with_rowid=False,
)
