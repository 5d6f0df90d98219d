"""A GGUF model of ours -> weights and vocabulary that train.py goes on from. The way back from export.mjs.

    python3 forge/import_gguf.py MODEL.gguf --weights PRESET.safetensors [--vocabulary FILE.json]

Reads the types that our models come in; quantized weights become the f32 numbers that they stand for. What the optimizer
knew is in no GGUF file: training warms up anew, and counts its steps from 0.
"""
import argparse
import dataclasses
import json
import math
import struct

import numpy as np
import torch

from model import Decoder, Hparams, write_safetensors

#: Types of values by their number (ggml-org/ggml, docs/gguf.md), and of tensors.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
CONTROL = 3  # of tokenizer.ggml.token_type

# ---------------------------------------------------------------- types of tensors (kernels/common/block_layouts.h)


def from_f32(data):
    return data.view("<f4")


def from_f16(data):
    return data.view("<f2").astype(np.float32)


def from_bf16(data):
    return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)


def from_q8_0(data):
    """A block of 32: f16 d, 32 signed bytes; x = d * q"""
    blocks = data.reshape(-1, 34)
    return from_f16(blocks[:, :2].copy()) * blocks[:, 2:].view(np.int8)


def from_q4_k(data):
    """A superblock of 256: f16 d and dmin, 8 pairs of 6 bits in 12 bytes, 128 bytes of nibbles

    x = d * scale * q - dmin * min
    """
    blocks = data.reshape(-1, 144)
    d, dmin = (from_f16(blocks[:, at : at + 2].copy()) for at in (0, 2))
    low, high, rest = (blocks[:, at : at + 4] for at in (4, 8, 12))  # of groups 0 to 3: scales, minimums; of 4 to 7: nibbles
    scales = np.concatenate([low & 63, (rest & 15) | (low >> 6) << 4], axis=1)
    minimums = np.concatenate([high & 63, (rest >> 4) | (high >> 6) << 4], axis=1)
    nibbles = blocks[:, 16:].reshape(-1, 4, 1, 32)  # 32 bytes hold two groups, one in the low nibbles
    q = np.concatenate([nibbles & 15, nibbles >> 4], axis=2).reshape(-1, 8, 32)
    return (d * scales)[:, :, None] * q - (dmin * minimums)[:, :, None]


def from_q6_k(data):
    """A superblock of 256: 128 bytes of low nibbles, 64 of upper pairs of bits, 16 signed scales, f16 d

    x = d * scale * (q - 32)
    """
    blocks = data.reshape(-1, 210)
    low = blocks[:, :128].reshape(-1, 2, 1, 64)  # by halves of the superblock
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1) & 3
    q = (low | high << 4).astype(np.float32) - 32
    scales = from_f16(blocks[:, 208:].copy()) * blocks[:, 192:208].view(np.int8)
    return scales[:, :, None] * q.reshape(-1, 16, 16)


@dataclasses.dataclass(frozen=True)
class TensorType:
    name: str
    block_elements: int
    block_bytes: int
    decode: callable  # bytes as uint8 -> f32


#: By their number in a file.
TENSOR_TYPES = {
    0: TensorType("f32", 1, 4, from_f32),
    1: TensorType("f16", 1, 2, from_f16),
    8: TensorType("q8_0", 32, 34, from_q8_0),
    12: TensorType("q4_K", 256, 144, from_q4_k),
    14: TensorType("q6_K", 256, 210, from_q6_k),
    30: TensorType("bf16", 1, 2, from_bf16),
}

# ---------------------------------------------------------------- files


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, format):
        (value,) = struct.unpack_from("<" + format, self.data, self.at)
        self.at += struct.calcsize(format)
        return value

    def text(self):
        n = self.scalar("Q")
        self.at += n
        return self.data[self.at - n : self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            element, n = self.scalar("I"), self.scalar("Q")
            return [self.value(element) for _ in range(n)]
        return self.scalar(SCALARS[kind])


def read_gguf(path):
    """@return (metadata, tensors as {name: f32 torch tensor}, names of their types)"""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    if reader.data[:4] != b"GGUF":
        raise SystemExit(f"{path} is no GGUF file.")
    reader.at = 8
    n_tensors, n_entries = reader.scalar("Q"), reader.scalar("Q")
    metadata = {}
    for _ in range(n_entries):
        key = reader.text()
        metadata[key] = reader.value(reader.scalar("I"))
    infos = []
    for _ in range(n_tensors):
        name = reader.text()
        shape = [reader.scalar("Q") for _ in range(reader.scalar("I"))]
        infos.append((name, shape[::-1], reader.scalar("I"), reader.scalar("Q")))  # GGUF's shapes are innermost first
    alignment = metadata.get("general.alignment", 32)
    start = -(-reader.at // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in infos:
        if kind not in TENSOR_TYPES:
            known = ", ".join(known.name for known in TENSOR_TYPES.values())
            raise SystemExit(f"{path}: {name} is of type {kind}; these are read: {known}. `quantize` makes bf16 of others.")
        tensor_type = TENSOR_TYPES[kind]
        n_bytes = math.prod(shape) // tensor_type.block_elements * tensor_type.block_bytes
        stored = np.frombuffer(reader.data, np.uint8, n_bytes, start + offset)
        tensors[name] = torch.from_numpy(tensor_type.decode(stored).reshape(shape).copy())
    return metadata, tensors, {TENSOR_TYPES[kind].name for _, _, kind, _ in infos}


def hparams_of(metadata):
    def of(key):
        return metadata[f"llama.{key}"]

    return Hparams(
        n_vocab=of("vocab_size"),
        n_embd=of("embedding_length"),
        n_layer=of("block_count"),
        n_head=of("attention.head_count"),
        n_head_kv=of("attention.head_count_kv"),
        n_ff=of("feed_forward_length"),
        n_ctx=of("context_length"),
        rope_freq_base=of("rope.freq_base"),
        rms_eps=of("attention.layer_norm_rms_epsilon"),
    )


def vocabulary_of(metadata):
    """What vocabulary.py reads: a merge's id is that of the two joined."""
    spellings, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    tokens = [
        {"id": i, "special" if kind == CONTROL else "bytes": spelling}
        for i, (spelling, kind) in enumerate(zip(spellings, kinds))
    ]
    ids = {spelling: i for i, (spelling, kind) in enumerate(zip(spellings, kinds)) if kind != CONTROL}
    for merge in metadata["tokenizer.ggml.merges"]:
        left, right = merge.split(" ")
        tokens[ids[left + right]].update(left=ids[left], right=ids[right])
    return {"tokens": tokens}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--vocabulary")
    arguments = parser.parse_args()
    metadata, tensors, types = read_gguf(arguments.model)
    hparams = hparams_of(metadata)
    parameters = dict(Decoder(hparams).named_parameters())
    if set(parameters) != set(tensors):
        raise SystemExit(f"{arguments.model} holds other tensors: {sorted(set(parameters) ^ set(tensors))[:3]}")
    text = {"hparams": json.dumps(dataclasses.asdict(hparams)), "n_tokens": 0, "visits": json.dumps({})}
    # export.mjs makes f32 of vectors, whose bits are those of bf16 then.
    dtype = torch.bfloat16 if types == {"bf16", "f32"} else torch.float32
    write_safetensors(arguments.weights, {name: tensors[name] for name in parameters}, text, dtype)
    if arguments.vocabulary:
        with open(arguments.vocabulary, "w", encoding="utf-8") as file:
            json.dump(vocabulary_of(metadata), file)


if __name__ == "__main__":
    main()
