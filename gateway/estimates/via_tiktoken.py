"""OpenAI's tokenizers, by the ``tiktoken`` package and a file that is here. Nothing is ever fetched.

The files are those that the package would fetch and keep: ``<encoding>.tiktoken``, or named by the SHA-1 of where they
come from in a folder that ``TIKTOKEN_CACHE_DIR`` names, or in litellm's package, which ships them.
"""

import binascii
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha1, sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.estimates.patterns import CL100K, O200K
from gateway.estimates.types import TokenizerError
from gateway.estimates.via_tokenizers import package

SOURCE = "https://openaipublic.blob.core.windows.net/encodings/"


class Known(Struct, frozen=True):
    """An encoding: the file that holds its tokens, that file's SHA-256, and how texts are cut."""

    file: str
    digest: str
    pattern: str


ENCODINGS = {
    "cl100k_base": Known(
        "cl100k_base.tiktoken", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7", CL100K
    ),
    "o200k_base": Known(
        "o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d", O200K
    ),
    "o200k_harmony": Known(
        "o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d", O200K
    ),
}


class Tiktoken:
    """Counts by a ``tiktoken.Encoding``; what looks like a special token is text, as OpenAI takes it."""

    begin = 0
    most = 8192

    def __init__(self, encoding: Any) -> None:
        self._encode = encoding.encode_ordinary

    def count(self, text: str) -> int:
        return len(self._encode(text))


def by_name(name: str, environ: Mapping[str, str]) -> Tiktoken:
    """An encoding whose file is somewhere here. Raises TokenizerError, saying where it was sought."""
    known = ENCODINGS.get(name)
    if known is None:
        raise TokenizerError(f"tiktoken:{name} is not known; these are: {', '.join(ENCODINGS)}")
    sought = list(folders(environ))
    for folder in sought:
        for file in (folder / known.file, folder / sha1((SOURCE + known.file).encode()).hexdigest()):
            if file.is_file() and sha256(data := file.read_bytes()).hexdigest() == known.digest:
                return made(name, known, data, file)
    raise TokenizerError(
        f"tiktoken:{name} needs the file {known.file}, which is not in {', '.join(map(str, sought))}: put it into the "
        f"folder that TIKTOKEN_CACHE_DIR names, from {SOURCE}{known.file}"
    )


def by_file(path: Path) -> Tiktoken:
    """The encoding whose file this is. Raises TokenizerError."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise TokenizerError(f"{path} cannot be read: {exc.strerror}") from exc
    digest = sha256(data).hexdigest()
    for name, known in ENCODINGS.items():
        if known.digest == digest:
            return made(name, known, data, path)
    raise TokenizerError(f"{path} is not the whole file of one of these encodings: {', '.join(ENCODINGS)}")


def folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where such files may be, as the package itself would look for them, and litellm's."""
    named = [environ[name] for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR") if environ.get(name)]
    yield from map(Path, named or [f"{tempfile.gettempdir()}/data-gym-cache"])
    litellm = find_spec("litellm")
    for place in (litellm.submodule_search_locations or ()) if litellm is not None else ():
        yield Path(place) / "litellm_core_utils" / "tokenizers"


def made(name: str, known: Known, data: bytes, path: Path) -> Tiktoken:
    tiktoken = package("tiktoken")
    try:
        pairs = [line.split() for line in data.splitlines() if line]
        ranks = {b64decode(token): int(rank) for token, rank in pairs}
        encoding = tiktoken.Encoding(name=name, pat_str=known.pattern, mergeable_ranks=ranks, special_tokens={})
    except (ValueError, binascii.Error) as exc:
        raise TokenizerError(f"{path} is damaged") from exc
    return Tiktoken(encoding)
