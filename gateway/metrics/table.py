"""All that ``/metrics`` tells, declared once: nothing is counted, shown or alerted on that has no line here.

Names and labels are those of OpenTelemetry's conventions for generative AI where they have one, in Prometheus' spelling
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/); the rest begins with ``gateway_``. The gateway is
a client of its providers: ``gen_ai_client_*`` is what they did, by their own names of their models. It is a server of
its callers: ``gateway_*`` has the models by the names that these know.
"""

from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min"]

OTHER = "other"
"""Stands for the open labels of all series beyond the most that a metric may have."""

OPEN = frozenset(
    {"credential", "from", "gen_ai_provider_name", "gen_ai_request_model", "model", "provider", "subject", "target"}
    | {"team", "to"}
)
"""Labels whose values are names that an operator gave. All others have a handful of values, which are ours."""

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The convention's, for what a model takes."""
FIRST_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The convention's, until a model says something."""
TOKENS = tuple([float(4**power) for power in range(14)])
"""The convention's: 1 to 67,108,864."""
OVERHEAD_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""What a gateway may take is two orders of magnitude less."""

MANY = 10_000
"""Series of what is told by team and model."""


class Metric(Struct, frozen=True, eq=False):
    """One line. ``buckets`` are the upper bounds of a histogram, without infinity. ``merge`` says how the gauges of
    several workers become one. What is kept is a whole number of one ``scale``-th of the unit, so that sums of money
    are exact. ``most`` are the series that one worker keeps; what comes beyond is told as ``other``. ``reckoned``: read
    of the kernel when somebody asks, and kept nowhere."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    scale: int = 1
    most: int = 1000
    reckoned: bool = False

    @property
    def width(self) -> int:
        """Numbers that one series takes: of a histogram a count for each bucket and one for what is above, and the
        sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1


CLIENT = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


def counter(name: str, help: str, *labels: str, unit: str = "", scale: int = 1, most: int = 1000) -> Metric:
    return Metric(name, "counter", help, labels, unit, scale=scale, most=most)


def gauge(name: str, help: str, *labels: str, unit: str = "", merge: Merge = "sum") -> Metric:
    return Metric(name, "gauge", help, labels, unit, merge=merge)


def histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str, unit: str = "seconds") -> Metric:
    return Metric(name, "histogram", help, labels, unit, buckets)


# ------------------------------------------------------------------ requests, as callers see them

REQUESTS = counter(
    "gateway_requests_total",
    "Requests by route, the status that was sent, and the team that asked (empty where no key was accepted); 499 where "
    "the caller had left before anything was sent.",
    "route", "status", "team", most=MANY,
)  # fmt: skip
REQUEST_SECONDS = histogram(
    "gateway_request_duration_seconds",
    "From a request's head and body, or its head alone if it is long, to the last byte of its answer.",
    SECONDS,
    "route",
)
SERVER_SECONDS = histogram(
    "gen_ai_server_request_duration_seconds",
    "The same by operation; error_type is the error's code, empty where there was an answer.",
    SECONDS,
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "error_type",
)
FIRST_BYTE_SECONDS = histogram(
    "gateway_first_byte_seconds", "Until the first byte of a streamed answer is sent.", FIRST_SECONDS, "route"
)
OVERHEAD = histogram(
    "gateway_overhead_seconds",
    "Time of a request in which no model was being asked: before the first was, and after the last had answered. What "
    "it takes to read a long body from its caller is in it; waiting for a turn at a provider, for a retry, or for what "
    "another call is given, is not.",
    OVERHEAD_SECONDS,
    "route",
)
IN_FLIGHT = gauge("gateway_in_flight", "Requests that are being answered.")
BROKEN = counter(
    "gateway_streams_broken_total",
    "Streams that had begun, and were not completed: the caller left, or the gateway broke off.",
    "route",
    "reason",
)
REJECTED = counter(
    "gateway_rejected_total", "Requests that were turned away unread, since the gateway had too much to do.", "reason"
)
OTHER_REQUESTS = counter(
    "gateway_other_requests_total", "Requests that ask no model, by the kind of their status.", "status"
)

# ------------------------------------------------------------------ legs, as the ledger has them

LEGS = counter(
    "gateway_legs_total",
    "Entries of the ledger: a model of ours that was asked of a target, and how that ended. And, with outcome "
    "unreached, targets to which no request went out, which are in no ledger.",
    "model", "target", "outcome", most=MANY,
)  # fmt: skip
TOKENS_USED = counter(
    "gateway_tokens_total",
    "Tokens by team and model. cached and cache_write are parts of input, reasoning is one of output.",
    "team", "model", "kind", unit="tokens", most=MANY,
)  # fmt: skip
COST = counter(
    "gateway_cost_usd_total",
    "Money by team and model: the sum of whole nano-dollars. What has no known price is not in it.",
    "team", "model", unit="usd", scale=10**9, most=MANY,
)  # fmt: skip
ESTIMATED = counter(
    "gateway_legs_estimated_total", "Entries of the ledger whose tokens are estimated: no provider said.", "target"
)
UNPRICED = counter("gateway_legs_unpriced_total", "Entries of the ledger without a known price.", "target")
TOKEN_USAGE = histogram(
    "gen_ai_client_token_usage",
    "Tokens of one entry of the ledger: of its prompt, or of its answer.",
    TOKENS,
    *CLIENT,
    "gen_ai_token_type",
    unit="",
)
OPERATION_SECONDS = histogram(
    "gen_ai_client_operation_duration_seconds",
    "How long a provider took, as the ledger has it; error_type is the outcome, empty where it answered.",
    SECONDS,
    *CLIENT,
    "error_type",
)
FIRST_TOKEN_SECONDS = histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "How long a provider took to say something, where it streamed.",
    FIRST_SECONDS,
    *CLIENT,
)

# ------------------------------------------------------------------ cache, and what is done about failures

CACHE = counter(
    "gateway_cache_total",
    "Legs that could share their answer: hit, miss (asked for others as well), or coalesced (heard another's). All "
    "others, whose answers say bypass, are in gateway_legs_total alone.",
    "model",
    "result",
)
CACHE_BYTES = gauge("gateway_cache_bytes", "What answers that are kept in process take.", unit="bytes")
CACHE_ENTRIES = gauge("gateway_cache_entries", "Answers that are kept in process.")
RETRIES = counter("gateway_retries_total", "Targets that were asked again, and why.", "target", "reason")
FALLBACKS = counter(
    "gateway_fallbacks_total",
    "Legs that went on from one target to another, and why.",
    "model", "from", "to", "reason", most=MANY,
)  # fmt: skip
BREAKER = gauge(
    "gateway_breaker_state",
    "In how many workers the breaker of a target, for one of its keys, is in this state: closed, half_open, open.",
    "target",
    "credential",
    "state",
)
PROVIDER_BUSY = gauge("gateway_provider_busy", "Calls under way to a provider whose calls are bounded.", "provider")
PROVIDER_WAITING = gauge("gateway_provider_waiting", "Calls that wait for their turn at such a provider.", "provider")

# ------------------------------------------------------------------ limits

ADMISSIONS = counter(
    "gateway_admissions_total",
    "Calls that were let in (granted) or not (refused), and in whose name which limit was in the way; or not, since "
    "that could not be known or noted (unrecorded).",
    "decision",
    "scope",
    "limit",
)
DEGRADED = counter("gateway_degraded_total", "Calls that were decided about without the store that all replicas share.")
SOFT_BUDGETS = counter(
    "gateway_soft_budget_passed_total",
    "Calls that were let in though a soft budget was passed; subject is the team or model whose budget it is.",
    "scope",
    "subject",
    "limit",
)
UNSETTLED = gauge("gateway_unsettled", "Legs of which Redis has not yet been told what they used.")
UNSETTLED_LOST = counter("gateway_unsettled_lost_total", "Legs of which it never will be: too many waited.")

# ------------------------------------------------------------------ the record

LEDGER_LAG = gauge(
    "gateway_ledger_lag_seconds",
    "For how long the oldest entry that is on its way to SQL has waited.",
    unit="seconds",
    merge="max",
)
LEDGER_PENDING = gauge("gateway_ledger_pending", "Entries that wait for SQL.")
LEDGER_WRITTEN = counter("gateway_ledger_written_total", "Entries that are in SQL.")
SPOOL_BYTES = gauge("gateway_spool_bytes", "What the spool takes on the disk.", unit="bytes")
SPOOL_CAPACITY = gauge("gateway_spool_capacity_bytes", "What the spool may take.", unit="bytes")
SPOOL_FULL = gauge(
    "gateway_spool_full_ratio",
    "Of what it may take, the part that the fullest worker's spool takes.",
    unit="ratio",
    merge="max",
)

# ------------------------------------------------------------------ health

REDIS_UP = gauge("gateway_redis_up", "Whether all workers reach Redis. Absent where there is none.", merge="min")
SQL_UP = gauge("gateway_sql_up", "Whether the database took what all workers last had for it.", merge="min")
CONFIG_VALID = gauge(
    "gateway_config_valid", "Whether all workers go by the routing.yaml that is there; 0: it is wrong, see the log.",
    merge="min",
)  # fmt: skip
CONFIG_LOADED = gauge(
    "gateway_config_loaded_timestamp_seconds", "When the routing that holds was read.", unit="seconds", merge="min"
)
CALLS_SHARED = gauge("gateway_shared_calls", "Provider calls under way that others may join.")
WORKERS = gauge("gateway_workers", "Workers that run.")
BUILD = gauge("gateway_build_info", "1, with the version that runs.", "version", merge="max")


def reckoned(name: str, kind: Kind, help: str, *labels: str, unit: str) -> Metric:
    return Metric(name, kind, help, labels, unit, reckoned=True)


MEMORY = reckoned(
    "gateway_resident_memory_bytes", "gauge",
    "Memory of the gateway's own processes; pages that they share count for each.", unit="bytes",
)  # fmt: skip
CPU = reckoned(
    "gateway_cpu_seconds_total", "counter",
    "Processor time of the gateway's own processes that are running.", unit="seconds",
)  # fmt: skip
CHILD_UP = reckoned("gateway_child_up", "gauge", "Whether the child process is running.", "child", unit="")
CHILD_RESTARTS = reckoned(
    "gateway_child_restarts_total", "counter",
    "How often the child has been started again after it ended.", "child", unit="",
)  # fmt: skip
CHILD_MEMORY = reckoned(
    "gateway_child_resident_memory_bytes", "gauge", "Memory of the child process.", "child", unit="bytes"
)
CHILD_CPU = reckoned(
    "gateway_child_cpu_seconds_total", "counter",
    "Processor time of the child process since it started.", "child", unit="seconds",
)  # fmt: skip

TABLE = (
    REQUESTS, REQUEST_SECONDS, SERVER_SECONDS, FIRST_BYTE_SECONDS, OVERHEAD, IN_FLIGHT, BROKEN, REJECTED,
    OTHER_REQUESTS, LEGS, TOKENS_USED, COST, ESTIMATED, UNPRICED, TOKEN_USAGE, OPERATION_SECONDS, FIRST_TOKEN_SECONDS,
    CACHE, CACHE_BYTES, CACHE_ENTRIES, RETRIES, FALLBACKS, BREAKER, PROVIDER_BUSY, PROVIDER_WAITING, ADMISSIONS,
    DEGRADED, SOFT_BUDGETS, UNSETTLED, UNSETTLED_LOST, LEDGER_LAG, LEDGER_PENDING, LEDGER_WRITTEN, SPOOL_BYTES,
    SPOOL_CAPACITY, SPOOL_FULL, REDIS_UP, SQL_UP, WORKERS, BUILD, MEMORY, CPU, CHILD_UP, CHILD_RESTARTS, CHILD_MEMORY,
    CHILD_CPU, CONFIG_VALID, CONFIG_LOADED, CALLS_SHARED,
)  # fmt: skip
"""In the order in which they are told."""
