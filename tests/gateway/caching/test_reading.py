"""What was read not long ago is at hand, within bounds."""

from adapters.types import Choice
from gateway.caching.entry import Kept, pack
from gateway.caching.reading import LARGEST, MOST, Reader


def packed(text: str) -> bytes:
    return pack(Kept("p/m", 1.0, (Choice(0, text, "stop"),)))


def test_the_same_bytes_are_read_once() -> None:
    reader, value = Reader(), packed("an answer")
    kept = reader.read(value)
    assert kept is not None and kept.choices[0].text == "an answer"
    assert reader.read(bytes(bytearray(value))) is kept


def test_what_cannot_be_read_is_none_each_time() -> None:
    reader, value = Reader(), packed("an answer")
    broken = value[:-1] + b"?"
    assert reader.read(broken) is None and reader.read(broken) is None
    assert reader.read(value) is not None


def test_what_was_read_first_is_let_go_first() -> None:
    reader, values = Reader(), [packed(f"answer {i}") for i in range(MOST + 1)]
    first, *_, last = [reader.read(value) for value in values]
    assert reader.read(values[-1]) is last
    assert reader.read(values[0]) is not first


def test_large_answers_are_not_held() -> None:
    value = packed("".join(chr(0x4E00 + (i * i * 7919 + i) % 20000) for i in range(LARGEST)))
    assert len(value) > LARGEST
    reader = Reader()
    assert reader.read(value) is not reader.read(value)
