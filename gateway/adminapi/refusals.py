"""What ``/admin/`` says no with, beyond what every route has."""

from typing import ClassVar

from gateway.adminapi.told import worded
from gateway.control.types import ControlError
from gateway.errors import GatewayError

STATUS = {"invalid": 400, "forbidden": 403, "not_found": 404, "conflict": 409}


class Refusal(GatewayError):
    """A ControlError as HTTP has it."""

    CODES: ClassVar[dict[str, str]] = {"invalid": "invalid_request"}

    def __init__(self, error: ControlError) -> None:
        super().__init__(worded(error.message), param=worded(error.field) or None)
        self.status = STATUS[error.code]
        self.code = self.CODES.get(error.code, error.code)


class RecordAway(GatewayError):
    """The database does not answer. Calls of models go on meanwhile."""

    status = 503
    code = "record_unavailable"

    def __init__(self) -> None:
        super().__init__("the record cannot be asked for now, and nothing was changed; try again", retry_after=5)


class CountersAway(GatewayError):
    """Redis does not answer. Calls of models go on by ``limits.on_store_failure``."""

    status = 503
    code = "counters_unavailable"

    def __init__(self) -> None:
        super().__init__("Redis, which has the counters, cannot be asked for now; try again", retry_after=5)
