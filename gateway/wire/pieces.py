"""A stream in OpenAI's form: one event a piece, told apart by ``index``, then the usage if asked for, then ``[DONE]``.

A piece that its provider wrote in this form is handed on as it is. Pieces that only open a choice wait for the first
that says something, so that a model which fails until then can be replaced by another.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.chat import weight
from adapters.types import Delta, Fields, Usage
from gateway.errors import GatewayError
from gateway.tokens import estimate
from gateway.types import Part, Plan
from gateway.wire.openai import Note, encode_error, failure_object, finish_name, to_json, usage_object

DONE = b"data: [DONE]\n\n"
NOT_TOLD = frozenset({"object", "model", "usage"})

decode_fields = msgspec.json.Decoder(Fields).decode


class Piecewise:
    """Encodes one streamed answer. What differs between chats and completions is in the methods at the end."""

    kind: str

    def __init__(self, note: Note, id: str, created: int, plan: Plan) -> None:
        self._note = note
        self._several = len(plan) > 1
        self._legs = {leg.offset + i: leg for leg in plan for i in range(leg.call.choices)}
        self._own = {"id": id, "object": self.kind, "created": created}
        self._heads: dict[int, bytes] = {}
        self._more: dict[int, Fields | None] = {}
        self._waiting: dict[int, list[bytes]] = {}
        self._open: set[int] = set()
        self._last: dict[int, Fields] = {}
        self._written = dict.fromkeys(self._legs, 0)
        self._tail = b'],"usage":null}\n\n' if note.usage else b"]}\n\n"

    def texts(self, place: int, deltas: list[Delta]) -> bytes:
        return b"".join([self._piece(place + delta.index, delta) for delta in deltas])

    def end(self, part: Part) -> bytes:
        index = part.index
        raw = self._last.pop(index, {})
        said = {**self.closing(raw), "finish_reason": finish_name(raw, part.finish)}
        if part.error is not None:
            said["finish_reason"] = "error"
            said["error"] = failure_object(part.error)
        said = {"index": index, **said}
        if self._several:
            said |= {"model": part.model, "usage": usage_object(part.usage)}
        waiting = b"".join(self._waiting.pop(index, []))
        opening = b"" if index in self._open or part.error else self._opened(index)
        return waiting + opening + self._event(index, to_json(said))

    def usage(self, usage: Usage, elapsed_ms: int) -> bytes:
        if not self._note.usage:
            return DONE
        told = {**self._own, "model": self._models(), "choices": [], "usage": usage_object(usage)}
        more = self._more.get(0) if not self._several else None
        for name in ("id", "created"):
            if more and name in more:
                told[name] = more[name]
        return b"data: " + to_json(told) + b"\n\n" + DONE

    def failed(self, error: GatewayError) -> bytes:
        return b"data: " + encode_error(error) + b"\n\n" + DONE

    def _piece(self, index: int, delta: Delta) -> bytes:
        as_before = index in self._open and delta.more is self._more.get(index) and not self._note.running
        if as_before and delta.raw is not None and delta.finish is None:
            self._written[index] += len(delta.text)
            return b"".join([self._heads[index], self.forwarded(index, delta, delta.raw), self._tail])
        if delta.more is not self._more.get(index):
            self._more[index] = delta.more
            self._heads.pop(index, None)
        raw, finish = delta.raw, delta.finish
        if finish is not None:
            self._last[index] = decode_fields(raw) if raw is not None else {}
            if not delta.text:
                return b""
            raw = None if raw is None else Raw(to_json({**self._last[index], "finish_reason": None}))
        if raw is None:
            if not delta.text:
                return b""
            return self._said(index, delta, self.text(index, delta.text))
        choice = self.forwarded(index, delta, raw)
        if not weight(delta) and index not in self._open:
            self._waiting.setdefault(index, []).append(self._event(index, choice))
            return b""
        return self._said(index, delta, choice)

    def _said(self, index: int, delta: Delta, choice: bytes) -> bytes:
        self._written[index] += len(delta.text)
        event = self._event(index, choice, self._running(index, delta) if self._note.running else None)
        if index in self._open:
            return event
        self._open.add(index)
        waiting = self._waiting.pop(index, None)
        if waiting is not None:
            return b"".join([*waiting, event])
        return event if b'"role"' in choice else self._opened(index) + event

    def _opened(self, index: int) -> bytes:
        self._open.add(index)
        opening = self.opening(index)
        return self._event(index, opening) if opening else b""

    def _event(self, index: int, choice: bytes, running: Any = None) -> bytes:
        head = self._heads.get(index)
        if head is None:
            head = self._heads[index] = self._head(index)
        if running is not None:
            return b"".join([head, choice, b'],"usage":', to_json(running), b"}\n\n"])
        return b"".join([head, choice, self._tail])

    def _head(self, index: int) -> bytes:
        """An event up to its choice: one model's provider has its say, several share ours."""
        told: dict[str, Any] = {**self._own, "model": self._legs[index].model}
        for name, value in (self._more.get(index) or {}).items():
            if name not in NOT_TOLD and not (self._several and name in told):
                told[name] = value
        return b"data: " + to_json(told)[:-1] + b',"choices":['

    def _running(self, index: int, delta: Delta) -> Any:
        """What has been used so far, as the provider counts it if it does."""
        reported = (delta.more or {}).get("usage")
        if reported is not None and bytes(reported) != b"null":
            return reported
        leg = self._legs[index]
        written = [self._written[place] for place, other in self._legs.items() if other is leg]
        return usage_object(estimate(leg.call, written))

    def _models(self) -> str:
        return ",".join(dict.fromkeys([leg.model for leg in self._legs.values()]))

    # ------------------------------------------------------------------ what the two routes say differently

    def text(self, index: int, text: str) -> bytes:
        """A piece of text as a choice."""
        raise NotImplementedError

    def opening(self, index: int) -> bytes:
        """What opens a choice; empty if nothing does."""
        return b""

    def closing(self, raw: Fields) -> dict[str, Any]:
        """The last piece of a choice, less its index and reason. ``raw`` is what the provider wrote last."""
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
