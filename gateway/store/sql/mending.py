"""Entries that no database could take: what a caller or a provider has said may be any text and any number.

One of them must not keep the others out of the ledger for ever. Looked at are groups, since there are fewer.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from gateway.ledger.entry import Entry
from gateway.store.sql.rollups import Rolled

LONGEST = 512
"""Bytes of a name. PostgreSQL indexes no more than 2,700 of all names together."""
MOST = 10**15
"""Of tokens, or nano-dollars, in one entry: a million dollars."""


def is_sound(entries: Sequence[Entry], rolled: Rolled) -> bool:
    for _, groups in rolled.tables():
        for place, sums in groups.items():
            if min(sums) < 0 or max(sums) > MOST:
                return False
            if not all(isinstance(name, int) or is_name(name) for name in place):
                return False
    ids = "".join([entry.id + entry.request for entry in entries])
    return ids.isascii() and "\0" not in ids


def is_name(text: str) -> bool:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return False
    return size <= LONGEST and "\0" not in text


def mended(entry: Entry) -> Entry:
    """What can be kept of it, the same each time."""
    texts = {name: name_for(getattr(entry, name)) for name in TEXTS}
    numbers = {name: None if (n := getattr(entry, name)) is None else min(max(n, 0), MOST) for name in NUMBERS}
    return msgspec.structs.replace(entry, **texts, **numbers)


TEXTS = ("request", "team", "key", "user", "model", "target")
NUMBERS = ("requests", "calls", "input", "output", "cached", "cache_write", "reasoning", "cost")


def name_for(text: str) -> str:
    """The name under which the ledger has it: itself, for all but the strangest."""
    if is_name(text):
        return text
    plain = text.replace("\0", "\ufffd").encode(errors="replace")
    if len(plain) > LONGEST:
        digest = b":" + sha256(plain).hexdigest().encode()
        plain = plain[: LONGEST - len(digest)] + digest
    return plain.decode(errors="ignore")
