"""Writes the model as a GGUF file that llama.cpp runs: matrices in q8_0, norms in f32, the tokenizer inside."""

import os
from pathlib import Path

import gguf
import msgspec
import numpy as np
from gguf.quants import quantize
from tokenizers import Tokenizer
from torch import Tensor

from tools.demo_model.model import Llama, Shape
from tools.demo_model.tokenizer import BEGIN, END, END_OF_TURN, SPECIALS, UNKNOWN

NAME = "demo"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BLOCK = {
    "attn_norm": "attn_norm",
    "attn.q": "attn_q",
    "attn.k": "attn_k",
    "attn.v": "attn_v",
    "attn.output": "attn_output",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}  # our name of a weight -> llama.cpp's


class Bpe(msgspec.Struct):
    vocab: dict[str, int]
    merges: list[tuple[str, str]]


class TokenizerFile(msgspec.Struct):
    model: Bpe


def write_gguf(model: Llama, tokenizer: Tokenizer, path: Path) -> None:
    """Replaces `path` in one step: a reader sees the old file or the new one."""
    partial = path.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, "llama")
    add_shape(writer, model.shape)
    add_tokenizer(writer, tokenizer)
    for name, weight in model.named_parameters():
        add_tensor(writer, gguf_name(name), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, path)


def gguf_name(name: str) -> str:
    if name == "embedding.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, index, rest = name.split(".", 2)
    return f"blk.{index}.{BLOCK[rest.removesuffix('.weight')]}.weight"


def add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name(NAME)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    bpe = msgspec.json.decode(tokenizer.to_str(), type=TokenizerFile).model
    tokens = sorted(bpe.vocab, key=bpe.vocab.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in bpe.merges])
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(END_OF_TURN)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def add_tensor(writer: gguf.GGUFWriter, name: str, weight: Tensor) -> None:
    values = weight.detach().numpy().astype(np.float32)
    if values.ndim == 1:
        writer.add_tensor(name, values)
    else:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
