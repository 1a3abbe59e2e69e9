"""Tokenizers of GGUF files against llama.cpp itself: the model that ships, and its weights with other tokenizers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import httpx
import msgspec
import pytest

from adapters.types import Call, Chat, Prompts
from gateway.embedded import MODEL_FILE
from gateway.estimates import Estimator, load

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is optional")

TEXTS = [
    "",
    "a",
    "Once upon a time, there was a little fox who lived by the river.",
    "It's 12,345.678 o'clock; they'LL say: \"we've had 1234567 apples!\"",
    "  two spaces,\n\n\tand tabs\r\nand   trailing   ",
    "Grüße aus Köln — naïve café, Ångström",
    "Привет, мир! Как дела? Всё ХОРОШО.",
    "你好，世界。今天天气很好！ 日本語もできます。 한국어",
    "emoji \U0001f600\U0001f469\u200d\U0001f680 and e\u0301 accents",
    "def f(x):\n    return [i**2 for i in range(10) if i % 2 == 0]  # ok\n",
    '{"a": [1, 2.5e-3, null], "b": {"c": "d"}}',
    "<|user|>hello<|end|><|assistant|>",
    "CamelCaseWordsAndHTMLParser UPPER lower ÀÉÎ",
    "\u00a0non-breaking\u3000wide\u2003spaces",
    "x" * 300 + " " * 50 + "!" * 40 + "\n" * 7,
]


@contextmanager
def served(model: Path) -> Iterator[httpx.Client]:
    with TemporaryDirectory(prefix="llama-") as folder:
        socket = f"{folder}/l.sock"
        command = [sys.executable, "-m", "gateway.embedded", "--socket", socket, "--model", str(model)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
            try:
                assert process.stdout is not None and process.stdout.readline()
                transport = httpx.HTTPTransport(uds=socket, limits=httpx.Limits(max_keepalive_connections=0))
                with httpx.Client(transport=transport, base_url="http://llama", timeout=10) as client:
                    yield client
            finally:
                process.kill()


def theirs(client: httpx.Client, text: str) -> int:
    """As llama.cpp divides a prompt: with what stands before it, and special tokens where they are written."""
    body = {"content": text, "add_special": True, "parse_special": True}
    return len(client.post("/tokenize", json=body).json()["tokens"])


def with_tokenizer(path: Path, add: Any) -> None:
    """The demo model's weights and another tokenizer of as many tokens."""
    reader, writer = gguf.GGUFReader(MODEL_FILE), gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        if name.startswith(("llama.", "general.file_type")):
            writer.add_key_value(name, field.contents(), field.types[0])
    add(writer, {name: field.contents() for name, field in reader.fields.items() if name.startswith("tokenizer.")})
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[httpx.Client]:
    with served(MODEL_FILE) as client:
        yield client


def test_the_demo_model_s_prompts_are_counted_exactly(demo: httpx.Client) -> None:
    tokenizer = load(str(MODEL_FILE), {})
    assert tokenizer.begin == 1
    assert [tokenizer.count(text) + 1 for text in TEXTS] == [theirs(demo, text) for text in TEXTS]


def test_bare_prompts_are_estimated_exactly(demo: httpx.Client) -> None:
    estimator = Estimator(load(str(MODEL_FILE), {}), template=False)
    for text in TEXTS[1:]:
        body = {"prompt": text, "max_tokens": 1}
        usage = demo.post("/v1/completions", json=body).json()["usage"]
        assert estimator.before(Call("demo", text)).input == usage["prompt_tokens"]
    both = estimator.before(Call("demo", Prompts((TEXTS[1], TEXTS[2], (1, 2, 3))))).input
    assert both == theirs(demo, TEXTS[1]) + theirs(demo, TEXTS[2]) + 3


@pytest.mark.parametrize("times", [1, 2, 6])
def test_chats_are_never_estimated_below(demo: httpx.Client, times: int) -> None:
    """At first, and no more when reports have taught what the template adds; then within a few tokens."""
    estimator = Estimator(load(str(MODEL_FILE), {}))
    for _ in range(2):
        for text in TEXTS[1:-1]:
            turns = [{"role": ("user", "assistant")[i % 2], "content": text[:24]} for i in range(times * 2 - 1)]
            call = Call("demo", Chat(msgspec.Raw(msgspec.json.encode(turns))))
            body = {"messages": turns, "max_tokens": 1}
            usage = demo.post("/v1/chat/completions", json=body).json()["usage"]
            guess = estimator.before(call)
            assert guess.input >= usage["prompt_tokens"]
            estimator.learn(guess, usage["prompt_tokens"], usage["completion_tokens"])
    assert guess.input <= 1.5 * usage["prompt_tokens"] + 8
    assert estimator.likely(guess)[0] == pytest.approx(usage["prompt_tokens"], abs=2 * times)


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "smollm", "gpt-4o", "tekken"])
def test_other_ways_to_cut_a_text(tmp_path: Path, pre: str) -> None:
    def add(writer: gguf.GGUFWriter, told: dict[str, Any]) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(told["tokenizer.ggml.tokens"])
        writer.add_token_types(told["tokenizer.ggml.token_type"])
        writer.add_token_merges(told["tokenizer.ggml.merges"])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)

    with_tokenizer(tmp_path / "other.gguf", add)
    tokenizer = load("other.gguf", {}, tmp_path)
    with served(tmp_path / "other.gguf") as client:
        assert [tokenizer.count(text) + tokenizer.begin for text in TEXTS] == [theirs(client, text) for text in TEXTS]


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_by_scores(tmp_path: Path, prefix: bool) -> None:
    def add(writer: gguf.GGUFWriter, told: dict[str, Any]) -> None:
        kinds = gguf.TokenType
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * 256
        learned = dict.fromkeys(text.replace("\u0120", "\u2581") for text in told["tokenizer.ggml.tokens"][7:])
        pieces = [text for text in learned if text.replace("\u2581", "").isascii()]
        tokens += pieces[: 1000 - len(tokens)]
        types += [kinds.NORMAL] * (len(tokens) - len(types))
        filler = [f"<fill{i}>" for i in range(1024 - len(tokens))]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens + filler)
        writer.add_token_scores([-float(i) for i in range(1024)])
        writer.add_token_types(types + [kinds.UNUSED] * len(filler))
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_space_prefix(prefix)

    with_tokenizer(tmp_path / "spm.gguf", add)
    tokenizer = load("spm.gguf", {}, tmp_path)
    with served(tmp_path / "spm.gguf") as client:
        assert [tokenizer.count(text) + tokenizer.begin for text in TEXTS] == [theirs(client, text) for text in TEXTS]
