"""Lamini's own published clients, of both generations, against this gateway: on a Python of their own, which
``make test`` installs, with stand-ins for the large packages that a completion never needs."""

import asyncio
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.test_serve import serving as serving_process
from tests.provider import Provider, Script
from tests.serving import KEY, application, serving

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv-clients"
STUBS = Path(__file__).parent / "stubs"

pytestmark = pytest.mark.skipif(not (CLIENTS / "ready").exists(), reason="make test installs Lamini's clients")

# The clients' pauses between two looks are seconds long; nothing else of theirs is touched.
PRELUDE = """
import asyncio, json, os, time
asyncio.sleep = lambda seconds, *rest, real=asyncio.sleep: real(min(seconds, 0.05), *rest)
time.sleep = lambda seconds, real=time.sleep: real(min(seconds, 0.05))
import lamini
from lamini import Lamini

def failure(work):
    try:
        work()
    except Exception as exc:
        return [type(exc).__name__, str(exc)]

"""


async def run(home: Path, url: str, key: str, code: str, old: bool = False) -> Any:
    """What the code leaves in ``answer``, run by the client of today or the one of old."""
    program = PRELUDE + textwrap.dedent(code) + "\nprint('\\n' + json.dumps(answer))\n"
    paths = [str(CLIENTS / "old"), str(STUBS)] if old else [str(STUBS)]
    process = await asyncio.create_subprocess_exec(
        str(CLIENTS / "bin" / "python"),
        "-c",
        program,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),  # there may be a ~/.lamini
            "PYTHONPATH": ":".join(paths),
            "LAMINI_API_KEY": key,
            "LAMINI_API_URL": url,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(40):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return msgspec.json.decode(out.splitlines()[-1])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The whole gateway over its own model: its address and key."""
    with serving_process(tmp_path_factory.mktemp("gateway")) as gateway:
        [key] = re.findall(r"key of team default, shown this once: (\S+)\n", gateway.await_banner())
        yield gateway.url, key


async def test_generate_over_the_real_model(demo: tuple[str, str], tmp_path: Path) -> None:
    answer = await run(
        tmp_path,
        *demo,
        """
        llm = Lamini("demo")
        answer = [
            lamini.__version__,
            llm.generate("What is 2 + 3?"),
            llm.generate(["What is 2 + 3?", "What is 4 + 4?"], max_new_tokens=20),
            llm.generate("What is 2 + 3?", output_type={"sure": "bool", "n": [1, 2, 5]}, max_new_tokens=60),
            llm.generate(["What is 2 + 3?"] * 2, output_type={"kind": ["even", "odd"]}, max_new_tokens=60),
        ]
        """,
    )
    version, one, several, typed, chosen = answer
    assert version == "3.4.6"
    assert one == " 2 + 3 = 5."
    assert several == [" 2 + 3 = 5.", " 4 + 4 = 8."]
    assert list(typed) == ["sure", "n"]
    assert typed["sure"] in (True, False) and typed["n"] in (1, 2, 5)
    assert len(chosen) == 2 and all(found["kind"] in ("even", "odd") for found in chosen)


async def test_errors_are_the_clients_own_exceptions(demo: tuple[str, str], tmp_path: Path) -> None:
    answer = await run(
        tmp_path,
        *demo,
        """
        llm = Lamini("demo")
        answer = {
            "model": failure(lambda: Lamini("nope").generate("x")),
            "key": failure(lambda: Lamini("demo", api_key="wrong").generate("x")),
            "type": failure(lambda: llm.generate("x", output_type={"age": "number"})),
            "prompt": failure(lambda: llm.generate("")),
            "cut": failure(lambda: llm.generate("x", output_type={"text": "str"}, max_new_tokens=1)),
            "offered": failure(lambda: Lamini("gpt-4.1").generate("x")),
        }
        """,
    )
    kinds = {name: kind for name, (kind, _) in answer.items()}
    assert kinds == {
        "model": "ModelNotFoundError",
        "key": "AuthenticationError",
        "type": "UserError",
        "prompt": "UserError",
        "cut": "UserError",
        "offered": "UnavailableResourceError",
    }
    assert answer["model"][1].startswith("there is no model 'nope'")
    assert answer["key"][1] == "the API key is not known, or it is disabled, revoked, or was replaced"
    assert answer["type"][1].startswith("output_type.age: must be")
    assert "limit" in answer["cut"][1]


async def test_a_pipeline_of_twenty_prompts(demo: tuple[str, str], tmp_path: Path) -> None:
    answer = await run(
        tmp_path,
        *demo,
        """
        from lamini import GenerationNode, GenerationPipeline, PromptObject

        class Sums(GenerationPipeline):
            def __init__(self):
                super().__init__()
                self.node = GenerationNode("demo", max_new_tokens=20)

            def forward(self, prompt):
                return self.node(prompt)

        async def main():
            prompts = iter([PromptObject(f"What is {i} + 1?") for i in range(20)])
            pipeline = Sums()
            found = [[o.prompt, o.response, o.finish_reason] async for o in pipeline.call(prompts)]
            return found, len(pipeline.node.failed_prompts)

        answer = asyncio.run(main())
        """,
    )
    found, failed = answer
    assert failed == 0
    assert sorted(prompt for prompt, _, _ in found) == sorted(f"What is {i} + 1?" for i in range(20))
    assert {finish for _, _, finish in found} == {"stop"}
    assert {"What is 2 + 1?": {"output": " 2 + 1 = 3."}}.items() <= {p: response for p, response, _ in found}.items()


async def test_streaming_and_batches_over_the_real_model(demo: tuple[str, str], tmp_path: Path) -> None:
    answer = await run(
        tmp_path,
        *demo,
        """
        from lamini import StreamingCompletion
        from lamini.api.utils.batch_completions import BatchCompletions

        stream = StreamingCompletion().create("Once upon a time", "demo", max_new_tokens=60, polling_interval=0.01)
        batch = BatchCompletions().streaming_generate(
            ["What is 2 + 3?", "What is 4 + 4?"], "demo", output_type={"sum": [5, 8]}, max_new_tokens=60,
            polling_interval=0.01,
        )
        answer = [[seen for seen in stream if seen], list(batch)]
        """,
    )
    stream, batch = answer
    [last] = stream[-1]["outputs"]
    assert stream[-1]["finish_reason"] in (["length"], ["stop"])
    assert all(last["output"].startswith(seen["outputs"][0]["output"]) for seen in stream)
    assert [(list(found["output"]), found["finish_reason"]) for found in batch] == [(["sum"], "stop")] * 2


async def test_the_old_client(demo: tuple[str, str], tmp_path: Path) -> None:
    """Version 2.0 declares types as ``out_type``, and reserves what it will need."""
    answer = await run(
        tmp_path,
        *demo,
        """
        from importlib.metadata import version
        from lamini.api.utils.reservations import get_reservation_api

        llm = Lamini("demo")
        prompts = [f"What is {i} + 1?" for i in range(12)]
        answer = {
            "version": version("lamini"),
            "one": llm.generate("What is 2 + 3?"),
            "several": llm.generate(prompts, max_new_tokens=20),
            "reserved": getattr(get_reservation_api(), "batch_size", None),  # set when it was granted
            "typed": llm.generate(prompts[:6], output_type={"kind": ["even", "odd"]}, max_new_tokens=60),
            "model": failure(lambda: Lamini("nope").generate("x"))[0],
        }
        """,
        old=True,
    )
    assert (answer["version"], answer["one"], answer["reserved"]) == ("2.0.16", " 2 + 3 = 5.", 5)
    assert len(answer["several"]) == 12 and answer["several"][2] == " 2 + 1 = 3."
    assert [found["kind"] in ("even", "odd") for found in answer["typed"]] == [True] * 6
    assert answer["model"] == "ModelNotFound"


async def test_failing_providers_are_the_clients_own_exceptions(provider: Provider, tmp_path: Path) -> None:
    provider.scripts |= {"a": Script(status=429), "b": Script(status=504), "c": Script(status=500)}
    async with serving(application(tmp_path, provider.url)) as url:
        answer = await run(
            tmp_path,
            url,
            KEY,
            """
            from lamini import StreamingCompletion
            answer = [failure(lambda: Lamini(model).generate("x"))[0] for model in ("a", "b", "c", "down")]
            answer.append(failure(lambda: list(StreamingCompletion().create("x", "c")))[0])
            """,
        )
    unavailable = "UnavailableResourceError"
    assert answer == ["RateLimitError", "RequestTimeoutError", unavailable, unavailable, unavailable]


async def test_numbers_are_numbers(provider: Provider, tmp_path: Path) -> None:
    provider.scripts["a"] = Script(('{"units": "years", "age": 10, ', '"share": 0.5}'))
    async with serving(application(tmp_path, provider.url)) as url:
        code = """
            answer = Lamini("a").generate("x", output_type={"age": "int", "share": "float", "units": "str"})
            answer = list(answer.items())
            """
        for old in (False, True):
            answer = await run(tmp_path, url, KEY, code, old)
            assert answer == [["age", 10], ["share", 0.5], ["units", "years"]]
