"""The maker of the demo model: its export says to llama.cpp exactly what torch means. Needs the maker's packages."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.embedded import MODEL_FILE
from tools.demo_model.corpus import Document, documents
from tools.demo_model.questions import first_questions, second_questions

torch: Any = pytest.importorskip("torch", reason="torch is needed only to make the demo model")
gguf: Any = import_module("gguf")
export: Any = import_module("tools.demo_model.export")
maker: Any = import_module("tools.demo_model.__main__")
measure: Any = import_module("tools.demo_model.measure")
model: Any = import_module("tools.demo_model.model")
tokenizer: Any = import_module("tools.demo_model.tokenizer")
train: Any = import_module("tools.demo_model.train")

PROMPTS = 40
NOISE = 0.3  # of a logprob: llama.cpp also rounds what flows between q8_0 matrices; see the README for what was seen


@pytest.fixture(scope="module")
def words() -> Any:
    """The tokenizer, made anew from the corpus."""
    corpus = documents(1, maker.FOR_TOKENIZER, first_questions)
    return tokenizer.train_tokenizer(corpus)


@pytest.fixture(scope="module")
def shipped() -> Any:
    """The torch model with the weights of the file that ships."""
    llama = model.Llama(model.Shape())
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(MODEL_FILE).tensors}
    with torch.no_grad():
        for name, weight in llama.named_parameters():
            tensor = tensors.pop(export.gguf_name(name))
            weight.copy_(torch.tensor(gguf.quants.dequantize(tensor.data, tensor.tensor_type)))
    assert tensors == {}
    return llama.eval()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with measure.served(MODEL_FILE) as client:
        yield client


def fresh(count: int) -> list[Document]:
    return list(documents(77, count, second_questions))


def test_the_file_that_ships_is_what_the_export_writes(words: Any, shipped: Any, tmp_path: Path) -> None:
    """Byte for byte: q8_0 of what q8_0 stands for is the same q8_0, and the tokenizer comes from the corpus."""
    export.write_gguf(shipped, words, tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == MODEL_FILE.read_bytes()


def test_llama_tokenizes_as_the_training_did(words: Any, client: httpx.Client) -> None:
    for document in fresh(300):
        for piece in document:
            answer = client.post("/tokenize", json={"content": piece, "parse_special": True})
            assert answer.json()["tokens"] == words.encode(piece, add_special_tokens=False).ids


def test_llama_computes_what_torch_computes(words: Any, shipped: Any, client: httpx.Client) -> None:
    ids, _ = tokenizer.encode(words, fresh(PROMPTS))
    for end in range(10, 10 + 5 * PROMPTS, 5):
        prompt = ids[:end]
        with torch.no_grad():
            expected = shipped(torch.tensor([prompt]))[0, -1].log_softmax(-1)
        body = {"prompt": prompt, "n_predict": 1, "n_probs": 50, "temperature": 0, "cache_prompt": False}
        found = client.post("/completion", json=body).json()["completion_probabilities"][0]["top_logprobs"]
        likely = [token for token in found if token["logprob"] > -8]
        assert max(abs(token["logprob"] - expected[token["id"]].item()) for token in likely) < NOISE
        assert expected.max().item() - expected[found[0]["id"]].item() < NOISE


def test_training_repeats_itself(words: Any) -> None:
    ids, said = tokenizer.encode(words, fresh(200))
    text = train.Text(torch.tensor(ids), torch.tensor(said))
    lesson = train.Lesson(steps=4, peak=1e-3, answers_only=True, tokens=128, short=32, long=64, warm_up=2)
    shape = model.Shape(context=64, width=16, layers=1, heads=2, kv_heads=1, hidden=32)

    def losses() -> list[float]:
        seen: list[float] = []
        torch.manual_seed(1)
        train.train(model.Llama(shape), text, lesson, lambda step, loss: seen.append(loss))
        return seen

    assert losses() == losses()


def test_only_what_the_model_shall_say_counts(words: Any) -> None:
    ids, said = tokenizer.encode(words, [("What is 2 + 3?", " 5.")])
    counted = [identity for identity, one in zip(ids, said, strict=True) if one]
    assert counted == [*words.encode(" 5.", add_special_tokens=False).ids, tokenizer.END]
