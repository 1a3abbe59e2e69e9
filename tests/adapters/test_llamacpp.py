"""llama.cpp itself, with the model that ships: what it is asked to keep an answer to, it keeps."""

import gc
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from msgspec import Raw

from adapters.local.llamacpp import LlamaCpp
from adapters.types import (
    AnyJson,
    Call,
    Chat,
    Choice,
    Constraint,
    Grammar,
    Host,
    HttpResponse,
    JsonSchema,
    OneOf,
    Params,
    Prompts,
    Regex,
    Reply,
)

MODEL = Path(__file__).parents[2] / "gateway" / "embedded" / "demo.gguf"
PROMPT = "Once upon a time"
CHAT = Chat(Raw(b'[{"role":"user","content":"Tell me a story."}]'))

pytestmark = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is optional")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(MODEL)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = 1024, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.fit_params, params.offline, params.ui, params.verbosity, params.cache_ram_mib = False, True, False, 0, 0
    running = xllamacpp.Server(params)
    yield running.listening_address
    del running
    gc.collect()


def ask(server: str, call: Call) -> Reply:
    adapter = LlamaCpp(Host(base_url=server, engine="llama.cpp"))
    request = adapter.encode(call)
    with urlopen(Request(request.endpoint.url, request.body, dict(request.endpoint.headers))) as answer:
        body = answer.read()
    if not call.stream:
        return adapter.decode(call, HttpResponse(200, [], body))
    decoder = adapter.decoder(call)
    deltas = decoder.feed(body)
    decoder.close()
    last = deltas[-1]
    assert last.finish is not None
    return Reply((Choice(0, "".join([delta.text for delta in deltas]), last.finish),), decoder.usage)


AGE = b'{"type":"object","properties":{"age":{"enum":[1,2]},"ok":{"type":"boolean"}},"required":["age","ok"]'
KINDS: dict[str, tuple[Constraint, str]] = {
    "schema": (JsonSchema(Raw(AGE + b',"additionalProperties":false}')), r'\{\s*"age"\s*:\s*[12]\s*,\s*"ok"[^}]*\}'),
    "root that is no object": (JsonSchema(Raw(b'{"enum":["x","y"]}')), '"[xy]"'),
    "any JSON": (AnyJson(), r"(?s)\{.*\}"),
    "regex": (Regex(r"^[A-Z][a-z]{1,6}( [a-z]+){2}\.$"), r"[A-Z][a-z]{1,6}( [a-z]+){2}\."),
    "regex of escapes": (Regex(r"\d{2}-[\]\-^]\x41\u00e9?\."), r"\d{2}-[\]\-^]\x41\u00e9?\."),
    "choice": (OneOf(('a "cat"', "a\\dog\n", "é")), r'a "cat"|a\\dog\n|é'),
    "GBNF": (Grammar('root ::= "<" [a-z]{2,5} ">"'), "<[a-z]{2,5}>"),
    "Lark": (Grammar('start: pair "," pair\npair: "(" D "-" D~1..3 ")"\nD: "0".."4"'), r"(\([0-4]-[0-4]{1,3}\),?){2}"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", [PROMPT, CHAT], ids=["text", "chat"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_keeps_its_constraint(server: str, kind: str, text: str | Chat, stream: bool) -> None:
    """At a temperature at which this model writes nothing of the kind by itself. Only its end may be missing."""
    constraint, pattern = KINDS[kind]
    for seed in (1, 2, 3):
        asked = Params(max_tokens=80, temperature=1.2, seed=seed)
        (choice,) = ask(server, Call("demo", text, asked, stream, constraint=constraint)).choices
        if choice.finish == "stop":
            assert re.fullmatch(pattern, choice.text), choice.text
            return
    pytest.fail(f"no answer came to its end: {choice.text!r}")


def test_without_a_constraint_it_says_something_else(server: str) -> None:
    (choice,) = ask(server, Call("demo", PROMPT, Params(max_tokens=20, temperature=0))).choices
    assert not any(re.fullmatch(pattern, choice.text) for _, pattern in KINDS.values())


def test_token_ids_say_what_their_text_says(server: str) -> None:
    asked = Params(max_tokens=8, temperature=0)
    body = json.dumps({"content": PROMPT, "add_special": True}).encode()
    with urlopen(Request(f"{server}/tokenize", body)) as answer:
        tokens = tuple(json.loads(answer.read())["tokens"])
    assert (
        ask(server, Call("demo", Prompts((tokens,)), asked)).choices == ask(server, Call("demo", PROMPT, asked)).choices
    )


@pytest.mark.parametrize("text", [PROMPT, CHAT], ids=["text", "chat"])
def test_logprobs_and_bias(server: str, text: str | Chat) -> None:
    asked = Params(max_tokens=3, temperature=0, logprobs=1, logit_bias={"272": 100.0})
    chat = isinstance(text, Chat)
    fields = {"logprobs": Raw(b"true" if chat else b"1"), "logit_bias": Raw(b'{"272":100}')}
    (choice,) = ask(server, Call("demo", text, asked, fields=fields)).choices
    assert choice.text == " the the the"
    assert choice.raw is not None
    told = json.loads(bytes(choice.raw["logprobs"]))["content"]
    assert [(token["token"], len(token["top_logprobs"])) for token in told] == [(" the", 1)] * 3


def test_a_stop_string_is_told_if_that_is_asked(server: str) -> None:
    def said(include: bool) -> str:
        asked = Params(max_tokens=40, temperature=0, stop=("the",), include_stop=include)
        return ask(server, Call("demo", "The fox", asked)).choices[0].text

    assert said(True) == said(False) + "the"


def test_whole_numbers_have_an_end(server: str) -> None:
    """The demo model writes digits to its limit of tokens, if it may."""
    schema = b'{"type":"object","properties":{"n":{"anyOf":[{"type":"integer"},{"type":"null"}]}},"required":["n"]}'
    for where in (schema, schema.replace(b'{"anyOf":[{"type":"integer"},{"type":"null"}]}', b'{"type":"integer"}')):
        call = Call("demo", "JSON:", Params(temperature=0, max_tokens=60), constraint=JsonSchema(Raw(where)))
        assert isinstance(json.loads(ask(server, call).choices[0].text), dict)
