"""A GGUF model of ours -> weights and vocabulary that train.py goes on from. The way back from export.mjs.

    python3 forge/import_gguf.py MODEL.gguf --weights PRESET.safetensors [--vocabulary FILE.json]

Reads f32 and bf16 tensors; `outpost-engine quantize MODEL.gguf OUT.gguf bf16 --embedding bf16` makes such a file of a
quantized one. What the optimizer knew is in no GGUF file: training warms up anew, and counts its steps from 0.
"""
import argparse
import dataclasses
import json
import struct

import numpy as np
import torch

from train import Decoder, Hparams, write_safetensors

#: Types of values by their number (ggml-org/ggml, docs/gguf.md), and of tensors.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
F32, BF16 = 0, 30
CONTROL = 3  # of tokenizer.ggml.token_type


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
    """@return (metadata, tensors as {name: f32 torch tensor}, whether all were f32)"""
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
        if kind not in (F32, BF16):
            raise SystemExit(f"{path}: {name} is of type {kind}; f32 and bf16 are read. Make it bf16 with `quantize` first.")
        stored = np.frombuffer(reader.data, "<f4" if kind == F32 else "<u2", int(np.prod(shape)), start + offset)
        wide = stored if kind == F32 else (stored.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = torch.from_numpy(wide.reshape(shape).copy())
    return metadata, tensors, all(kind == F32 for _, _, kind, _ in infos)


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
    metadata, tensors, is_wide = read_gguf(arguments.model)
    hparams = hparams_of(metadata)
    model = Decoder(hparams)
    parameters = dict(model.named_parameters())
    if set(parameters) != set(tensors):
        raise SystemExit(f"{arguments.model} holds other tensors: {sorted(set(parameters) ^ set(tensors))[:3]}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    start = {"step": 0, "first_step": 0, "n_tokens": 0, "seconds": 0.0, "visits": json.dumps({})}
    text = {"hparams": json.dumps(dataclasses.asdict(hparams)), **start}
    write_safetensors(arguments.weights, model, text, torch.float32 if is_wide else torch.bfloat16)
    if arguments.vocabulary:
        with open(arguments.vocabulary, "w", encoding="utf-8") as file:
            json.dump(vocabulary_of(metadata), file)


if __name__ == "__main__":
    main()
