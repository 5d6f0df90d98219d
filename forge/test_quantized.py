"""Quantized weights as they are read and as they are imitated, against the engine."""
import contextlib
import os
import struct
import subprocess
import tempfile
import unittest
import unittest.mock

import torch

import import_gguf
import train
from fake_quantize import EngineQuantizer, fake_quantized
from model import PRESETS
from train import loss_weights


def write_gguf(path, tensors):
    """f32 tensors alone, as far as the engine's `quantize` asks for more"""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    at = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, at)
        at += tensor.numel() * 4
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + b"".join(tensor.numpy().tobytes() for tensor in tensors.values()))


class QuantizeTest(unittest.TestCase):
    """Against the engine's quantizer and what it makes of its own files."""

    @classmethod
    def setUpClass(cls):
        generator = torch.Generator().manual_seed(6)
        # Rows of all kinds: near to nothing, of one sign, and with a few large elements, beside normal ones.
        weights = torch.randn(64, 512, generator=generator)
        weights[1] = 0
        weights[2] *= 1e-6
        weights[3] = weights[3].abs()
        weights[4, ::50] *= 20
        cls.weights = weights
        cls.folder = tempfile.TemporaryDirectory()
        write_gguf(cls.path("f32"), {"blk.0.ffn_up.weight": weights})

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, f"{name}.gguf")

    def quantized(self, name, of="f32"):
        """@return what is read of the engine's file"""
        out = self.path(f"{of}-{name}")
        command = [os.environ["OUTPOST_ENGINE"], "quantize", self.path(of), out, name, "--force"]
        subprocess.run(command, check=True, capture_output=True)
        _, tensors, types = import_gguf.read_gguf(out)
        self.assertEqual(types, {name})
        return tensors["blk.0.ffn_up.weight"]

    def test_quantized_weights_are_read_as_the_engine_reads_them(self):
        for name in ("f16", "bf16", "q8_0", "q4_K", "q6_K"):
            ours = self.quantized(name)
            theirs = self.quantized("bf16", of=f"f32-{name}")  # rounded to 8 bits
            torch.testing.assert_close(ours, theirs, rtol=2**-8, atol=1e-9, msg=name)

    def test_fake_quantization_loses_what_the_engine_s_q4_k_loses(self):
        theirs = self.quantized("q4_K")
        (ours,) = fake_quantized([self.weights])
        # It sweeps in steps twice as long: 1 % more on normal rows, 6 % where a few elements are large.
        for rows, limit in ((slice(5, None), 1.02), (slice(2, 3), 1.02), (slice(3, 4), 1.05), (slice(4, 5), 1.1)):
            weights = self.weights[rows]
            scale = weights.abs() + weights.pow(2).mean().sqrt()  # what the fit minimizes, nearly
            loss, expected = ((scale * (q[rows] - weights).pow(2)).sum() for q in (ours, theirs))
            self.assertLess(float(loss / expected), limit, rows)
            self.assertGreater(float(loss / expected), 0.99, rows)
        self.assertTrue((ours[1] == 0).all())

    def test_the_engine_s_own_quantizer_gives_what_its_file_has(self):
        given = self.weights.clone()
        for n_threads in (1, 3):
            (ours,) = EngineQuantizer(self.folder.name, n_threads).fake_quantized([self.weights])
            self.assertTrue(torch.equal(ours, self.quantized("q4_K")), n_threads)
            self.assertTrue(torch.equal(self.weights, given))

    def test_fake_quantization_of_what_is_quantized_changes_next_to_nothing(self):
        (once,) = fake_quantized([self.weights])
        theirs = self.quantized("q4_K")
        for quantized in (once, theirs):
            (again,) = fake_quantized([quantized])
            self.assertLess(float((again - quantized).norm() / (quantized - self.weights).norm()), 0.12)

    def test_a_step_computes_with_quantized_weights_and_changes_those_behind_them(self):
        shape = dict(n_embd=256, n_layer=1, n_head=4, n_head_kv=1, n_ff=512, n_ctx=16)
        with unittest.mock.patch.dict(PRESETS, {"small": shape}):
            words = "--preset toy --data . --vocabulary . --out . --steps 1 --batch 1 --micro 1".split()
            learner = train.Learner("small", 300, train.parse_arguments(words), "cpu")
        before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
        ids = torch.randint(0, 300, (1, 17), generator=torch.Generator().manual_seed(7))
        learner.quantize()
        quantized = [name for name, p in learner.model.named_parameters() if not torch.equal(p, before[name])]
        self.assertEqual(quantized, [name for name, p in before.items() if p.ndim == 2])
        torch.testing.assert_close(learner.model.token_embd.weight.data, fake_quantized([before["token_embd.weight"]])[0])
        weights = loss_weights(ids, 1.0)
        expected = float(learner.model.loss(ids, weights))
        learner.learn_from(ids, weights, contextlib.nullcontext())
        loss, _ = learner.finish_step(0.0)
        self.assertEqual(float(loss), expected)
        for name, parameter in learner.model.named_parameters():
            torch.testing.assert_close(parameter.data, before[name], rtol=0, atol=0, msg=name)
