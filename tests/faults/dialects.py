"""How a call is written in each dialect, and what its answers say: which model said what, and which failed how."""

from typing import Any, Literal

from msgspec import Struct

from tests.faults.load import CHAT

Name = Literal["chat", "text", "thiggle", "typed", "lamini"]

SCHEMA = "export interface Person { age: number }"


class Wrong(Exception):
    """What no caller should get."""


class Said(Struct):
    """One choice. ``code`` is why there is none; a whole text has ``done``."""

    model: str
    text: str = ""
    done: bool = False
    code: str = ""


class Dialect:
    """OpenAI's chats; the others differ from it. Where an answer lacks what it must have, these raise KeyError and the
    like. ``statuses`` are those of this dialect alone that a failure may have."""

    name: Name = "chat"
    path = CHAT
    statuses: frozenset[int] = frozenset()

    def asked(self, models: tuple[str, ...], prompt: str) -> dict[str, Any]:
        model = models[0] if len(models) == 1 else list(models)
        return {"model": model, **self.input(prompt)}

    def input(self, prompt: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": prompt}]}

    def choices(self, told: Any, models: tuple[str, ...]) -> list[Said]:
        """All legs of a whole answer, in their order. Of ``chat`` and ``text``, failures stand beside the choices."""
        found: list[tuple[int, Said]] = []
        for choice in told["choices"]:
            index = choice["index"]
            found.append((index, Said(models[index], self.text(choice), choice["finish_reason"] == "stop")))
        found += [(one["index"], Said(one["model"], code=one["code"])) for one in told.get("errors", ())]
        return [said for _, said in sorted(found, key=lambda pair: pair[0])]

    def text(self, choice: Any) -> str:
        return str(choice["message"]["content"])

    def piece(self, choice: Any) -> str:
        return str(choice["delta"].get("content") or "")

    def failure(self, status: int, told: Any) -> str:
        """The code of a call's failure."""
        error = told["error"]
        if not (isinstance(error["message"], str) and isinstance(error["type"], str) and error["message"]):
            raise Wrong(f"a failure of another form: {told}")
        return str(error["code"])


class Text(Dialect):
    name: Name = "text"
    path = "/v1/completions"

    def input(self, prompt: str) -> dict[str, Any]:
        return {"prompt": prompt}

    def text(self, choice: Any) -> str:
        return str(choice["text"])

    def piece(self, choice: Any) -> str:
        return str(choice["text"])


class Thiggle(Text):
    name: Name = "thiggle"
    path = "/v1/completion"

    def choices(self, told: Any, models: tuple[str, ...]) -> list[Said]:
        found = []
        for choice in told["choices"]:
            error = choice.get("error")
            code = error["code"] if error else ""
            if bool(error) != (choice["finish_reason"] in ("error", "timeout")):
                raise Wrong(f"a choice that failed and did not: {choice}")
            found.append(Said(choice["model"], choice["text"], choice["finish_reason"] == "stop", code))
        return found

    def failure(self, status: int, told: Any) -> str:
        if told["code"] != status or not isinstance(told["error"], str) or not told["error"]:
            raise Wrong(f"a failure of another form: {told}")
        return "/".join(sorted({leg["code"] for leg in told.get("errors", ())})) or str(status)


class Typed(Thiggle):
    name: Name = "typed"
    path = "/v1/completion/typed"

    def input(self, prompt: str) -> dict[str, Any]:
        return {"prompt": prompt, "schema": SCHEMA, "type_name": "Person"}


class Lamini(Dialect):
    name: Name = "lamini"
    statuses = frozenset({524})
    path = "/v1/completions"

    def asked(self, models: tuple[str, ...], prompt: str) -> dict[str, Any]:
        return {"model_name": models[0], "prompt": prompt}

    def choices(self, told: Any, models: tuple[str, ...]) -> list[Said]:
        return [Said(models[0], told["output"], True)]

    def failure(self, status: int, told: Any) -> str:
        if not isinstance(told["detail"], str) or not told["detail"]:
            raise Wrong(f"a failure of another form: {told}")
        return str(status)


DIALECTS: dict[Name, Dialect] = {one.name: one for one in (Dialect(), Text(), Thiggle(), Typed(), Lamini())}
