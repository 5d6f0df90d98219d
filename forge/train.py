"""Trains a llama-compatible decoder on token shards (stream.py) and writes it as safetensors.

    python3 forge/train.py --preset target --data DIR --vocabulary FILE.json --out DIR --steps 1200 --minutes 8

A run ends after --minutes and leaves a checkpoint; the same command goes on from it. Weights alone
(weights.safetensors, small enough to be carried in parts) are enough to go on elsewhere: --init. Runs on PyTorch 1.13
and later; a CPU does for the toy. The learning rate warms up, stays, and falls to zero over the last fifth of --steps
(WSD), so that --steps may be changed while it stays.
"""
import argparse
import concurrent.futures
import contextlib
import csv
import dataclasses
import json
import math
import multiprocessing
import os
import struct
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from stream import Segment, StreamOptions, TokenStream, next_segment
from vocabulary import Vocabulary

# ---------------------------------------------------------------- model


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
    "target": dict(n_embd=768, n_layer=14, n_head=12, n_head_kv=1, n_ff=2048, n_ctx=4096),
    "draft": dict(n_embd=256, n_layer=3, n_head=4, n_head_kv=1, n_ff=768, n_ctx=4096),
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
        n_shared = hp.n_head // hp.n_head_kv
        k, v = k.repeat_interleave(n_shared, 1), v.repeat_interleave(n_shared, 1)
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
        for layer in self.blk:
            x = layer(x, cos, sin)
        return F.linear(self.output_norm(x), self.token_embd.weight)

    def loss(self, sequences):
        """Mean cross-entropy in nats of [n_batch, n_tokens + 1] ids"""
        logits = self(sequences[:, :-1])
        return F.cross_entropy(wide(logits.flatten(0, 1)), sequences[:, 1:].flatten())


# ---------------------------------------------------------------- optimizer


def orthogonalized(matrices, n_steps=5):
    """[n, rows, columns] -> the nearest matrices with singular values around 1, by Newton and Schulz's iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.transpose(-1, -2)
    for _ in range(n_steps):
        s = x @ x.transpose(-1, -2)
        x = a * x + (b * s + c * s @ s) @ x
    if is_tall:
        x = x.transpose(-1, -2)
    return x.to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized (Jordan et al. 2024, "Muon"), scaled to the size of Adam's steps (arXiv:2502.16982)."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for parameter in group["params"]:
                by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():  # matrices of one shape in one batch
                updates = []
                for parameter in parameters:
                    state = self.state[parameter]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(parameter)
                    state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                    updates.append(parameter.grad.lerp(state["momentum"], group["momentum"]))  # Nesterov's
                size = 0.2 * math.sqrt(max(shape))
                for parameter, update in zip(parameters, orthogonalized(torch.stack(updates))):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * size)


def make_optimizers(model, lr, device):
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    adam = dict(betas=(0.9, 0.95), eps=1e-10, **({"fused": True} if device == "cuda" else {}))
    groups = [dict(params=[model.token_embd.weight], weight_decay=0.01), dict(params=vectors, weight_decay=0.0)]
    return [Muon(matrices, lr), torch.optim.AdamW(groups, lr, **adam)]


def lr_factor(step, since_start, n_steps, n_warmup, decay_share=0.2):
    """Of the highest learning rate. `since_start` counts from where the optimizers' state began."""
    warmup = min(1.0, (since_start + 1) / n_warmup)
    return warmup * min(1.0, max(0.0, (n_steps - step) / (decay_share * n_steps)))


# ---------------------------------------------------------------- weights as safetensors


def write_safetensors(path, model, metadata, dtype):
    """The format of huggingface/safetensors: header size, JSON header, data."""
    name, itemsize = {torch.bfloat16: ("BF16", 2), torch.float32: ("F32", 4)}[dtype]
    header, at = {"__metadata__": {key: str(value) for key, value in metadata.items()}}, 0
    tensors = dict(model.named_parameters())
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


# ---------------------------------------------------------------- batches


class Batches:
    """Batches of steps in order, made ahead by other processes."""

    def __init__(self, arguments, options, visits, segment, first_step):
        self._arguments, self._options = arguments, options
        self.visits, self.segment = visits, segment
        self._pool = _make_pool(arguments.workers)
        self._ahead = {}
        self._first_step = first_step

    def get(self, step):
        """The batch of `step`; moves on to the next pass when one is over."""
        if self.segment is None or step >= self.segment.first_step + self.segment.n_steps:
            for name in self.segment.shards if self.segment else ():
                self.visits[name] = self.visits.get(name, 0) + 1
            self.segment = next_segment(self._arguments.data, self.visits, step, self._options)
            print(f"step {step}: {self.segment.n_steps} steps over {len(self.segment.shards)} shards", flush=True)
        if self._pool is None:
            return torch.from_numpy(self._make(step))
        end = self.segment.first_step + self.segment.n_steps
        for ahead in range(step, min(step + 2 * self._arguments.workers, end)):
            if ahead not in self._ahead:
                self._ahead[ahead] = self._pool.submit(_make_batch, *self._job(ahead))
        return torch.from_numpy(self._ahead.pop(step).result())

    def _job(self, step):
        return self._arguments.data, self._arguments.vocabulary, self.segment, self._options, step

    def _make(self, step):
        return _make_batch(*self._job(step))

    def close(self):
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _make_pool(n_workers):
    if n_workers == 0:
        return None
    context = multiprocessing.get_context("spawn")  # a fork would copy the state of the GPU's driver
    return concurrent.futures.ProcessPoolExecutor(n_workers, mp_context=context)


_made = {}  # of this process: the vocabulary and the stream in use


def _make_batch(directory, vocabulary, segment, options, step):
    key = (directory, vocabulary, segment, options)
    if _made.get("key") != key:
        _made.update(key=key, stream=TokenStream(directory, segment, Vocabulary(vocabulary), options))
    return _made["stream"].batch(step)


# ---------------------------------------------------------------- training


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--data", required=True, help="folder of *.tokens; more may arrive while this runs")
    parser.add_argument("--vocabulary", required=True, help="JSON of train-tokenizer")
    parser.add_argument("--out", required=True, help="folder for the checkpoint, weights.safetensors and loss.csv")
    parser.add_argument("--init", help="weights.safetensors to start from instead of random ones")
    parser.add_argument("--steps", type=int, required=True, help="of the whole training, over all runs")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of this run")
    parser.add_argument("--run-steps", type=int, default=1 << 60, help="most steps of this run")
    parser.add_argument("--batch", type=int, default=128, help="sequences of a step")
    parser.add_argument("--micro", type=int, default=16, help="sequences in memory at a time")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--fim-rate", type=float, default=0.6)
    parser.add_argument("--save-every", type=float, default=3, help="minutes between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.batch % arguments.micro != 0:
        parser.error("--batch is no multiple of --micro")
    return arguments


def save_checkpoint(arguments, model, optimizers, batches, step, first_step, n_tokens):
    path = os.path.join(arguments.out, "checkpoint.pt")
    state = {
        "preset": arguments.preset,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "visits": batches.visits,
        "segment": dataclasses.asdict(batches.segment) if batches.segment else None,
        "step": step,
        "first_step": first_step,
        "n_tokens": n_tokens,
    }
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)
    metadata = {"hparams": json.dumps(dataclasses.asdict(model.hp)), "step": step, "n_tokens": n_tokens}
    metadata["visits"] = json.dumps(batches.visits)
    dtype = torch.float32 if arguments.preset == "toy" else torch.bfloat16
    write_safetensors(os.path.join(arguments.out, "weights.safetensors"), model, metadata, dtype)


def train(arguments):
    start = time.monotonic()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(arguments.seed)
    os.makedirs(arguments.out, exist_ok=True)
    hparams = Hparams(n_vocab=len(Vocabulary(arguments.vocabulary)), **PRESETS[arguments.preset])
    options = StreamOptions(hparams.n_ctx, arguments.batch, fim_rate=arguments.fim_rate, seed=arguments.seed)
    model = Decoder(hparams).to(device)
    optimizers = make_optimizers(model, arguments.lr, device)
    step, first_step, n_tokens, visits, segment = 0, 0, 0, {}, None

    checkpoint = os.path.join(arguments.out, "checkpoint.pt")
    if os.path.exists(checkpoint):
        state = torch.load(checkpoint, map_location=device)
        if state["preset"] != arguments.preset:
            raise SystemExit(f"{checkpoint} is of the preset {state['preset']}.")
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        step, first_step, n_tokens, visits = (state[key] for key in ("step", "first_step", "n_tokens", "visits"))
        segment = Segment(**{**state["segment"], "shards": tuple(state["segment"]["shards"])})
    elif arguments.init:
        metadata = read_safetensors(arguments.init, model)
        step = first_step = int(metadata["step"])  # new optimizers warm up again
        n_tokens, visits = int(metadata["n_tokens"]), json.loads(metadata["visits"])

    n_params = sum(p.numel() for p in model.parameters())
    print(f"{arguments.preset}: {n_params / 1e6:.2f} M parameters, {device}, from step {step}", flush=True)
    loss_of = torch.compile(model.loss) if arguments.compile else model.loss
    bf16 = torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext()
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
    batches = Batches(arguments, options, visits, segment, step)
    log = LossLog(os.path.join(arguments.out, "loss.csv"), step)
    saved_at, n_skipped = time.monotonic(), 0

    last_step = min(arguments.steps, step + arguments.run_steps)
    while step < last_step and time.monotonic() - start < 60 * arguments.minutes:
        step_start = time.monotonic()
        factor = lr_factor(step, step - first_step, arguments.steps, arguments.warmup)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = arguments.lr * factor
        sequences = batches.get(step)
        loss = 0.0
        for micro in sequences.split(arguments.micro):
            with bf16:
                part = loss_of(micro.to(device, non_blocking=True)) * (len(micro) / len(sequences))
            part.backward()
            loss += part.detach()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        loss, norm = float(loss), float(norm)
        if math.isfinite(loss) and math.isfinite(norm):
            for optimizer in optimizers:
                optimizer.step()
        else:  # the weights stay as they were; many of these in a row are no accident
            n_skipped += 1
            if n_skipped > 20:
                raise SystemExit(f"The loss or its gradient is no finite number in {n_skipped} steps, at step {step}.")
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        step += 1
        n_tokens += sequences.numel() - len(sequences)
        seconds = time.monotonic() - step_start
        log.write(step, n_tokens, loss, arguments.lr * factor, norm, (sequences.numel() - len(sequences)) / seconds)
        if time.monotonic() - saved_at > 60 * arguments.save_every:
            save_checkpoint(arguments, model, optimizers, batches, step, first_step, n_tokens)
            saved_at = time.monotonic()
    batches.close()
    log.close()
    if batches.segment is not None:
        save_checkpoint(arguments, model, optimizers, batches, step, first_step, n_tokens)
    print(f"at step {step} of {arguments.steps}, {n_tokens} tokens; {n_skipped} steps skipped", flush=True)


class LossLog:
    """loss.csv; rows of steps that a lost run did after its last checkpoint are taken back."""

    columns = ["step", "tokens", "loss", "lr", "gradient_norm", "tokens_per_second"]

    def __init__(self, path, step):
        rows = []
        if os.path.exists(path):
            with open(path, newline="") as file:
                rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= step]
        self._file = open(path, "w", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerows([self.columns, *rows])

    def close(self):
        self._file.close()

    def write(self, step, n_tokens, loss, lr, norm, rate):
        self._writer.writerow([step, n_tokens, f"{loss:.4f}", f"{lr:.3g}", f"{norm:.3f}", f"{rate:.0f}"])
        self._file.flush()
        if step % 20 == 0:
            print(f"step {step}: loss {loss:.3f}, gradient {norm:.2f}, {rate:.0f} tokens/s", flush=True)


if __name__ == "__main__":
    train(parse_arguments())
