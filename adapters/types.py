"""The language of the house: what is asked, what is answered, and who translates.

Both packages speak these values; they belong to the lower one, so that ``adapters`` can be read, tested and
used without the gateway. Nothing here knows a provider's wire.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from msgspec import Raw, Struct, field

Finish = Literal["stop", "length", "filtered", "tool_calls", "other"]
"""Why a choice ended: by itself or at a stop string, at the token limit, by the provider's content policy, to call
a tool, or for a reason that has no counterpart elsewhere."""

Mode = Literal["chat", "completion"]
"""How a provider is asked: through its chat template, or with the bare text continued."""

Path = Literal["native", "guided", "json_mode", "prompted"]
"""How an answer is held to its constraint: by the provider's own structured output, by an engine's constrained decoder,
by a mode that makes any JSON object, or by the words of the prompt alone. Whichever it is, the gateway checks."""

Headers = list[tuple[bytes, bytes]]
"""Header lines as received: names in lower case, in order, repeats kept."""


Fields = dict[str, Raw]
"""Keys of a JSON object with their values unread."""


class Chat(Struct, frozen=True):
    """A conversation: the JSON list of messages in OpenAI's form, as the caller wrote it. ``adapters.chat`` reads it,
    for the wires that say it otherwise."""

    messages: Raw


Prompt = str | tuple[int, ...]
"""A text to be continued, or the same as token ids of the model's own vocabulary."""


class Prompts(Struct, frozen=True):
    """What is not just one text: several prompts, or token ids."""

    items: tuple[Prompt, ...]


Input = str | Prompts | Chat


class Params(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of the answer. ``None``, ``False`` and ``()`` mean "not asked": the provider's own default applies.

    ``logprobs`` is the number of alternatives told beside each token, 0 for the token alone. ``best_of`` choices are
    made of which the ``n`` likeliest are told. ``echo`` puts the prompt in front of the answer.
    """

    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    best_of: int | None = None
    echo: bool = False
    suffix: str | None = None
    logit_bias: dict[str, float] | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    min_tokens: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    include_stop: bool = False
    truncate: int | None = None


class JsonSchema(Struct, frozen=True):
    """The answer is JSON that this JSON Schema allows. ``name``, ``description`` and ``strict`` are OpenAI's;
    ``options`` are vLLM's, beside the constraint in ``structured_outputs`` (``whitespace_pattern`` and more)."""

    schema: Raw
    name: str = "answer"
    strict: bool = True
    description: str | None = None
    options: Fields | None = None


class AnyJson(Struct, frozen=True):
    """The answer is a JSON object."""


class Regex(Struct, frozen=True):
    """The whole answer matches the pattern."""

    pattern: str


class OneOf(Struct, frozen=True):
    """The answer is one of these texts."""

    choices: tuple[str, ...]


class Grammar(Struct, frozen=True):
    """The answer is a sentence of this grammar: one that holds ``::=`` is EBNF (llama.cpp's GBNF), any other Lark."""

    text: str


Constraint = JsonSchema | AnyJson | Regex | OneOf | Grammar
"""What the answer's text must be. An adapter says it in its engine's words or refuses; it never drops it. Whether the
answer keeps it is checked in the gateway all the same."""


class Call(Struct, frozen=True):
    """One question to one model: all that an adapter may know. ``model`` is the provider's own name for the model.

    ``fields`` is what the caller wrote beyond model, input, stream and constraint, in OpenAI's words of the route that
    ``input`` belongs to: chat completions for a Chat, else completions. What ``params`` holds of it stands there, too,
    under the caller's name for it. A speaker of OpenAI's wire sends these fields as they are; others translate
    ``params`` and see with ``adapters.fields.refuse_rest`` that no other field is passed over that means something.
    None means that the caller speaks another dialect: then only texts are wanted of the answer, and not its ``raw``.
    """

    model: str
    input: Input
    params: Params = Params()
    stream: bool = False
    fields: Fields | None = None
    constraint: Constraint | None = None

    @property
    def prompts(self) -> int:
        """How many prompts it holds; each gets ``n`` choices, and the choices count prompt by prompt."""
        return len(self.input.items) if isinstance(self.input, Prompts) else 1

    @property
    def choices(self) -> int:
        """How many choices answer it."""
        n = self.params.n
        return n * len(self.input.items) if isinstance(self.input, Prompts) else n


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one call. ``input`` includes ``cached`` and ``cache_write``, ``output`` includes ``reasoning``;
    ``None`` means that the provider did not say, and ``0`` is zero. ``estimated`` marks figures that are ours; ``raw``
    is the provider's own account, if it is in OpenAI's form."""

    input: int
    output: int
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    estimated: bool = False
    raw: Raw | None = None


def summed(usages: Sequence[Usage]) -> Usage:
    """Several calls' usage; of a kind of token that none of them reports, nothing is known."""
    if len(usages) == 1:
        return usages[0]

    input = output = 0
    cached = cache_write = reasoning = None
    estimated = False
    for usage in usages:
        input += usage.input
        output += usage.output
        if usage.cached is not None:
            cached = usage.cached + (cached or 0)
        if usage.cache_write is not None:
            cache_write = usage.cache_write + (cache_write or 0)
        if usage.reasoning is not None:
            reasoning = usage.reasoning + (reasoning or 0)
        estimated = estimated or usage.estimated
    return Usage(input, output, cached, cache_write, reasoning, estimated)


COUNTABLE = 2**53
"""What is no count any more, but a mistake."""


def count(reported: float | None) -> int | None:
    """A number of tokens as a provider tells it: some write 12.0, and what cannot be a count was not reported."""
    return int(reported) if reported is not None and 0 <= reported < COUNTABLE else None


class Choice(Struct, frozen=True):
    """One alternative of an answer; ``index`` counts from 0 within its call. ``usage`` is there only where a choice has
    one of its own, since it was asked for by itself.

    ``raw`` is the choice in OpenAI's form (of the route that was asked: ``message`` or ``text``, ``logprobs``,
    ``finish_reason`` and whatever else the provider wrote). It is there where the call has ``fields`` and the answer
    is more than its text.
    """

    index: int
    text: str
    finish: Finish
    usage: Usage | None = None
    raw: Fields | None = None


class Reply(Struct, frozen=True):
    """A whole answer. ``usage`` is None when the provider did not report it. ``raw`` holds the answer's further
    top-level fields as the provider wrote them, where the call has ``fields``."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None
    raw: Fields | None = None


class Delta(Struct, frozen=True, gc=False):
    """A piece of a streamed choice. ``finish`` comes with its last piece, whose text may be empty.

    ``raw`` is the piece in OpenAI's form, an object with ``index`` and ``delta`` or ``text``: there where the call has
    ``fields`` and the piece is more than its text. ``more`` are further top-level fields of the event that brought it.
    """

    index: int
    text: str = ""
    finish: Finish | None = None
    raw: Raw | None = None
    more: Fields | None = None


class Endpoint(Struct, frozen=True, eq=False):
    """Where requests go, prepared once: the object itself is the key under which a client keeps its connections.

    ``url`` may be ``http``, ``https``, or ``http+unix://<quoted socket path>/<path>``. ``headers`` hold the
    provider's key, so they are never shown; nor is the query, which may. ``keep_alive`` is false where a connection
    serves one request, since the server closes it afterwards, whatever it says.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    keep_alive: bool = True

    def __repr__(self) -> str:
        return f"Endpoint({self.url.partition('?')[0]!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url.partition("?")[0])]


class HttpRequest(Struct, frozen=True):
    """A POST, ready to be sent. ``stream`` says that the answer is meant to be read as it comes."""

    endpoint: Endpoint
    body: bytes
    stream: bool = False


class Asked(Struct, frozen=True):
    """A call in a provider's own terms, and the request that says it; None where it is said when it is sent, since that
    cannot fail and may never be needed. ``echo`` is what the gateway puts in front of
    each answer, since the provider does not; ``path`` is how the answer is held to its constraint, where it has one."""

    call: Call
    request: HttpRequest | None
    echo: str = ""
    path: Path | None = None


class HttpResponse(Struct, frozen=True):
    """An answer as it came; ``body`` is decompressed, and empty when it was streamed."""

    status: int
    headers: Headers
    body: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its name in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Host(Struct, frozen=True, kw_only=True):
    """Where and how one provider is reached: what an adapter is made from.

    ``base_url`` may hold ``{model}``, which becomes the quoted model name (Azure's deployments). What follows
    ``engine`` are differences between hosts of one wire that are data rather than behaviour; None means the adapter's
    own habit. ``stream_usage``: streams can be asked for usage; ``done_marker``: streams end with ``[DONE]``.
    ``guided``: vLLM's spelling of constraints, from 0.12 on or before. ``demo``: the model that ships with the gateway.
    """

    base_url: str
    key: str | None = None
    engine: str | None = None
    auth: Literal["bearer", "api-key"] = "bearer"
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    max_n: int | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    stream_usage: bool = True
    done_marker: bool = True
    guided: Literal["structured_outputs", "guided"] = "structured_outputs"
    demo: bool = False

    def __repr__(self) -> str:
        return f"Host({self.base_url!r}, engine={self.engine!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("base_url", self.base_url)]


class Decoder(Protocol):
    """Turns the bytes of one streamed answer into deltas, however they are split."""

    usage: Usage | None
    """What the provider has reported so far; may be read at any time."""

    def feed(self, data: bytes) -> list[Delta]:
        """The deltas that these bytes complete. Raises a ProviderError when the provider reports one in its stream,
        and ``Garbled`` when the bytes cannot be read."""

    def close(self) -> None:
        """The body has ended. Raises ``Garbled`` if the provider had not finished speaking."""


class Adapter(Protocol):
    """Translates between these types and one provider's wire. Pure: no I/O, no clock, no state between calls."""

    modes: tuple[Mode, ...]
    """What the provider can be asked; the first is what it is asked unless the target says otherwise."""

    takes: frozenset[str]
    """What the completion route can do by itself, so that the gateway does not have to: ``prompts`` (several in one
    request), ``tokens`` (prompts as token ids), ``echo``, ``best_of``."""

    plain: bool
    """Whether ``encode`` says every call of one text that has neither fields nor a constraint, and asks for no more
    choices than ``most``: it never refuses one."""

    def path(self, call: Call) -> Path | None:
        """``native`` or ``guided``: by what this call's answer is held to its constraint. None where the route that it
        takes holds an answer to nothing."""

    def most(self, call: Call) -> int | None:
        """The most choices one request of this kind can ask for; None if the provider sets the limit. More are asked
        by repeating."""

    def encode(self, call: Call) -> HttpRequest:
        """The request. Raises ``Rejected`` naming the parameter when the wire cannot express the call."""

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        """The reply to this call, or raises a ProviderError."""

    def decoder(self, call: Call) -> Decoder:
        """Reads one streamed answer to this call."""


MakeAdapter = Callable[[Host], Adapter]
