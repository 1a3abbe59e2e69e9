"""The table of all routes. A new route gets a row here, and its bodies an entry in ``requests`` or ``answers``."""

from gateway.openapi.operation import TEXT, Operation

HEAD = (400, 401, 413, 415)
"""What every route that takes a body can refuse."""

ASKING = (*HEAD, 403, 404, 429, 502, 503, 504)
LAMINI = (*HEAD, 402, 403, 422, 429, 503, 524, 594)
"""Those that ask models, in the statuses of each family of clients."""

BEGUN = (*HEAD, 403, 422, 429, 503, 594)
FETCHED = (400, 401, 402, 404, 422, 429, 503, 524)
"""Those of jobs. A job that has failed is answered as its request would have been."""

NO_ISSUER = {503: ("AnyError", "The issuer of the token cannot be asked for its keys.")}
"""Only where tokens of an identity provider are accepted."""

CHUNKS = "Server-sent events: chunks of the answer, each a JSON object, then [DONE]."


def openai(path: str, summary: str, asks: str, answers: str) -> Operation:
    return Operation(
        path=path,
        summary=summary,
        tag="OpenAI",
        asks=asks,
        answers=answers,
        refuses=(*ASKING, 422),
        error="OpenAIError",
        streams=CHUNKS,
        exchange=True,
    )


def thiggle(path: str, summary: str, asks: str, answers: str, streams: str | None = None) -> Operation:
    return Operation(
        path=path,
        summary=summary,
        tag="thiggle",
        asks=asks,
        answers=answers,
        refuses=(*ASKING, 402, 422),
        error="FlatError",
        streams=streams,
        exchange=True,
    )


def lamini(path: str, summary: str, answers: str, refuses: tuple[int, ...], asks: str | None = None) -> Operation:
    return Operation(
        path=path,
        summary=summary,
        tag="Lamini",
        method="post" if asks else "get",
        asks=asks,
        answers=answers,
        refuses=refuses,
        error="DetailError",
    )


def reading(path: str, summary: str, answers: str, *refuses: int) -> Operation:
    return Operation(
        path=path, summary=summary, tag="Models", method="get", answers=answers, refuses=refuses, also=NO_ISSUER
    )


def operating(path: str, summary: str, answers: str, media: str = "application/json") -> Operation:
    return Operation(path=path, summary=summary, tag="Operation", method="get", answers=answers, media=media, open=True)


OPERATIONS: tuple[Operation, ...] = (
    openai("/v1/chat/completions", "Answer a conversation.", "ChatRequest", "ChatCompletion"),
    openai("/inf/chat/completions", "The same, where Lamini's client looks for it.", "ChatRequest", "ChatCompletion"),
    Operation(
        path="/v1/completions",
        summary="Continue a prompt, or several. With model_name in place of model it is Lamini's route.",
        tag="OpenAI",
        asks="AnyCompletionRequest",
        answers="AnyCompletion",
        refuses=(*ASKING, 402, 422, 524, 594),
        error="ErrorOfAnyForm",
        streams=CHUNKS,
        exchange=True,
    ),
    Operation(
        path="/v1/embeddings",
        summary="Make vectors of texts.",
        tag="OpenAI",
        asks="EmbeddingsRequest",
        answers="Embeddings",
        refuses=ASKING,
        error="OpenAIError",
        exchange=True,
    ),
    thiggle("/v1/completion", "Continue a prompt with several models.", "Completion", "CompletionAnswer", CHUNKS),
    thiggle(
        "/v1/completion/typed", "Answer with JSON of a TypeScript type.", "TypedCompletion", "CompletionAnswer", CHUNKS
    ),
    thiggle("/v1/completion/regex", "Answer with a match of a pattern.", "RegexCompletion", "Match"),
    thiggle("/v1/completion/cfg", "Answer with a sentence of a grammar.", "GrammarCompletion", "Match"),
    thiggle("/v1/categorize", "Choose among categories.", "Categorize", "Categories"),
    Operation(
        path="/v1/embedding",
        summary="Make vectors of texts, for Lamini's clients.",
        tag="Lamini",
        asks="EmbeddingRequest",
        answers="Embedding",
        refuses=LAMINI,
        error="DetailError",
        exchange=True,
    ),
    lamini("/v3/streaming_completions", "Begin a job whose answers can be watched.", "JobId", BEGUN, "LaminiRequest"),
    lamini("/v3/streaming_completions/{id}/result", "What there is of such a job.", "JobResult", FETCHED),
    lamini("/v1/batch_completions", "Begin a job.", "JobId", BEGUN, "LaminiRequest"),
    lamini("/v1/batch_completions/{id}/result", "What there is of such a job.", "JobResult", FETCHED),
    lamini(
        "/v1/streaming_completions",
        "Begin a job, or with server ask for what there is of it.",
        "OldJobResult",
        (*BEGUN, 402, 404, 524),
        "OldLaminiRequest",
    ),
    lamini("/v1/reservation", "Reserve room for a batch; always granted.", "Reservation", HEAD, "ReservationRequest"),
    reading("/v1/models", "The models that can be asked.", "Models", 401),
    reading("/v1/models/{id}", "One of them. Slashes in its name may be written as they are.", "Model", 401, 404),
    reading("/inf/models", "The models, where Lamini's client looks for them.", "Models", 401),
    operating("/health", "Whether the process lives.", "Status"),
    Operation(
        path="/ready",
        summary="Whether requests can be served.",
        tag="Operation",
        method="get",
        answers="Status",
        open=True,
        also={503: ("Status", "Not yet, or no more.")},
    ),
    operating("/metrics", "What is measured, in Prometheus' text format.", "Text", TEXT),
    operating("/openapi.json", "This document.", "Object"),
)
