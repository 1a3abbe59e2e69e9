"""Tokenizers from files: what they count, what is read of them, and what is said where they cannot be had."""

import sys
from base64 import b64encode
from hashlib import sha1, sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import gguf as gguf_package
import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from gateway.embedded import MODEL_FILE
from gateway.estimates import TokenizerError, load
from gateway.estimates.gguf import metadata
from gateway.estimates.via_tiktoken import ENCODINGS, SOURCE, Known

TEXT = "It's 1234 o'clock in Köln, 你好! <|endoftext|>\n\n  the END"
MERGES = (b"th", b"the", b" the", b"in", b"12", b"cl", b"oc", b"END")


def ranks() -> dict[bytes, int]:
    return {token: rank for rank, token in enumerate([*(bytes([byte]) for byte in range(256)), *MERGES])}


@pytest.fixture
def vocabulary(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small file in tiktoken's form that stands for cl100k_base's."""
    data = b"\n".join(b64encode(token) + b" %d" % rank for token, rank in ranks().items()) + b"\n"
    known = ENCODINGS["cl100k_base"]
    monkeypatch.setitem(ENCODINGS, "cl100k_base", Known(known.file, sha256(data).hexdigest(), known.pattern))
    return data


def expected() -> int:
    pattern = ENCODINGS["cl100k_base"].pattern
    encoding = tiktoken.Encoding(name="x", pat_str=pattern, mergeable_ranks=ranks(), special_tokens={})
    return len(encoding.encode_ordinary(TEXT))


@pytest.mark.parametrize("name", ["cl100k_base.tiktoken", sha1(f"{SOURCE}cl100k_base.tiktoken".encode()).hexdigest()])
def test_tiktoken_by_name(tmp_path: Path, vocabulary: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(vocabulary)
    tokenizer = load("tiktoken:cl100k_base", {"TIKTOKEN_CACHE_DIR": str(tmp_path)})
    assert (tokenizer.count(TEXT), tokenizer.begin) == (expected(), 0)
    assert tokenizer.count("\ud800") > 0


def test_tiktoken_by_file(tmp_path: Path, vocabulary: bytes) -> None:
    (tmp_path / "mine.tiktoken").write_bytes(vocabulary)
    assert load("mine.tiktoken", {}, tmp_path).count(TEXT) == expected()


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_texts_are_cut_as_the_package_cuts_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked: dict[str, str] = {}
    openai_public = import_module("tiktoken_ext.openai_public")
    monkeypatch.setattr(
        openai_public, "load_tiktoken_bpe", lambda url, expected_hash: asked.update({url: expected_hash})
    )
    theirs: dict[str, Any] = openai_public.ENCODING_CONSTRUCTORS[name]()
    assert theirs["pat_str"] == ENCODINGS[name].pattern
    assert asked == {SOURCE + ENCODINGS[name].file: ENCODINGS[name].digest}


def test_a_tokenizer_json(tmp_path: Path) -> None:
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "the": 1, "END": 2, "?": 3}, unk_token="?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    inner.enable_truncation(2)
    inner.enable_padding(length=50)
    inner.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load(str(tmp_path / "tokenizer.json"), {})
    assert (tokenizer.begin, tokenizer.count("the END of it"), tokenizer.count("")) == (1, 4, 0)
    assert tokenizer.count("\ud800") == 1


def test_metadata_is_what_the_gguf_package_reads() -> None:
    reader = gguf_package.GGUFReader(MODEL_FILE)
    theirs = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert metadata(MODEL_FILE, "") == theirs
    assert metadata(MODEL_FILE, "llama.vocab") == {"llama.vocab_size": 1024}


def with_kind(path: Path, **told: str) -> None:
    writer = gguf_package.GGUFWriter(path, "llama")
    for name, value in told.items():
        writer.add_string(f"tokenizer.ggml.{name}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"model": "bert"}, "of the kind 'bert'; gpt2 and llama are known"),
        ({}, "of the kind 'None'"),
        ({"model": "gpt2", "pre": "kimi-k2"}, "cuts texts by 'kimi-k2', which is not known here"),
        ({"model": "gpt2"}, "of the kind 'gpt2' that is not complete"),
        ({"model": "llama"}, "of the kind 'llama' that is not complete"),
    ],
)
def test_gguf_files_that_say_too_little(tmp_path: Path, told: dict[str, str], message: str) -> None:
    with_kind(tmp_path / "a.gguf", **told)
    with pytest.raises(TokenizerError, match=message):
        load("a.gguf", {}, tmp_path)


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_damaged_gguf_files(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int) -> None:
    path = tmp_path_factory.mktemp("gguf") / "a.gguf"
    whole = MODEL_FILE.read_bytes()[:20_000]
    path.write_bytes(whole[:cut] + junk)
    with pytest.raises(TokenizerError):
        load(str(path), {})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"{}", "is not a tokenizer.json"),
        ("a.json", b"\xff", "is not a tokenizer.json"),
        ("a.json", b"[1, 2", "is not a tokenizer.json"),
        ("a.gguf", b"", "damaged"),
        ("a.gguf", b"GGML" * 9, "is not a GGUF file"),
        ("a.gguf", b"GGUF\x09\0\0\0" + b"\0" * 16, "of version 9"),
        ("a.tiktoken", b"QQ== 0\n", "is not the whole file of one of these encodings: cl100k_base"),
        ("a.model", b"x", "none of .gguf, .json"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TokenizerError, match=message):
        load(name, {}, tmp_path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="there is no file .*none.gguf"):
        load("none.gguf", {}, tmp_path)
    with pytest.raises(TokenizerError, match="tiktoken:gpt9 is not known; these are: cl100k_base"):
        load("tiktoken:gpt9", {})
    with pytest.raises(TokenizerError, match="needs the file o200k_base.tiktoken, which is not in") as caught:
        load("tiktoken:o200k_base", {"TIKTOKEN_CACHE_DIR": str(tmp_path)})
    assert str(tmp_path) in str(caught.value) and "TIKTOKEN_CACHE_DIR" in str(caught.value)


def test_a_damaged_vocabulary_is_passed_over(tmp_path: Path, vocabulary: bytes) -> None:
    (tmp_path / "cl100k_base.tiktoken").write_bytes(vocabulary[:-9])
    with pytest.raises(TokenizerError, match="needs the file cl100k_base.tiktoken"):
        load("tiktoken:cl100k_base", {"TIKTOKEN_CACHE_DIR": str(tmp_path)})


@pytest.mark.parametrize(("said", "package"), [("tiktoken:cl100k_base", "tiktoken"), (str(MODEL_FILE), "tokenizers")])
def test_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vocabulary: bytes, said: str, package: str
) -> None:
    (tmp_path / "cl100k_base.tiktoken").write_bytes(vocabulary)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        TokenizerError, match=rf"the package {package} is missing: pip install 'llm-gateway\[tokenizers\]'"
    ):
        load(said, {"TIKTOKEN_CACHE_DIR": str(tmp_path)})
