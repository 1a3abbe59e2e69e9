"""What is asked of a gateway, and the table of figures with the targets they are held to."""

import json
from dataclasses import dataclass
from typing import Literal

Ask = Literal[
    "one", "long", "three", "stream", "paced", "chat", "longchat", "chatstream", "typed", "untyped",
    "hit", "miss", "same", "fallback",
]  # fmt: skip

AS_CHAT: dict[Ask, Ask] = {"chat": "one", "longchat": "long", "chatstream": "stream"}
"""What is asked in OpenAI's own wire, and the same in the gateway's."""

PROMPT = (
    "You advise a team that calls several language models. Explain in plain words what a gateway in front of "
    "the providers is for, which three numbers the team should watch in production, and what to do first on "
    "the day one of the providers is slow. Answer in one short paragraph, without headings and without lists."
)
LONG_PROMPT = (PROMPT + " ") * (100_000 // (len(PROMPT) + 1))
MARK = "################"
NUMBERED_PROMPT = f"{MARK}. {PROMPT}"  # each request's has a number in the place of MARK
EVENTS = 100  # of content in each stream
GAP_US = 5000  # between the events of a paced stream
ANSWER_TEXT = "stands between"  # is in every whole answer of the mock provider, once

TYPE_NAME = "Advice"
TYPE_TEXT = """
/** What a team is told about its gateway. */
export interface Advice {
  /** One sentence. */
  purpose: string;
  audience: "team" | "operator" | "management";
  /** How sure the answer is, from 0 to 1. */
  confidence: number;
  urgent: boolean;
  /** What to watch in production. */
  numbers: string[];
  first: { action: string; minutes: number };
  provider: string | null;
  language: "en" | "de" | "fr";
}
"""
TYPED_ANSWER = json.dumps(
    {
        "purpose": "A gateway stands between many clients and many providers.",
        "audience": "team",
        "confidence": 0.8,
        "urgent": False,
        "numbers": ["p99 latency", "error rate", "cost"],
        "first": {"action": "ask another provider", "minutes": 5},
        "provider": None,
        "language": "en",
    },
    separators=(",", ":"),
)
TYPED_ASKS: tuple[Ask, ...] = ("typed", "untyped")
"""To which the mock provider answers TYPED_ANSWER, whether the type was told or not."""


NUMBERED: tuple[Ask, ...] = ("miss", "same")
"""Of which each request is another one, unless it is one of a burst."""

AT_ZERO: tuple[Ask, ...] = ("hit", "miss", "same")
"""Asked at temperature 0: the answers are kept."""

GATEWAY_ONLY: tuple[Ask, ...] = ("three", *AS_CHAT, *TYPED_ASKS, *AT_ZERO, "fallback")
"""What OpenAI's wire cannot say, or what is nothing to a proxy."""


@dataclass(frozen=True)
class Scenario:
    """A load: what is asked, by how many clients, at `rate` requests a second or (0) as fast as it goes; and the
    scenario with which it takes turns, where their difference is what counts. In `bursts` all clients ask the same at
    once."""

    ask: Ask
    clients: int
    rate: float = 0
    beside: str = ""
    bursts: bool = False

    @property
    def streams(self) -> bool:
        return self.ask in ("stream", "paced", "chatstream")

    @property
    def answer_text(self) -> str:
        """What every whole answer holds, as it is written in JSON."""
        return json.dumps(TYPED_ANSWER)[1:-1] if self.ask in TYPED_ASKS else ANSWER_TEXT

    @property
    def answers(self) -> int:
        """How many models' texts the answer holds."""
        return 3 if self.ask == "three" else 1

    def provider_calls(self, requests: int) -> int:
        """How many calls so many requests are for the provider."""
        if self.bursts:
            return requests // self.clients
        return requests * {"three": 3, "hit": 0, "fallback": 2}.get(self.ask, 1)


SCENARIOS = {
    "one": Scenario("one", clients=16),
    "long": Scenario("long", clients=16),
    "three": Scenario("three", clients=16),
    "stream": Scenario("stream", clients=8),
    "paced8": Scenario("paced", clients=8),
    "paced128": Scenario("paced", clients=128),
    "steady": Scenario("one", clients=32, rate=150),
    "chat": Scenario("chat", clients=16),
    "longchat": Scenario("longchat", clients=16),
    "chatstream": Scenario("chatstream", clients=8),
    "typed": Scenario("typed", clients=16),
    "untyped": Scenario("untyped", clients=16, beside="typed"),
    "hit": Scenario("hit", clients=16),
    "miss": Scenario("miss", clients=16),
    "fallback": Scenario("fallback", clients=16),
}

MEASURED = ("hitredis", "redis", "keys", "coalesced", "coalesced2", "metrics")
"""... in processes of their own."""

OURS_ALONE = ("conversion", "demo", "overload", "refusals", *MEASURED)
"""What is measured in its own way, and of the gateway only."""

Unit = Literal["us", "/s", "MB", "s", "calls"]


@dataclass(frozen=True)
class Target:
    """A bound for the gateway's figure: of the figure itself, or of its ratio to another or difference from it. The
    other is nginx's figure, or its own in the row ``of``, or the sample's own ``of``."""

    bound: Literal["ratio", "difference", "at most", "at least", "all"]
    value: float = 0
    of: str = "nginx"

    def __str__(self) -> str:
        words = {
            "ratio": f"<= {{}} x {self.of}",
            "difference": f"<= {self.of} + {{}}",
            "at most": "<= {}",
            "at least": ">= {}",
            "all": f"all {self.of}",
        }
        return words[self.bound].format(f"{self.value:,g}")

    def met(self, figure: float, other: float | None) -> bool | None:
        """None: cannot be judged, because the other figure is missing."""
        if self.bound == "at least":
            return figure >= self.value
        if self.bound == "at most":
            return figure <= self.value
        if other is None:
            return None
        if self.bound == "all":
            return figure >= other
        return (figure / other if self.bound == "ratio" else figure - other) <= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table. Rows with the same scenario come from the same measurement."""

    title: str
    scenario: str  # of SCENARIOS, or of OURS_ALONE, or "start" or "memory", which are measured in their own way
    figure: str  # its name in a sample
    unit: Unit
    target: Target | None = None
    against: str = ""  # the scenario of the peers' figure, where they have no such thing

    @property
    def other(self) -> "Row | None":
        """The row of our own that this one is held against; None where it is nginx's figure."""
        return ROWS[self.target.of] if self.target is not None and self.target.of in ROWS else None


def _ratio(value: float, of: str = "nginx") -> Target:
    return Target("ratio", value, of)


ROWS: dict[str, Row] = {
    "one": Row("one model, 16 clients", "one", "cpu_us", "us", _ratio(5)),
    "long": Row("the same, 100 kB prompt", "long", "cpu_us", "us", _ratio(3)),
    "three": Row("three models, 16 clients", "three", "cpu_us", "us", _ratio(10), against="one"),
    "stream": Row("stream of 100 events, back to back, 8 clients", "stream", "cpu_us", "us", _ratio(0.9)),
    "paced8": Row("the same, 5 ms apart", "paced8", "cpu_us", "us", _ratio(2)),
    "paced128": Row("the same, 5 ms apart, 128 clients", "paced128", "cpu_us", "us", _ratio(1.7)),
    "chat": Row("a chat forwarded, 16 clients", "chat", "cpu_us", "us", _ratio(1.15, "one"), against="one"),
    "longchat": Row("the same, 100 kB prompt", "longchat", "cpu_us", "us", _ratio(1.5, "chat"), against="long"),
    "chatstream": Row(
        "a streamed chat of 100 events, 8 clients", "chatstream", "cpu_us", "us", _ratio(0.9), against="stream"
    ),
    "hit": Row("a kept answer, 16 clients", "hit", "cpu_us", "us", _ratio(3.5), against="one"),
    "hitredis": Row("the same, kept in Redis, limits there too", "hitredis", "cpu_us", "us", against="one"),
    "miss": Row("one model, looked for and kept, 16 clients", "miss", "cpu_us", "us", against="one"),
    "redis": Row("the same, kept in Redis, limits there too", "redis", "cpu_us", "us", _ratio(6.5), against="one"),
    "coalesced": Row("one more of 20 calls that ask the same at once", "coalesced", "cpu_us", "us", against="one"),
    "coalesced2": Row("the same, two replicas with one Redis", "coalesced2", "cpu_us", "us", against="one"),
    "fallback": Row("the first target answers 503, the second answers", "fallback", "cpu_us", "us", against="one"),
    "metrics": Row("of one call, what is counted for /metrics", "metrics", "cpu_us", "us", Target("at most", 12)),
    "keys": Row("one model, 1,000,000 keys", "keys", "cpu_us", "us", _ratio(1.1, "one"), against="one"),
    "typed": Row("a typed call, 16 clients", "typed", "cpu_us", "us", Target("difference", 60, "untyped")),
    "untyped": Row("the same without the type", "untyped", "cpu_us", "us"),
    "added": Row("added latency p50, 150 requests/s", "steady", "added_p50_us", "us", _ratio(1.5)),
    "added99": Row("added latency p99, 150 requests/s", "steady", "added_p99_us", "us"),
    "usual": Row("p99 at 0.8 of capacity, whatever answers do", "overload", "usual_p99_us", "us"),
    "overload": Row("p99 of calls let in at 3 times capacity", "overload", "p99_us", "us", _ratio(2, "usual")),
    "refused": Row("a call that is refused, 16 clients", "refusals", "cpu_us", "us", _ratio(0.5, "one")),
    "rate": Row("requests/s on one core, one model, 16 clients", "one", "rate", "/s", Target("at least", 11_000)),
    "rss": Row("RSS after {requests:,} requests", "memory", "rss_mb", "MB", Target("at most", 80)),
    "start": Row("start to first answer", "start", "start_s", "s", Target("at most", 0.8)),
    "schema": Row("a TypeScript text of 2 kB to a schema", "conversion", "cold_cpu_us", "us", Target("at most", 300)),
    "schemacached": Row("the same, of a known text", "conversion", "known_cpu_us", "us", Target("at most", 5)),
    "demo": Row(
        "valid answers to {calls:,} typed calls, demo model", "demo", "valid", "calls", Target("all", of="calls")
    ),
}
