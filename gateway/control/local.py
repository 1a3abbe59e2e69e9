"""Everything that can be done, on the record itself."""

from collections.abc import Callable, Sequence

from gateway.caching.store import CacheStore
from gateway.control.admins import AdminControl
from gateway.control.cache import CacheControl
from gateway.control.conservation import Running
from gateway.control.keys import KeyControl
from gateway.control.limits import LimitsControl
from gateway.control.reports import ReportControl
from gateway.control.teams import TeamControl
from gateway.control.types import Actor, LimitsView
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.record import Record


class LocalControl(TeamControl, KeyControl, AdminControl, LimitsControl, CacheControl, ReportControl):
    """For one actor; cheap to make. It is a ``Control``; besides ControlError it raises RecordDown where the database
    cannot be asked. ``running`` is what the gateway has outside the record, where one runs in this process;
    ``configured`` tells the limits of ``routing.yaml``, ``kept`` where answers are kept, as far as this process can
    know."""

    def __init__(
        self,
        record: Record,
        ledger: LedgerStore,
        actor: Actor,
        running: Running | None = None,
        configured: Callable[[], Sequence[LimitsView]] = tuple,
        kept: Callable[[], CacheStore | None] = lambda: None,
    ) -> None:
        super().__init__(record, ledger, actor)
        self.running = running
        self.configured = configured
        self.kept = kept
