"""The decoder that is trained, as llama.cpp's architecture "llama" computes it, and its weights as a file.

RMSNorm, RoPE on neighbouring pairs, SwiGLU, few KV heads, tied embeddings. Names of parameters are those of GGUF's tensors.
"""
import dataclasses
import json
import math
import os
import struct

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclasses.dataclass(frozen=True)
class Hparams:
    n_vocab: int
    n_embd: int
    n_layer: int
    n_head: int
    n_head_kv: int
    n_ff: int
    n_ctx: int
    rope_freq_base: float = 10000.0
    rms_eps: float = 1e-5

    @property
    def head_dim(self):
        return self.n_embd // self.n_head


#: n_vocab comes from the vocabulary. Rows are whole blocks of 256, which K-quants need (the toy's: of 32).
PRESETS = {
    "target": dict(n_embd=768, n_layer=8, n_head=12, n_head_kv=1, n_ff=2048, n_ctx=4096),
    "draft": dict(n_embd=256, n_layer=4, n_head=4, n_head_kv=1, n_ff=768, n_ctx=4096),
    "toy": dict(n_embd=128, n_layer=3, n_head=4, n_head_kv=1, n_ff=320, n_ctx=256),
}


def wide(x):
    """In f32 at least: sums and rotations lose too much in bf16."""
    return x if x.dtype == torch.float64 else x.float()


class RmsNorm(nn.Module):
    def __init__(self, n_embd, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd))
        self.eps = eps

    def forward(self, x):
        y = wide(x)
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return y.to(x.dtype) * self.weight.to(x.dtype)


def rope_tables(hparams, n_tokens, device):
    """cos and sin, [n_tokens, head_dim / 2] f32"""
    exponents = torch.arange(0, hparams.head_dim, 2, device=device, dtype=torch.float32) / hparams.head_dim
    angles = torch.outer(torch.arange(n_tokens, device=device).float(), hparams.rope_freq_base**-exponents)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """x [n_batch, n_head, n_tokens, head_dim]; rotates pairs of neighbours, as GGUF's "llama" has them."""
    even, odd = wide(x[..., 0::2]), wide(x[..., 1::2])
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x.dtype)


def attend(q, k, v):
    """Causal attention; q [n_batch, n_head, n_tokens, head_dim], k and v with as many heads."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = wide(q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    future = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(future, -math.inf).softmax(-1).to(v.dtype) @ v


class Layer(nn.Module):
    def __init__(self, hp):
        super().__init__()
        self.hp = hp
        kv = hp.n_head_kv * hp.head_dim
        self.attn_norm = RmsNorm(hp.n_embd, hp.rms_eps)
        self.attn_q = nn.Linear(hp.n_embd, hp.n_embd, bias=False)
        self.attn_k = nn.Linear(hp.n_embd, kv, bias=False)
        self.attn_v = nn.Linear(hp.n_embd, kv, bias=False)
        self.attn_output = nn.Linear(hp.n_embd, hp.n_embd, bias=False)
        self.ffn_norm = RmsNorm(hp.n_embd, hp.rms_eps)
        self.ffn_gate = nn.Linear(hp.n_embd, hp.n_ff, bias=False)
        self.ffn_up = nn.Linear(hp.n_embd, hp.n_ff, bias=False)
        self.ffn_down = nn.Linear(hp.n_ff, hp.n_embd, bias=False)

    def forward(self, x, cos, sin):
        hp, (n_batch, n_tokens, _) = self.hp, x.shape
        h = self.attn_norm(x)
        q = self.attn_q(h).view(n_batch, n_tokens, hp.n_head, hp.head_dim).transpose(1, 2)
        k = self.attn_k(h).view(n_batch, n_tokens, hp.n_head_kv, hp.head_dim).transpose(1, 2)
        v = self.attn_v(h).view(n_batch, n_tokens, hp.n_head_kv, hp.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if hp.n_head_kv == 1:  # a view: nothing is copied
            k, v = (t.expand(n_batch, hp.n_head, n_tokens, hp.head_dim) for t in (k, v))
        else:
            k, v = (t.repeat_interleave(hp.n_head // hp.n_head_kv, 1) for t in (k, v))
        mixed = attend(q, k, v).transpose(1, 2).reshape(n_batch, n_tokens, hp.n_embd)
        x = x + self.attn_output(mixed)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Decoder(nn.Module):
    """Names of parameters are those of GGUF's tensors; the output matrix is the embedding's."""

    def __init__(self, hp):
        super().__init__()
        self.hp = hp
        self.token_embd = nn.Embedding(hp.n_vocab, hp.n_embd)
        self.blk = nn.ModuleList(Layer(hp) for _ in range(hp.n_layer))
        self.output_norm = RmsNorm(hp.n_embd, hp.rms_eps)
        self.apply(self._initialize)

    def _initialize(self, module):
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, Layer):  # after its parts: what is added to x starts small
            for linear in (module.attn_output, module.ffn_down):
                nn.init.normal_(linear.weight, std=linear.in_features**-0.5 / math.sqrt(2 * self.hp.n_layer))

    def forward(self, ids):
        """[n_batch, n_tokens] -> logits [n_batch, n_tokens, n_vocab]"""
        cos, sin = rope_tables(self.hp, ids.shape[1], ids.device)
        x = self.token_embd(ids)
        if x.is_cuda:
            x = x.to(torch.bfloat16)  # what autocast computes in; f32 would double what is moved between layers
        for layer in self.blk:
            x = layer(x, cos, sin)
        return F.linear(self.output_norm(x), self.token_embd.weight)

    def loss(self, sequences, weights=None):
        """Sum of the weighted cross-entropies in nats, their mean without weights.

        @param sequences [n_batch, n_tokens + 1] ids
        @param weights [n_batch, n_tokens] f32, of ids 1 to n_tokens
        """
        logits, targets = wide(self(sequences[:, :-1]).flatten(0, 1)), sequences[:, 1:].flatten()
        if weights is None:
            return F.cross_entropy(logits, targets)
        # Not as a product of vectors, which autocast would compute in bf16.
        return (F.cross_entropy(logits, targets, reduction="none") * weights.flatten()).sum()


# ---------------------------------------------------------------- weights as safetensors


def write_safetensors(path, tensors, metadata, dtype):
    """The format of huggingface/safetensors: header size, JSON header, data. `tensors` by their names."""
    name, itemsize = {torch.bfloat16: ("BF16", 2), torch.float32: ("F32", 4)}[dtype]
    header, at = {"__metadata__": {key: str(value) for key, value in metadata.items()}}, 0
    for key, tensor in tensors.items():
        end = at + tensor.numel() * itemsize
        header[key] = {"dtype": name, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            data = tensor.detach().to(dtype).cpu().contiguous()
            file.write((data.view(torch.int16) if itemsize == 2 else data).numpy().tobytes())
    os.replace(path + ".part", path)


def open_model(path):
    """@return (the model that its file describes, its metadata)"""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    model = Decoder(Hparams(**json.loads(header["__metadata__"]["hparams"])))
    return model, read_safetensors(path, model)


def read_safetensors(path, model):
    """Fills the model's parameters. @return the metadata"""
    with open(path, "rb") as file:
        (n,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(n))
        data = file.read()
    metadata = header.pop("__metadata__")
    parameters = dict(model.named_parameters())
    if set(header) != set(parameters):
        raise SystemExit(f"{path} holds other tensors than this model: {sorted(set(header) ^ set(parameters))[:3]}")
    for key, entry in header.items():
        start, end = entry["data_offsets"]
        dtype = {"BF16": torch.bfloat16, "F32": torch.float32}[entry["dtype"]]
        raw = torch.frombuffer(bytearray(data[start:end]), dtype=dtype)
        with torch.no_grad():
            parameters[key].copy_(raw.reshape(entry["shape"]))
    return metadata
