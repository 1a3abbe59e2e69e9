"""Tokenizers of Hugging Face's form, by the ``tokenizers`` package: a model's ``tokenizer.json``, or what a GGUF file
says of the same."""

from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.estimates import gguf
from gateway.estimates.patterns import BEGUN, GGUF, WHOLE_WORDS
from gateway.estimates.types import TokenizerError

CONTROL, USER_DEFINED = 3, 4
"""Types of tokens in GGUF that are found in a text as they are written."""

BYTE = 6


class HfTokenizer:
    """Counts by a ``tokenizers.Tokenizer``."""

    most = 4096

    def __init__(self, inner: Any, begin: int) -> None:
        self.begin = begin
        self._encode = inner.encode

    def count(self, text: str) -> int:
        return len(self._encode(text.encode(errors="replace").decode(), add_special_tokens=False))


def package(name: str) -> Any:
    """Imported only when a tokenizer is configured: none of these is part of every installation."""
    try:
        return import_module(name)
    except ImportError as exc:
        raise TokenizerError(f"the package {name} is missing: pip install 'llm-gateway[tokenizers]'") from exc


def from_json(path: Path) -> HfTokenizer:
    """A ``tokenizer.json``. Raises TokenizerError."""
    tokenizers = package("tokenizers")
    try:
        text = path.read_text()
    except OSError as exc:
        raise TokenizerError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise TokenizerError(f"{path} is not a tokenizer.json: it is not text") from exc
    try:
        inner = tokenizers.Tokenizer.from_str(text)
    except Exception as exc:  # the package raises Exception itself
        raise TokenizerError(f"{path} is not a tokenizer.json: {str(exc)[:200]}") from exc
    inner.no_truncation()
    inner.no_padding()
    return HfTokenizer(inner, len(inner.encode("")))


def from_gguf(path: Path) -> HfTokenizer:
    """The tokenizer in a GGUF file. Raises TokenizerError, also for a kind that is not known here."""
    tokenizers = package("tokenizers")
    found = gguf.metadata(path, "tokenizer.ggml.")
    told = {name.removeprefix("tokenizer.ggml."): value for name, value in found.items()}
    kind = told.get("model")
    try:
        if kind == "gpt2":
            inner, begun = byte_level(tokenizers, told, path), told.get("pre") in BEGUN
        elif kind == "llama":
            inner, begun = by_scores(tokenizers, told), True
        else:
            raise TokenizerError(
                f"{path} has a tokenizer of the kind '{kind}'; gpt2 and llama are known: use the model's tokenizer.json"
            )
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise TokenizerError(f"{path} has a tokenizer of the kind '{kind}' that is not complete") from exc
    special = [
        tokenizers.AddedToken(text, normalized=False, special=True)
        for text, type in zip(told["tokens"], told.get("token_type", ()), strict=False)
        if type in (CONTROL, USER_DEFINED) and text
    ]
    inner.add_special_tokens(special)
    added = (told.get("add_bos_token", begun), told.get("add_eos_token", False), told.get("add_sep_token", False))
    return HfTokenizer(inner, sum(map(bool, added)))


def byte_level(tokenizers: Any, told: dict[str, Any], path: Path) -> Any:
    """BPE over bytes, with merges: GPT-2's way and its many followers'."""
    pre = told.get("pre", "gpt-2")
    if pre not in GGUF:
        raise TokenizerError(f"{path} cuts texts by '{pre}', which is not known here: use the model's tokenizer.json")
    merges = [tuple(merge.split(" ")) for merge in told["merges"]]
    vocabulary = {text: id for id, text in enumerate(told["tokens"])}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges, ignore_merges=pre in WHOLE_WORDS))
    cuts = [
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated", invert=False)
        for pattern in GGUF[pre]
    ]
    whole = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([*cuts, whole])
    return inner


def by_scores(tokenizers: Any, told: dict[str, Any]) -> Any:
    """SentencePiece's BPE: neighbours are joined to the piece with the highest score, and what is no piece becomes
    bytes. A joint's rank is its piece's."""
    tokens, scores = told["tokens"], told["scores"]
    vocabulary = {text: id for id, text in enumerate(tokens)}
    types = told.get("token_type") or [1] * len(tokens)
    pieces = sorted(
        (text for text, type in zip(tokens, types, strict=True) if type not in (CONTROL, BYTE) and len(text) > 1),
        key=lambda text: (-scores[vocabulary[text]], vocabulary[text]),
    )
    merges = [
        (text[:at], text[at:])
        for text in pieces
        for at in range(1, len(text))
        if text[:at] in vocabulary and text[at:] in vocabulary
    ]
    unknown = tokens[told.get("unknown_token_id", 0)]
    model = tokenizers.models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=False, byte_fallback=True)
    inner = tokenizers.Tokenizer(model)
    spaces = [tokenizers.normalizers.Replace(" ", "\u2581")]
    if told.get("add_space_prefix", True):
        spaces.insert(0, tokenizers.normalizers.Prepend("\u2581"))
    inner.normalizer = tokenizers.normalizers.Sequence(spaces)
    return inner
