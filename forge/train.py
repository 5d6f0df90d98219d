"""Trains a llama-compatible decoder on token shards (stream.py) and writes it as safetensors.

    python3 forge/train.py --preset target --data DIR --vocabulary FILE.json --out DIR --deadline 1200 --cycles 2

Several presets learn from the same batches, one after the other, and are at the same point at any time. A run may be cut
off (--minutes, --run-steps, or by force): the same command goes on from its checkpoint. Weights alone (PRESET.safetensors,
small enough to be carried in parts) are enough to go on elsewhere: --init. Runs on PyTorch 1.13 and later; a CPU does for
the toy, and with --cpu-gradient for some millions of tokens where it has AMX.

The training is as long as --steps, or ends at --deadline, by the clock: what starts late or is stopped for a while does
less, and still ends with a low rate. A number in the file OUT/deadline (seconds since 1970) replaces it while it runs. What
the rate does meanwhile is in schedule.py.

PRESET.safetensors are weights worth having at any time: while the rate is high, their running average, which starts with
those that training started with. At the end of each cycle but the last they are kept as PRESET-cycle-N.safetensors.
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
import shutil
import time

import torch

from cpu_gradient import CpuGradient
from fake_quantize import EngineQuantizer, can_be_quantized, fake_quantized
from model import PRESETS, Decoder, Hparams, read_safetensors, write_safetensors
from schedule import Schedule
from stream import Segment, StreamOptions, TokenStream, next_segment
from vocabulary import EOT, FIM_MIDDLE, Vocabulary

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

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.1, orthogonalized=orthogonalized):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self._orthogonalized = orthogonalized

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
                for parameter, update in zip(parameters, self._orthogonalized(torch.stack(updates))):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * size)


def make_optimizers(model, lr, device, orthogonalized=orthogonalized):
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    adam = dict(betas=(0.9, 0.95), eps=1e-10, **({"fused": True} if device == "cuda" else {}))
    groups = [dict(params=[model.token_embd.weight], weight_decay=0.01), dict(params=vectors, weight_decay=0.0)]
    return [Muon(matrices, lr, orthogonalized=orthogonalized), torch.optim.AdamW(groups, lr, **adam)]


@torch.no_grad()
def clip_gradients(parameters, most=1.0):
    """Scales gradients to a norm of at most `most`; to nothing where one is no finite number. @return the norm before.

    All of it on the device: asking for the norm would make the device wait for the next step's commands.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.norm() for g in gradients]).norm()
    scale = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
        torch.nan_to_num(gradient, 0.0, 0.0, 0.0, out=gradient)  # 0 times infinity, and what was no number
    return norm


# ---------------------------------------------------------------- batches


class Batches:
    """Batches of steps in order, made ahead by other processes."""

    def __init__(self, arguments, options, visits, segment):
        self._arguments, self._options = arguments, options
        self.visits, self.segment = visits, segment
        self._pool = _make_pool(arguments.workers)
        self._ahead = {}

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


def loss_weights(sequences, middle_weight):
    """[n, n_tokens + 1] ids -> [n, n_tokens] f32 of the losses of all but the first, whose sum is 1.

    A middle is what follows FIM_MIDDLE, up to and with EOT.
    """
    is_middle = torch.zeros(sequences.shape, dtype=torch.bool, device=sequences.device)
    if middle_weight != 1:
        # Each token's place among those that begin or end a middle: the last one before it decides.
        places = torch.arange(1, sequences.shape[1] + 1, device=sequences.device).expand_as(sequences)
        before = torch.cummax(places * ((sequences == FIM_MIDDLE) | (sequences == EOT)), 1).values[:, :-1]
        opener = sequences.gather(1, (before - 1).clamp(min=0))
        is_middle[:, 1:] = (before > 0) & (opener == FIM_MIDDLE)
    weights = torch.ones(sequences.shape, device=sequences.device)[:, 1:].masked_fill(is_middle[:, 1:], middle_weight)
    return weights / weights.sum()


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, required=True, action="append", help="one, or several in turn")
    parser.add_argument("--data", required=True, help="folder of *.tokens; more may arrive while this runs")
    parser.add_argument("--vocabulary", required=True, help="JSON of train-tokenizer")
    parser.add_argument("--out", required=True, help="folder for the checkpoint, PRESET.safetensors and PRESET-loss.csv")
    parser.add_argument("--init", help="folder with each PRESET.safetensors, to start from instead of random weights")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, help="of the whole training, over all runs")
    length.add_argument("--deadline", type=float, help="its end, in seconds from the first start or since 1970")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of this run")
    parser.add_argument("--run-steps", type=int, default=1 << 60, help="most steps of this run")
    parser.add_argument("--batch", type=int, default=64, help="sequences of a step")
    parser.add_argument("--context", type=int, help="tokens of a sequence; the preset's, unless given")
    parser.add_argument("--micro", type=int, default=8, help="sequences in memory at a time")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--cycles", type=int, default=1, help="how often the rate rises and falls to nothing")
    parser.add_argument("--warmup", type=int, default=100, help="steps of a cycle in which the rate rises")
    parser.add_argument("--decay", type=float, default=0.35, help="the part of a cycle in which the rate falls")
    parser.add_argument("--quantized", type=float, default=0.0, help="the end of a decay that computes with q4_K weights")
    parser.add_argument("--fim-rate", type=float, default=StreamOptions.fim_rate)
    parser.add_argument("--chunk", type=float, nargs=2, default=StreamOptions.chunk, help="least and most, of a sequence")
    parser.add_argument("--similar-rate", type=float, default=StreamOptions.similar_rate, help="of chunks with a name")
    parser.add_argument("--middle-weight", type=float, default=1.0, help="of losses of middles; 1 is that of others")
    parser.add_argument("--save-every", type=float, default=4, help="minutes between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--cpu-gradient", action="store_true", help="cpu/cpu_gradient.cpp in the place of PyTorch's autograd")
    arguments = parser.parse_args(words)
    if arguments.batch % arguments.micro != 0:
        parser.error("--batch is no multiple of --micro")
    return arguments


#: Of the running average of weights, a step: it is that of about a hundred steps.
AVERAGE_DECAY = 0.99
#: A rate under this part of the highest averages by itself, and the average would be of weights that were worse.
LOW_RATE = 0.1


class Learner:
    """One of the models that are trained: with its optimizers, and its losses of a step."""

    def __init__(self, preset, n_vocab, arguments, device):
        self.preset = preset
        torch.manual_seed(arguments.seed)
        self.model = Decoder(Hparams(n_vocab=n_vocab, **PRESETS[preset])).to(device)
        self._cpu_gradient = CpuGradient(self.model, arguments.out) if arguments.cpu_gradient else None
        way = {} if self._cpu_gradient is None else {"orthogonalized": self._cpu_gradient.orthogonalized}
        self.optimizers = make_optimizers(self.model, arguments.lr, device, **way)
        self._fake_quantized = EngineQuantizer(arguments.out).fake_quantized if arguments.cpu_gradient else fake_quantized
        self._parameters = list(self.model.parameters())
        self._matrices = [parameter for parameter in self._parameters if can_be_quantized(parameter)]
        self._masters = None
        self._loss_of = torch.compile(self.model.loss, dynamic=False) if arguments.compile else self.model.loss
        self.loss = 0.0
        self.start_average()

    @torch.no_grad()
    def start_average(self):
        """From the weights that the model has now"""
        self._average = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def quantize(self):
        """Until the step is finished the model computes with q4_K matrices (arXiv:2503.19786, 2509.22935)."""
        self._masters = [matrix.detach().clone() for matrix in self._matrices]
        for matrix, quantized in zip(self._matrices, self._fake_quantized(self._masters)):
            matrix.copy_(quantized)

    @torch.no_grad()
    def restore(self):
        for matrix, master in zip(self._matrices, self._masters or ()):
            matrix.copy_(master)
        self._masters = None

    def learn_from(self, micro, weights, autocast):
        if self._cpu_gradient is not None:
            self.loss = self.loss + self._cpu_gradient.add(micro, weights)
            return
        with autocast:
            loss = self._loss_of(micro, weights)
        loss.backward()
        self.loss = self.loss + loss.detach()

    @torch.no_grad()
    def finish_step(self, lr):
        """@return (loss, norm of the gradient), both still on the device"""
        self.restore()  # what the quantized weights taught is done to those behind them
        norm = clip_gradients(self._parameters)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        torch._foreach_mul_(self._average, AVERAGE_DECAY)
        torch._foreach_add_(self._average, [parameter.detach() for parameter in self._parameters], alpha=1 - AVERAGE_DECAY)
        loss, self.loss = self.loss, 0.0
        return loss, norm

    def weights(self, rate):
        """The best there are, by name. @param rate of the last step, of the highest"""
        names = [name for name, _ in self.model.named_parameters()]
        return dict(zip(names, self._parameters if rate < LOW_RATE else self._average))

    def state(self):
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        return {"model": self.model.state_dict(), "optimizers": optimizers, "average": self._average}

    def load_state(self, state):
        self.model.load_state_dict(state["model"])
        for optimizer, optimizer_state in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(optimizer_state)
        self._average = state["average"]


@dataclasses.dataclass
class Progress:
    """What a training has behind it, over all of its runs."""

    step: int = 0
    cycle: int = 0
    cycle_step: int = 0  # the first of the cycle
    rate: float = 1.0  # of the last step, of the highest
    n_tokens: int = 0  # also of the trainings before this one
    started: float = 0.0  # by the clock, in seconds since 1970
    seconds: float = 0.0  # since then


class Trainer:
    def __init__(self, arguments):
        self._arguments = arguments
        self._device = "cuda" if torch.cuda.is_available() and not arguments.cpu_gradient else "cpu"
        if self._device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
        os.makedirs(arguments.out, exist_ok=True)
        self._schedule = Schedule(arguments.cycles, arguments.decay, arguments.warmup, arguments.quantized)
        n_vocab = len(Vocabulary(arguments.vocabulary))
        self._learners = [Learner(preset, n_vocab, arguments, self._device) for preset in arguments.preset]
        self._progress, visits, segment = self._loaded()
        n_ctx = arguments.context or PRESETS[arguments.preset[0]]["n_ctx"]
        chosen = {name: getattr(arguments, name) for name in ("fim_rate", "similar_rate", "seed")}
        options = StreamOptions(n_ctx, arguments.batch, chunk=tuple(arguments.chunk), **chosen)
        self._batches = Batches(arguments, options, visits, segment)
        self._logs = [LossLog(self._path(f"{p}-loss.csv"), self._progress.step, p) for p in arguments.preset]
        self._pending = None  # numbers of the last step that are still on the device
        self._n_skipped = self._n_skipped_now = 0  # in all, and in a row
        for learner in self._learners:
            n_params = sum(p.numel() for p in learner.model.parameters()) / 1e6
            step = self._progress.step
            print(f"{learner.preset}: {n_params:.2f} M parameters, {self._device}, from step {step}", flush=True)
            if arguments.quantized > 0:
                self._try_to_quantize(learner)

    def _try_to_quantize(self, learner):
        """What fails should do so now, and not when the rate falls; the second time is what a step will take."""
        for _ in range(2):
            start = time.monotonic()
            learner.quantize()
            learner.restore()
            if self._device == "cuda":
                torch.cuda.synchronize()
        print(f"{learner.preset}: quantizing takes {1000 * (time.monotonic() - start):.0f} ms a step", flush=True)

    def _path(self, name):
        return os.path.join(self._arguments.out, name)

    def _loaded(self):
        """@return (progress, visits of shards, segment) of the checkpoint, of the weights to start from, or of none"""
        if os.path.exists(self._path("checkpoint.pt")):
            state = torch.load(self._path("checkpoint.pt"), map_location=self._device)
            if list(state["learners"]) != self._arguments.preset:
                raise SystemExit(f"The checkpoint in {self._arguments.out} is of {', '.join(state['learners'])}.")
            for learner in self._learners:
                learner.load_state(state["learners"][learner.preset])
            segment = state["segment"]
            return Progress(**state["progress"]), state["visits"], Segment(**{**segment, "shards": tuple(segment["shards"])})
        if self._arguments.init:
            for learner in self._learners:
                path = os.path.join(self._arguments.init, f"{learner.preset}.safetensors")
                metadata = read_safetensors(path, learner.model)
                learner.start_average()
            # A training of its own: its steps, its time and its cycles begin anew.
            return Progress(n_tokens=int(metadata["n_tokens"])), json.loads(metadata["visits"]), None
        return Progress(), {}, None

    def _share_done(self):
        """0 to 1"""
        done = self._progress
        if self._arguments.steps is not None:
            return done.step / self._arguments.steps
        return (time.time() - done.started) / max(1e-3, self._deadline() - done.started)

    def _deadline(self):
        """In seconds since 1970"""
        try:
            with open(self._path("deadline")) as file:
                return float(file.read())
        except (OSError, ValueError):
            deadline = self._arguments.deadline
            return deadline if deadline > 1e9 else self._progress.started + deadline

    def run(self):
        arguments, done, schedule = self._arguments, self._progress, self._schedule
        done.started = done.started or time.time()
        start = saved_at = last = time.monotonic()
        last_step = done.step + arguments.run_steps
        autocast = torch.autocast("cuda", torch.bfloat16) if self._device == "cuda" else contextlib.nullcontext()
        while done.step < last_step and time.monotonic() - start < 60 * arguments.minutes:
            share = self._share_done()
            if share >= 1:
                break
            if schedule.cycle(share) > done.cycle:
                self._finish_cycle(schedule.cycle(share))
            rate = schedule.rate(share, done.step - done.cycle_step)
            sequences = self._batches.get(done.step)
            if self._device == "cuda":
                sequences = sequences.pin_memory().to(self._device, non_blocking=True)
            weights = loss_weights(sequences, arguments.middle_weight)
            for learner in self._learners:
                if schedule.is_quantized(share):
                    learner.quantize()
                for micro in zip(sequences.split(arguments.micro), weights.split(arguments.micro)):
                    learner.learn_from(*micro, autocast)
            results = [learner.finish_step(arguments.lr * rate) for learner in self._learners]
            done.step += 1
            done.rate = rate
            done.n_tokens += sequences.numel() - len(sequences)
            # Numbers of the step before: the device has the commands of this one by now and does not wait.
            self._write_pending()
            now = time.monotonic()
            done.seconds = time.time() - done.started
            speed = (sequences.numel() - len(sequences)) / (now - last)
            last = now
            self._pending = (dataclasses.replace(done), results, arguments.lr * rate, speed)
            if now - saved_at > 60 * arguments.save_every:
                self._save()
                saved_at = last = time.monotonic()
        if self._pending is not None:
            self._save()
        self._batches.close()
        for log in self._logs:
            log.close()
        print(f"at step {done.step}, {self._share_done():.1%} done, {done.n_tokens} tokens; "
              f"{self._n_skipped} steps skipped", flush=True)

    def _finish_cycle(self, next_cycle):
        done = self._progress
        done.cycle, done.cycle_step = next_cycle, done.step
        if done.step == 0:
            return  # it began too late for this one
        self._save()
        for learner in self._learners:
            weights = self._path(f"{learner.preset}.safetensors")
            shutil.copyfile(weights, weights + ".part")
            os.replace(weights + ".part", self._path(f"{learner.preset}-cycle-{next_cycle}.safetensors"))
        print(f"step {done.step}: cycle {next_cycle} is over", flush=True)

    def _write_pending(self):
        if self._pending is None:
            return
        done, results, lr, speed = self._pending
        self._pending = None
        results = [(float(loss), float(norm)) for loss, norm in results]
        for log, (loss, norm) in zip(self._logs, results):
            log.write(done, loss, lr, norm, speed)
        if all(math.isfinite(value) for pair in results for value in pair):
            self._n_skipped_now = 0
            return
        self._n_skipped += 1
        self._n_skipped_now += 1
        if self._n_skipped_now == 20:  # no accident
            raise SystemExit(f"The loss or its gradient was no finite number 20 times in a row, at step {done.step}.")

    def _save(self):
        self._write_pending()
        for log in self._logs:
            log.flush()  # what a checkpoint has behind it is in the file
        progress = dataclasses.asdict(self._progress)
        state = {
            "learners": {learner.preset: learner.state() for learner in self._learners},
            "visits": self._batches.visits,
            "segment": dataclasses.asdict(self._batches.segment),
            "progress": progress,
        }
        torch.save(state, self._path("checkpoint.pt.part"))
        os.replace(self._path("checkpoint.pt.part"), self._path("checkpoint.pt"))
        for learner in self._learners:
            metadata = {"hparams": json.dumps(dataclasses.asdict(learner.model.hp)), **progress}
            metadata["visits"] = json.dumps(self._batches.visits)
            dtype = torch.float32 if learner.preset == "toy" else torch.bfloat16
            weights = learner.weights(self._progress.rate)
            write_safetensors(self._path(f"{learner.preset}.safetensors"), weights, metadata, dtype)


def train(arguments):
    Trainer(arguments).run()


class LossLog:
    """PRESET-loss.csv; rows of steps that a lost run did after its last checkpoint are taken back."""

    columns = ["step", "tokens", "loss", "lr", "gradient_norm", "tokens_per_second", "seconds"]

    def __init__(self, path, step, name):
        self._name = name
        rows = []
        if os.path.exists(path):
            with open(path, newline="") as file:
                rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= step]
        self._file = open(path, "w", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerows([self.columns, *rows])
        self.flush()  # who is killed now has lost nothing

    def flush(self):
        self._file.flush()

    def close(self):
        self._file.close()

    def write(self, done, loss, lr, norm, rate):
        numbers = [f"{loss:.4f}", f"{lr:.3g}", f"{norm:.3f}", f"{rate:.0f}", f"{done.seconds:.1f}"]
        self._writer.writerow([done.step, done.n_tokens, *numbers])
        if done.step % 20 == 0:
            self._file.flush()
            text = f"step {done.step}, {done.seconds:.0f} s: {self._name} loss {loss:.3f}, gradient {norm:.2f}"
            print(f"{text}, rate {lr:.2g}, {rate:.0f} tokens/s", flush=True)


if __name__ == "__main__":
    train(parse_arguments())
