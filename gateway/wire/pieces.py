"""A stream in OpenAI's form: one event a piece, told apart by ``index``, then the usage if asked for, then ``[DONE]``.

A piece that its provider wrote in this form is handed on as it is. Pieces that only open a choice wait for the first
that says something, so that a model which fails until then can be replaced by another.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.chat import delta_of, weight
from adapters.types import Delta, Fields, Usage
from gateway.errors import GatewayError
from gateway.tokens import estimate
from gateway.types import Leg, Part, Plan
from gateway.wire.openai import Note, encode_error, failure_object, finish_name, provenance, to_json, usage_object

DONE = b"data: [DONE]\n\n"
NOT_TOLD = frozenset({"object", "model", "usage"})

SAID = frozenset({"index", "delta", "text", "logprobs", "token_ids", "prompt_token_ids", "prompt_logprobs"})
"""Fields of a piece that say something of the answer; the others say why it ended."""

decode_fields = msgspec.json.Decoder(Fields).decode


class Told:
    """What has been told of one choice. ``head`` opens its events, as long as ``more`` is what their surroundings say;
    ``waiting`` are events that only open it; ``last`` is its last piece as the provider wrote it. ``same`` says that
    its pieces are told as the provider writes them."""

    __slots__ = ("head", "last", "leg", "more", "open", "same", "waiting", "written")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.open = False
        self.written = 0
        self.forget()

    def forget(self) -> None:
        """The provider begins anew, or another does: what was not told is void."""
        self.head: bytes | None = None
        self.more: Fields | None = None
        self.waiting: list[bytes] = []
        self.last: Fields = {}
        self.same = False


class Piecewise:
    """Encodes one streamed answer. What differs between chats and completions is in the methods at the end."""

    kind: str

    def __init__(self, note: Note, id: str, created: int, plan: Plan) -> None:
        self._note = note
        self._several = len(plan) > 1
        self._told = {leg.offset + i: Told(leg) for leg in plan for i in range(leg.call.choices)}
        self._own = {"id": id, "object": self.kind, "created": created}
        self._as_written = not (note.running or note.logprobs or self._several)
        self._tail = b'],"usage":null}\n\n' if note.usage else b"]}\n\n"

    def texts(self, place: int, deltas: list[Delta]) -> bytes:
        return b"".join([self._piece(place + delta.index, delta) for delta in deltas])

    def restart(self, leg: Leg) -> None:
        for told in self._told.values():
            if told.leg is leg:
                told.forget()

    def end(self, part: Part) -> bytes:
        index, told = part.index, self._told[part.index]
        said = {"index": index, **self.closing(told.last), "finish_reason": finish_name(told.last, part.finish)}
        if part.error is not None:
            said["finish_reason"] = "error"
            said["error"] = failure_object(part.error)
        if self._several or part.agreement is not None:
            said |= provenance(part)
        if part.failed:
            said["errors"] = part.failed
        before = b"".join(told.waiting)
        if not (told.open or part.error or before):
            before = self._opening(index, told)
        running = None
        if self._note.running and part.error is None:
            alone = told.leg.call.choices == 1
            running = usage_object(part.usage) if alone else self._running(told, Delta(index, more=told.more))
        return before + self._event(told, to_json(said), running)

    def usage(self, usage: Usage, elapsed_ms: int) -> bytes:
        if not self._note.usage:
            return DONE
        told = {**self._own, "model": self._models(), "choices": [], "usage": usage_object(usage)}
        more = self._told[0].more if not self._several else None
        for name in ("id", "created"):
            if more and name in more:
                told[name] = more[name]
        return b"data: " + to_json(told) + b"\n\n" + DONE

    def failed(self, error: GatewayError) -> bytes:
        return b"data: " + encode_error(error) + b"\n\n" + DONE

    def _piece(self, index: int, delta: Delta) -> bytes:
        told, raw = self._told[index], delta.raw
        if told.same and raw is not None and delta.finish is None and delta.more is told.more and told.head is not None:
            return b"".join((told.head, raw, self._tail))
        if delta.more is not told.more:
            told.more, told.head = delta.more, None
        if delta.finish is not None:
            raw = self._last(told, delta)
            if raw is None and not delta.text:
                return b""
        elif not delta.text and raw is None:
            return b""
        told.written += len(delta.text)
        choice = self.text(index, delta.text) if raw is None else self.forwarded(index, delta, raw)
        told.same = self._as_written and told.open and raw is not None and choice == bytes(raw)
        event = self._event(told, choice, self._running(told, delta) if self._note.running else None)
        if told.open:
            return event
        if raw is not None and not weight(delta):
            told.waiting.append(event)
            return b""
        return self._opened(index, told, raw) + event

    def _last(self, told: Told, delta: Delta) -> Raw | None:
        """Keeps the last piece for the end of its choice, but for what it says of the answer, which goes on now."""
        if delta.raw is None:
            return None
        said = decode_fields(delta.raw)
        if not weight(delta):
            told.last = said
            return None
        told.last = {name: value for name, value in said.items() if name not in SAID}
        return Raw(to_json({name: value for name, value in said.items() if name in SAID} | {"finish_reason": None}))

    def _opened(self, index: int, told: Told, raw: Raw | None) -> bytes:
        """What comes before the first piece that says something."""
        told.open = True
        if told.waiting:
            waiting, told.waiting = b"".join(told.waiting), []
            return waiting
        return b"" if raw is not None and "role" in delta_of(raw) else self._opening(index, told)

    def _opening(self, index: int, told: Told) -> bytes:
        told.open = True
        opening = self.opening(index)
        return self._event(told, opening) if opening else b""

    def _event(self, told: Told, choice: bytes, running: Any = None) -> bytes:
        if told.head is None:
            told.head = self._head(told)
        if running is not None:
            return b"".join([told.head, choice, b'],"usage":', to_json(running), b"}\n\n"])
        return b"".join([told.head, choice, self._tail])

    def _head(self, told: Told) -> bytes:
        """An event up to its choice: one model's provider has its say, several share ours."""
        said: dict[str, Any] = {**self._own, "model": told.leg.model}
        for name, value in (told.more or {}).items():
            if name not in NOT_TOLD and not (self._several and name in said):
                said[name] = value
        return b"data: " + to_json(said)[:-1] + b',"choices":['

    def _running(self, told: Told, delta: Delta) -> Any:
        """What has been used so far: as the provider counts it if it does, else as we estimate it."""
        reported = (delta.more or {}).get("usage")
        if reported is not None and bytes(reported) != b"null":
            return reported
        written = [other.written for other in self._told.values() if other.leg is told.leg]
        return usage_object(estimate(told.leg.call, written))

    def _models(self) -> str:
        return ",".join(dict.fromkeys([told.leg.model for told in self._told.values()]))

    # ------------------------------------------------------------------ what the two routes say differently

    def text(self, index: int, text: str) -> bytes:
        """A piece of text as a choice."""
        raise NotImplementedError

    def opening(self, index: int) -> bytes:
        """What opens a choice; empty if nothing does."""
        return b""

    def closing(self, raw: Fields) -> dict[str, Any]:
        """The last piece of a choice, less its index and reason. ``raw`` is what the provider wrote last and has not
        been told."""
        raise NotImplementedError

    def forwarded(self, index: int, delta: Delta, raw: Raw) -> bytes:
        """A piece that the provider wrote, at its place in this answer."""
        raise NotImplementedError


def placed(raw: Raw, index: int, model: str | None) -> bytes:
    """A choice at another place, with the name of its model if there are several."""
    said = {**decode_fields(raw), "index": index}
    if model is not None:
        said["model"] = Raw(to_json(model))
    return to_json(said)
