"""How large a call's prompt is, in bytes, and what sort of text it is. Pure, and cheap also for long prompts.

A message's JSON is not read: its few bytes of structure stand for the tokens that a chat template puts around it. A
byte that JSON escapes is more bytes there, never fewer, so what is counted is never less than the text.
"""

import re

from msgspec import Raw, Struct

from adapters.types import Call, Chat, Constraint, Grammar, JsonSchema, OneOf, Regex

FIRST_MESSAGE = 30
"""Bytes of ``[{"role":"user","content":""}]``: what even an empty chat has."""

TOOLS = ("tools", "functions")
MORE = ("response_format", "documents", "prediction")
"""Fields, beside tools, that a provider puts into the prompt or counts like it."""
COUNTED = frozenset(TOOLS + MORE)

IMAGE = 2000
"""Tokens that an image or a sound is taken for at first. The largest image costs 1,445 at GPT-4o, about 1,600 at
Claude, and a picture cut into tiles more: providers' reports correct it."""

MEDIA_BYTES, FILE_BYTES = 256, 4
"""Bytes of base64 that are taken for a token, where that is more: of pictures and sounds (a second of speech is 10 to
32 tokens and seldom less than 10,000 bytes), and of documents, whose text is read."""

SAMPLE = 96
"""Bytes at the beginning, in the middle (twice as many) and at the end by which a long text is judged."""

SHORTEST_DENSE = 64
BRACKETS = 8  # how many are looked at one by one

_PAYLOAD = re.compile(rb'"(url|image_url|file_data|data)"\s*:\s*"(?:data:[^",]{0,128},)?')


class Size(Struct, frozen=True, gc=False):
    """``bytes`` are of everything that becomes prompt tokens, ``media`` tokens for pictures and the like in place of
    theirs, ``ids`` prompts given as token ids. ``prompts`` are texts that each begin anew. ``kind`` tells sorts of text
    apart whose bytes per token differ: see ``kind_of``. ``plain``: there is nothing but text, and no constraint."""

    bytes: int
    kind: int = 0
    prompts: int = 1
    media: int = 0
    ids: int = 0
    plain: bool = True

    @property
    def extent(self) -> int:
        """What tokens grow with; at least 1."""
        return self.bytes + self.media or 1


WITH_TOOLS, WITH_MEDIA = 8, 16


def size_of(call: Call) -> Size:
    """The size of all that is asked, all prompts together."""
    asked, more, flags = call.input, 0, 0
    if call.fields and not call.fields.keys().isdisjoint(COUNTED):
        tools = sizes(call.fields, TOOLS)
        flags, more = WITH_TOOLS if tools else 0, tools + sizes(call.fields, MORE)
    if call.constraint is not None:
        more += constraint_size(call.constraint)
    if call.params.suffix:
        more += utf8(call.params.suffix)
    if isinstance(asked, str):
        return Size(utf8(asked) + more, kind_of(sample(asked)) | flags, plain=not more)
    if isinstance(asked, Chat):
        return chat_size(bytes(asked.messages), more, flags)
    texts = [item for item in asked.items if isinstance(item, str)]
    ids = sum([len(item) for item in asked.items if not isinstance(item, str)])
    kind = kind_of(sample(max(texts, key=len))) if texts else 0
    return Size(sum(map(utf8, texts)) + more, kind | flags, len(asked.items), 0, ids, not more)


def chat_size(raw: bytes, more: int, flags: int) -> Size:
    length = len(raw) - FIRST_MESSAGE if len(raw) > FIRST_MESSAGE else 0
    length += more
    kind = kind_of(raw if len(raw) <= 4 * SAMPLE else sample_bytes(raw)) | flags
    if raw.find(b"[", 1) > 0 and has_parts(raw):
        media, carried = media_of(raw)
        if media:
            return Size(max(length - carried, 0), kind | WITH_MEDIA, 1, media, 0, False)
    return Size(length, kind, plain=not more)


def utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def sizes(fields: dict[str, Raw], names: tuple[str, ...]) -> int:
    """Bytes of those of these fields that are there and hold something."""
    return sum([len(bytes(fields[name])) for name in names if name in fields and len(bytes(fields[name])) > 4])


def constraint_size(constraint: Constraint) -> int:
    """Bytes of what says it; some providers show it to their model, and all may count it."""
    match constraint:
        case JsonSchema():
            return len(bytes(constraint.schema)) + utf8(constraint.description or "")
        case Regex():
            return utf8(constraint.pattern)
        case OneOf():
            return sum(map(utf8, constraint.choices))
        case Grammar():
            return utf8(constraint.text)
    return 0


def sample(text: str) -> bytes:
    if len(text) > 4 * SAMPLE:
        middle = len(text) // 2
        text = text[:SAMPLE] + text[middle - SAMPLE : middle + SAMPLE] + text[-SAMPLE:]
    return text.encode(errors="replace")


def sample_bytes(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:SAMPLE] + raw[middle - SAMPLE : middle + SAMPLE] + raw[-SAMPLE:]


def kind_of(text: bytes) -> int:
    """0 ASCII, 1 with some other letters, 2 with many, 3 with many that JSON escapes; and 4 more for a text with hardly
    any spaces: numbers, base64, the languages that have none. Each has its own bytes per token."""
    length = len(text)
    dense = 4 if length > SHORTEST_DENSE and text.count(b" ") * 16 < length else 0
    if text.isascii():
        return dense + 3 if b"\\" in text and text.count(b"\\u") * 48 > length else dense
    further = length - len(text.decode(errors="ignore"))  # bytes of a letter after its first
    return dense + (2 if further * 8 > length else 1)


def has_parts(raw: bytes) -> bool:
    """Whether a message's content may be a list of parts. Looks at brackets first: prose has none, and finding one byte
    is 15 times faster than finding several."""
    at = 0
    for _ in range(BRACKETS):
        at = raw.find(b"[", at + 1)
        if at < 0:
            return False
        if raw[max(at - 16, 0) : at].rstrip().endswith(b'"content":'):
            return True
    return (b'"content": [' if b'": ' in raw[:64] else b'"content":[') in raw


def media_of(raw: bytes) -> tuple[int, int]:
    """Tokens for pictures, sounds and documents, and how many bytes of the JSON are theirs. Only what stands where a
    provider looks for them counts: base64 in a text is text."""
    tokens = at = carried = 0
    while (found := _PAYLOAD.search(raw, at)) is not None:
        start = found.end()
        at = raw.find(b'"', start)
        if at < 0:
            break
        length = at - start
        if found.group(1) == b"file_data":
            tokens += max(IMAGE, length // FILE_BYTES)
        elif found.group(0).endswith(b",") or found.group(1) == b"data":
            tokens += max(IMAGE, length // MEDIA_BYTES)
        else:
            tokens += IMAGE  # by address
            continue
        carried += length
    return tokens, carried
