"""What a provider's refusal stands for, where only its words tell, and when it wants to be asked again."""

import msgspec
import pytest

from adapters.errors import Rejected, Throttled, TooLong, failure
from adapters.types import HttpResponse

TOO_LONG = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "You passed 5000 input tokens and requested 9. However, the model's context length is only 4096 tokens",
    "The decoder prompt (length 5951) is longer than the maximum model length of 4096.",
    "The input (250000 tokens) is longer than the model's context length (200000 tokens).",
    "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens). Use a shorter input.",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
    "the input length exceeds the context length",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 100",
    "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
)


@pytest.mark.parametrize("words", TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_does_not_fit_is_known_by_its_words(words: str, status: int) -> None:
    body = msgspec.json.encode({"error": {"message": words}})
    assert type(failure(HttpResponse(status, [], body))) is TooLong
    assert type(failure(HttpResponse(status, [], body.replace(b"'", b"\\u0027")))) is TooLong


@pytest.mark.parametrize(
    "words",
    ["max_tokens must be at least 1", "the name exceeds the maximum allowed length", "a longer text than the model's"],
)
def test_other_refusals_are_not(words: str) -> None:
    assert type(failure(HttpResponse(400, [], msgspec.json.encode({"error": words})))) is Rejected


NOW = (b"date", b"Mon, 30 Nov 2026 20:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7")], 7),
        ([(b"retry-after", b"7"), (b"retry-after-ms", b"300")], 0.3),
        ([(b"retry-after", b"Mon, 30 Nov 2026 20:00:30 GMT"), NOW], 30),
        ([(b"retry-after", b"Mon, 30 Nov 2026 21:00:30 +0100"), NOW], 30),
        ([(b"retry-after", b"Mon, 30 Nov 2026 19:59:00 GMT"), NOW], 0),
        ([(b"retry-after", b"Mon, 30 Nov 2026 20:00:30 GMT")], None),
        ([(b"retry-after", b"Mon, 30 Nov 2026 20:00:30 GMT"), (b"date", b"now")], None),
        ([(b"retry-after", b"Mon, 30 Nov 99999999999999 20:00:30 GMT"), NOW], None),
        ([(b"retry-after", b"Mon, 77 Foo 2026 20:00:30 GMT"), NOW], None),
        ([(b"retry-after", b"-5"), NOW], None),
        ([(b"retry-after", b"nan"), NOW], None),
        ([(b"retry-after", b"1e400"), NOW], None),
        ([(b"retry-after", b""), NOW], None),
        ([(b"retry-after", b"\xff"), NOW], None),
        ([NOW], None),
    ],
)
def test_advice_on_when_to_come_back(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    error = failure(HttpResponse(429, headers, b""))
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds
