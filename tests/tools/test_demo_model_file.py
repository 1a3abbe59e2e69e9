"""The model file that is checked in: small, whole, and the one its maker wrote down. Needs nothing of the maker's."""

import hashlib
import struct
from io import BytesIO
from pathlib import Path

from gateway.embedded import CONTEXT, MODEL_FILE
from tools.demo_model.corpus import documents
from tools.demo_model.questions import first_questions

README = Path(__file__).parents[2] / "tools" / "demo_model" / "README.md"
LIMIT = 1_200_000  # bytes

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9  # GGUF's numbers of types; the rest are the scalars


def scalar(data: BytesIO, code: str) -> int:
    value: int = struct.unpack(f"<{code}", data.read(struct.calcsize(f"<{code}")))[0]
    return value


def value(data: BytesIO, kind: int) -> object:
    if kind == STRING:
        return data.read(scalar(data, "Q")).decode()
    if kind == ARRAY:
        of, length = scalar(data, "I"), scalar(data, "Q")
        return [value(data, of) for _ in range(length)]
    return scalar(data, SCALARS[kind])


def metadata(content: bytes) -> dict[str, object]:
    """The keys and values at the head of a GGUF file."""
    data = BytesIO(content)
    assert data.read(4) == b"GGUF"
    assert scalar(data, "I") == 3  # the format's version
    scalar(data, "Q")  # how many tensors
    pairs = scalar(data, "Q")
    return {str(value(data, STRING)): value(data, scalar(data, "I")) for _ in range(pairs)}


def test_it_is_small_enough_to_ship() -> None:
    assert MODEL_FILE.stat().st_size < LIMIT


def test_it_is_the_file_its_maker_measured() -> None:
    digest = hashlib.sha256(MODEL_FILE.read_bytes()).hexdigest()
    assert MODEL_FILE.with_suffix(".gguf.sha256").read_text() == f"{digest}  demo.gguf\n"
    assert digest in README.read_text()


def test_it_says_what_llama_needs_to_know() -> None:
    told = metadata(MODEL_FILE.read_bytes())
    tokens = told["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    assert {
        "general.architecture": told["general.architecture"],
        "llama.context_length": told["llama.context_length"],
        "llama.block_count": told["llama.block_count"],
        "tokenizer.ggml.add_bos_token": told["tokenizer.ggml.add_bos_token"],
        "vocabulary": len(tokens),
        "bos": tokens[int(str(told["tokenizer.ggml.bos_token_id"]))],
        "eos": tokens[int(str(told["tokenizer.ggml.eos_token_id"]))],
        "eot": tokens[int(str(told["tokenizer.ggml.eot_token_id"]))],
    } == {
        "general.architecture": "llama",
        "llama.context_length": CONTEXT,
        "llama.block_count": 4,
        "tokenizer.ggml.add_bos_token": True,
        "vocabulary": 1024,
        "bos": "<s>",
        "eos": "</s>",
        "eot": "<|end|>",
    }
    assert "<|assistant|>" in str(told["tokenizer.chat_template"])


def test_the_corpus_is_the_same_each_time() -> None:
    """A changed template or an extra draw makes another text, and so another model than the one measured."""
    text = repr(list(documents(1, 2000, first_questions)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "a3ab7a76721bfda1cc709b079d3ba36165f65243f7b3a44ec1dd7477dd9d59d4"
