"""A tokenizer from what ``routing.yaml`` says of it."""

from collections.abc import Mapping
from pathlib import Path

from gateway.estimates.types import Tokenizer, TokenizerError
from gateway.estimates.via_tiktoken import by_file, by_name
from gateway.estimates.via_tokenizers import from_gguf, from_json

NAMED = "tiktoken:"


def load(said: str, environ: Mapping[str, str], base: Path = Path()) -> Tokenizer:
    """``tiktoken:<encoding>``, or the path (from ``base`` on) of a ``.gguf``, ``.json`` or ``.tiktoken`` file. Reads
    whole vocabularies, which takes up to a second. Raises TokenizerError."""
    if said.startswith(NAMED):
        return by_name(said.removeprefix(NAMED), environ)
    path = base / said
    if not path.is_file():
        raise TokenizerError(f"there is no file {path}")
    match path.suffix:
        case ".gguf":
            return from_gguf(path)
        case ".json":
            return from_json(path)
        case ".tiktoken":
            return by_file(path)
    raise TokenizerError(f"{path} is none of .gguf, .json (a tokenizer.json), .tiktoken; or write tiktoken:<encoding>")
