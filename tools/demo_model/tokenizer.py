"""A byte-level BPE of 1024 tokens in which digits never merge, so that a number can be copied digit by digit."""

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_model.corpus import Document

VOCABULARY = 1024
SPECIALS = ("<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
UNKNOWN, BEGIN, END = 0, 1, 2
END_OF_TURN = SPECIALS.index("<|end|>")


def train_tokenizer(documents: Iterable[Document]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for document in documents for text in texts(document)), trainer)
    return tokenizer


def texts(document: Document) -> Document:
    """A chat as one text with its markup; a bare question and its answer apart, as a request cuts them."""
    return ("".join(document),) if "<|" in document[0] else document


def encode(tokenizer: Tokenizer, documents: Sequence[Document]) -> tuple[list[int], list[bool]]:
    """All documents as one row of ids, each between its begin and end tokens; and which ids the model shall say."""
    pieces = [piece for document in documents for piece in document]
    encoded = iter(tokenizer.encode_batch(pieces, add_special_tokens=False))
    ids: list[int] = []
    said: list[bool] = []
    for document in documents:
        ids.append(BEGIN)
        said.append(False)
        for place in range(len(document)):
            piece = next(encoded).ids
            ids.extend(piece)
            said.extend([place % 2 == 1] * len(piece))
        ids.append(END)
        said.append(True)
    return ids, said
