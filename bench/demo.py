"""The demo model as it ships: typed calls of many kinds, each answer judged by its type's JSON Schema."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn

from jsonschema_rs import Validator, validator_for

from bench.conversion import schemas
from bench.measure import Bench, Sample
from bench.peers import Peer, as_shipped
from bench.schemas import SCHEMAS, Asked

PATH = "/v1/completion/typed"
AT_ONCE = 4
PATIENCE_S = 120


@dataclass(frozen=True)
class Called:
    """A call that was made, and what was wrong with its answer; empty when it was valid."""

    asked: Asked
    prompt: str
    problem: str


def demo(bench: Bench, peer: Peer) -> Sample:
    """How many of the calls are answered with a valid answer."""
    validators = [validator_for(schema, validate_formats=True) for schema in schemas(peer, SCHEMAS)]
    with bench.running(as_shipped(peer)) as target:
        began = time.monotonic()
        made = call_all(target.port, peer.headers, validators, bench.options.calls)
        seconds = time.monotonic() - began
    valid = sum(not call.problem for call in made)
    notes = [
        f"demo: {valid:,} of {len(made):,} answers valid, {seconds:.1f} s, {AT_ONCE} calls at a time",
        *failures(made),
    ]
    return Sample({"valid": valid, "calls": len(made), "demo_s": seconds}, 0, notes=notes)


def call_all(port: int, headers: Sequence[str], validators: Sequence[Validator], calls: int) -> list[Called]:
    """The types take turns, so that a few calls are of all of them."""
    each = calls // len(SCHEMAS)
    turns = zip(*([(one, prompt) for prompt in list(one.prompts)[:each]] for one in SCHEMAS), strict=True)
    wanted = [(*call, validator) for turn in turns for call, validator in zip(turn, validators, strict=True)]
    fields = dict(header.split(": ", 1) for header in headers) | {"Content-Type": "application/json"}

    def client(which: int) -> list[Called]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            return [
                Called(asked, prompt, call(connection, fields, asked, prompt, validator))
                for asked, prompt, validator in wanted[which::AT_ONCE]
            ]
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [called for made in pool.map(client, range(AT_ONCE)) for called in made]


def call(
    connection: http.client.HTTPConnection,
    headers: Mapping[str, str],
    asked: Asked,
    prompt: str,
    validator: Validator,
) -> str:
    """What was wrong with the answer."""
    body = {"model": "demo", "prompt": prompt, "schema": asked.text, "type_name": asked.type_name}
    try:
        connection.request("POST", PATH, json.dumps(body), headers)
        answer = connection.getresponse()
        status, data = answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"{type(error).__name__}: {error}"
    return judged(status, data, validator)


def judged(status: int, data: bytes, validator: Validator) -> str:
    """What is wrong with an answer of the route; empty when nothing is."""
    if status != 200:
        return f"HTTP {status}: {sentence(data)}"
    text = ""
    try:
        [choice] = json.loads(data)["choices"]
        text, reason = choice["text"], choice["finish_reason"]
        value = json.loads(text, parse_constant=refuse)
    except (KeyError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}: {text or data.decode(errors='replace')}"
    if reason != "stop":
        return f"finish_reason {reason}: {text}"
    mistake = next(iter(validator.iter_errors(value)), None)
    return "" if mistake is None else f"{mistake.message}, at {list(mistake.instance_path)}: {text}"


def sentence(data: bytes) -> str:
    """What an error says, or all of it where it is none of the gateway's."""
    try:
        return str(json.loads(data)["error"])
    except (KeyError, TypeError, ValueError):
        return data.decode(errors="replace")


def refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def failures(made: Sequence[Called]) -> list[str]:
    """A line for each type some of whose answers were not valid, with the first of them."""
    found = []
    for asked in SCHEMAS:
        mine = [call for call in made if call.asked is asked]
        bad = [call for call in mine if call.problem]
        if bad:
            found.append(
                f"demo, {asked.name}: {len(bad)} of {len(mine)} not valid; the first: {bad[0].prompt!r}: "
                f"{bad[0].problem}"
            )
    return found
