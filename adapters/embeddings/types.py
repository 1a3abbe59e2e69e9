"""What is asked and answered where texts become vectors, and who translates that."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Raw, Struct

from adapters.types import Fields, Host, HttpRequest, HttpResponse, Prompt, Usage


class Embed(Struct, frozen=True):
    """One question to one model: the vectors of some items. ``model`` is the provider's own name for the model.

    ``fields`` is what the caller wrote beyond model and input, in the words of OpenAI's route; ``base64`` and
    ``dimensions`` are what is read of it. ``written`` is the input as the caller wrote it, while it is asked at once.
    """

    model: str
    items: tuple[Prompt, ...]
    base64: bool = False
    dimensions: int | None = None
    fields: Fields = {}
    written: Raw | None = None


class Vectors(Struct, frozen=True):
    """The answer. ``rows`` are in the order of the items, in OpenAI's form: ``embedding`` is there in each, a list of
    numbers or a text of base64 as the provider wrote it. ``usage`` is None when the provider did not report it, ``raw``
    holds the answer's further top-level fields."""

    rows: tuple[Fields, ...]
    usage: Usage | None = None
    raw: Fields | None = None


class Embedder(Protocol):
    """Translates between these types and one provider's wire. Pure, as an Adapter is."""

    most: int | None
    """The most items that one request can hold; None if the provider sets no limit below OpenAI's 2048."""

    def encode(self, call: Embed) -> HttpRequest:
        """The request. Raises ``Rejected`` naming the parameter when the wire cannot express the call."""

    def decode(self, call: Embed, response: HttpResponse) -> Vectors:
        """A row for each item, or raises a ProviderError."""


MakeEmbedder = Callable[[Host], Embedder]
