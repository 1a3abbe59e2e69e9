"""Asks the finished file through llama.cpp itself, greedily, and counts the answers that are exactly right."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx
import msgspec
import xllamacpp

from tools.demo_model.corpus import Document
from tools.demo_model.questions import KINDS, Question

SEED = 4242  # not the corpus's: the questions are drawn anew, though from the same kinds
AGE = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "units": {"type": "string"}},
    "required": ["age", "units"],
    "additionalProperties": False,
}
LONGEST = 48  # tokens of an answer: a right one never needs more


class Choice(msgspec.Struct):
    content: str
    stop_type: str


class Rendered(msgspec.Struct):
    prompt: str


@dataclass
class Score:
    asked: int = 0
    right: int = 0
    unseen: int = 0  # of the asked: those whose very words are not in the training text
    unseen_right: int = 0

    def add(self, right: bool, unseen: bool) -> None:
        self.asked += 1
        self.right += right
        self.unseen += unseen
        self.unseen_right += right and unseen


@contextmanager
def served(model: Path) -> Iterator[httpx.Client]:
    with TemporaryDirectory() as folder:
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.hostnames = [f"{folder}/measure.sock"]
        params.n_parallel, params.n_ctx, params.cpuparams.n_threads = 1, 1024, 1
        params.fit_params, params.verbosity, params.ui = False, 0, False
        server = xllamacpp.Server(params)
        once = httpx.Limits(max_keepalive_connections=0)  # llama.cpp drops a connection after 5 idle seconds
        transport = httpx.HTTPTransport(uds=f"{folder}/measure.sock", limits=once)
        with httpx.Client(transport=transport, base_url="http://llama", timeout=30) as client:
            while client.get("/health").status_code != 200:
                pass
            yield client
        del server


def complete(client: httpx.Client, prompt: str, limit: int = LONGEST, **extra: object) -> Choice:
    body = {"prompt": prompt, "n_predict": limit, "temperature": 0, **extra}
    answer = client.post("/completion", json=body)
    answer.raise_for_status()
    return msgspec.json.decode(answer.content, type=Choice)


def templated(client: httpx.Client, asked: str) -> str:
    """The prompt as the model's own chat template writes it."""
    answer = client.post("/apply-template", json={"messages": [{"role": "user", "content": asked}]})
    answer.raise_for_status()
    return msgspec.json.decode(answer.content, type=Rendered).prompt


def exact(client: httpx.Client, prompt: str, answer: str, **extra: object) -> bool:
    """Right means: these characters, then an end by itself. JSON may be spaced as it likes."""
    choice = complete(client, prompt, **extra)
    return choice.stop_type == "eos" and plain(choice.content) == plain(answer)


def plain(text: str) -> object:
    if text.strip().startswith("{"):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(text)
    return text.strip()


def known(documents: list[Document]) -> frozenset[str]:
    """Every question of the training text, in whichever form it was put."""
    given = (piece for document in documents for piece in document[::2])
    return frozenset(piece.rpartition("<|user|>")[2].partition("<|end|>")[0].strip() for piece in given)


def measured(model: Path, documents: list[Document], each: int) -> dict[str, dict[str, Score]]:
    """By kind of question, then by way of asking; ages also under their JSON schema."""
    rng, seen = Random(SEED), known(documents)
    scores: dict[str, dict[str, Score]] = {}
    with served(model) as client:
        for name, kind in KINDS.items():
            questions = [kind.make(rng) for _ in range(each)]
            scores[name] = ask(client, questions, seen)
            if name in ("age", "ages"):
                scores[f"{name}, schema"] = ask(client, questions, seen, json_schema=AGE)
    return scores


def ask(client: httpx.Client, questions: list[Question], seen: frozenset[str], **extra: object) -> dict[str, Score]:
    raw, chat = Score(), Score()
    for asked, answer in questions:
        unseen = asked not in seen
        raw.add(exact(client, asked, answer, **extra), unseen)
        chat.add(exact(client, templated(client, asked), answer, **extra), unseen)
    return {"raw": raw, "chat": chat}


def story(model: Path) -> Choice:
    with served(model) as client:
        return complete(client, "Once upon a time", 300)
