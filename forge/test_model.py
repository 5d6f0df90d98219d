"""The decoder and its gradients, by PyTorch and by cpu/, and what is done with them in a step."""
import os
import tempfile
import unittest

import numpy as np
import torch

import train
from cpu_gradient import CpuGradient, has_fast_products
from fixtures import tiny_model
from model import Decoder, Hparams, read_safetensors, write_safetensors
from schedule import Schedule
from train import loss_weights
from vocabulary import EOT, FIM_MIDDLE


class ModelTest(unittest.TestCase):
    def test_gradients_are_those_of_finite_differences(self):
        model = tiny_model().double()
        sequences = torch.randint(0, 40, (2, 9), generator=torch.Generator().manual_seed(1))
        model.loss(sequences).backward()
        generator = torch.Generator().manual_seed(2)
        for name, parameter in model.named_parameters():
            direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            direction /= direction.norm()
            with torch.no_grad():
                ends = []
                for step in (1e-4, -1e-4):
                    parameter += step * direction
                    ends.append(float(model.loss(sequences)))
                    parameter -= step * direction
            slope = (ends[0] - ends[1]) / 2e-4
            expected = float((parameter.grad * direction).sum())
            self.assertAlmostEqual(slope, expected, delta=1e-5 + 1e-4 * abs(slope), msg=name)

    def test_weighted_losses_are_added_in_f32_under_autocast(self):
        model, sequences = tiny_model(), torch.randint(0, 40, (2, 9), generator=torch.Generator().manual_seed(1))
        weights = torch.rand(2, 8, generator=torch.Generator().manual_seed(2))
        with torch.autocast("cpu", torch.bfloat16):
            self.assertEqual(model.loss(sequences, weights).dtype, torch.float32)
        self.assertAlmostEqual(
            float(model.loss(sequences, torch.full((2, 8), 1 / 16))), float(model.loss(sequences)), delta=1e-5
        )

    def test_no_token_sees_what_follows(self):
        model = tiny_model()
        ids = torch.arange(10)[None]
        changed = ids.clone()
        changed[0, 6] = 30
        with torch.no_grad():
            a, b = model(ids), model(changed)
        torch.testing.assert_close(a[:, :6], b[:, :6])
        self.assertFalse(torch.allclose(a[:, 6:], b[:, 6:]))

    def test_muon_makes_singular_values_alike(self):
        for shape in ((3, 24, 8), (2, 8, 24)):
            matrices = torch.randn(shape, generator=torch.Generator().manual_seed(3))
            values = torch.linalg.svdvals(train.orthogonalized(matrices))
            self.assertGreater(float(values.min()), 0.5)
            self.assertLess(float(values.max()), 1.3)

    def test_the_rate_warms_up_stays_and_falls(self):
        schedule = Schedule(n_cycles=1, decay=0.2, n_warmup=10, quantized=0.5)
        rates = [schedule.rate(step / 100, step) for step in range(100)]
        self.assertEqual(rates[0], 0.1)
        self.assertEqual(set(rates[10:81]), {1.0})
        self.assertAlmostEqual(rates[85], 0.5)  # 1 - sqrt(1 / 4)
        self.assertGreater(rates[99], 0.0)
        self.assertEqual([schedule.is_quantized(step / 100) for step in (50, 90, 91, 99)], [False, False, True, True])

    def test_each_cycle_rises_and_falls(self):
        schedule = Schedule(n_cycles=2, decay=0.5, n_warmup=4)
        self.assertEqual([schedule.cycle(share) for share in (0, 0.49, 0.5, 0.99, 1.2)], [0, 0, 1, 1, 1])
        rates = [schedule.rate(step / 100, step % 50) for step in range(100)]
        np.testing.assert_allclose(rates[:50], rates[50:], atol=1e-9)
        self.assertLess(rates[49], 0.03)
        self.assertEqual(rates[54], 1.0)
        self.assertFalse(any(schedule.is_quantized(step / 100) for step in range(101)))

    def test_weights_come_back_from_their_file(self):
        model, other = tiny_model(), tiny_model()
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weights.safetensors")
            write_safetensors(path, dict(model.named_parameters()), {"step": 5}, torch.float32)
            self.assertEqual(read_safetensors(path, other), {"step": "5"})
        for (name, a), b in zip(model.named_parameters(), other.parameters()):
            torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)


class CpuGradientTest(unittest.TestCase):
    """cpu/cpu_gradient.cpp; its bf16 is compared with what f32 gives there, and that with autograd."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)

    def of(self, model, *flags, sequences, weights, n_threads=2):
        """(loss, gradients by name)"""
        for parameter in model.parameters():
            parameter.grad = None
        loss = CpuGradient(model, self.folder.name, n_threads, flags).add(sequences, weights)
        return loss, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    def sharpened(self, **sizes):
        """A model whose scores and norms are not all alike"""
        generator = torch.Generator().manual_seed(5)
        torch.manual_seed(4)
        model = Decoder(Hparams(**{**dict(n_vocab=320, n_layer=2, n_head_kv=1, n_ctx=256), **sizes}))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.mul_(0.5 + torch.rand(parameter.shape, generator=generator) if parameter.ndim == 1 else 2.0)
        return model

    def test_in_f32_it_is_autograds(self):
        generator = torch.Generator().manual_seed(6)
        cases = (dict(n_embd=128, n_head=4, n_ff=96), 192, 3), (dict(n_embd=128, n_head=2, n_ff=320), 32, 1)
        for sizes, n_tokens, n_sequences in cases:  # several blocks of keys; heads of 32 and 64; threads without work
            model = self.sharpened(**sizes)
            sequences = torch.randint(0, 320, (n_sequences, n_tokens + 1), generator=generator)
            weights = torch.rand(n_sequences, n_tokens, generator=generator) / n_tokens
            data = dict(sequences=sequences, weights=weights)
            loss, gradients = self.of(model, "-DOUTPOST_F32_PRODUCTS", **data)
            model.zero_grad(set_to_none=True)
            expected = model.loss(sequences, weights)
            expected.backward()
            # Its exponentials are exact to 3e-6 of them.
            self.assertAlmostEqual(loss, float(expected), delta=1e-5 * float(expected))
            for name, parameter in model.named_parameters():
                error = (gradients[name] - parameter.grad).norm() / parameter.grad.norm()
                self.assertLess(float(error), 3e-5, f"{name} with {sizes}")

    def test_gates_far_from_zero_are_shut_or_open(self):
        model = self.sharpened(n_embd=128, n_head=4, n_ff=96)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "ffn_gate" in name:
                    parameter.mul_(1000)  # e^-x has no room in f32
        sequences = torch.randint(0, 320, (1, 65), generator=torch.Generator().manual_seed(11))
        data = dict(sequences=sequences, weights=torch.full((1, 64), 1 / 64))
        loss, gradients = self.of(model, "-DOUTPOST_F32_PRODUCTS", **data)
        model.zero_grad(set_to_none=True)
        expected = model.loss(*data.values())
        expected.backward()
        self.assertAlmostEqual(loss, float(expected), delta=1e-4 * float(expected))
        error = gradients["token_embd.weight"] - model.token_embd.weight.grad
        self.assertLess(float(error.norm() / model.token_embd.weight.grad.norm()), 1e-3)

    def test_in_bf16_it_differs_by_its_roundings(self):
        model = self.sharpened(n_embd=128, n_head=4, n_ff=320)
        data = dict(sequences=torch.randint(0, 320, (2, 257), generator=torch.Generator().manual_seed(7)))
        data["weights"] = torch.full((2, 256), 1 / 512)
        loss, gradients = self.of(model, **data)
        exact_loss, exact = self.of(model, "-DOUTPOST_F32_PRODUCTS", **data)
        self.assertAlmostEqual(loss, exact_loss, delta=2**-8 * exact_loss)
        # The same roundings by autograd, where PyTorch puts them, are the measure.
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            model.loss(data["sequences"], data["weights"]).backward()
        for name, parameter in model.named_parameters():
            error, autocast = ((g - exact[name]).norm() / exact[name].norm() for g in (gradients[name], parameter.grad))
            self.assertLess(float(error), 1.5 * float(autocast), name)

    @unittest.skipUnless(has_fast_products(), "this processor has no AMX")
    def test_tiles_multiply_as_plain_loops(self):
        model = self.sharpened(n_embd=128, n_head=4, n_ff=320)
        data = dict(sequences=torch.randint(0, 320, (2, 257), generator=torch.Generator().manual_seed(8)))
        data["weights"] = torch.full((2, 256), 1 / 512)
        loss, gradients = self.of(model, **data)
        plain_loss, plain = self.of(model, "-DOUTPOST_PLAIN_PRODUCTS", **data)
        _, exact = self.of(model, "-DOUTPOST_F32_PRODUCTS", **data)
        self.assertAlmostEqual(loss, plain_loss, delta=2**-12 * plain_loss)
        for name, gradient in gradients.items():  # sums in other orders: of what bf16 rounds, a little goes the other way
            self.assertLess(float((gradient - plain[name]).norm() / (plain[name] - exact[name]).norm()), 0.3, name)

    def test_matrices_are_orthogonalized_as_by_the_trainer(self):
        for flags, tolerance in ((["-DOUTPOST_F32_PRODUCTS"], 1e-4), ([], 0.03)):  # ten products, each with inputs in bf16
            of = CpuGradient(self.sharpened(n_embd=128, n_head=4, n_ff=96), self.folder.name, flags=flags)
            for shape in ((3, 64, 160), (1, 96, 32)):
                matrices = torch.randn(shape, generator=torch.Generator().manual_seed(10))
                given, expected = matrices.clone(), train.orthogonalized(matrices)
                result = of.orthogonalized(matrices)
                self.assertTrue(torch.equal(matrices, given))
                self.assertLess(float((result - expected).norm() / expected.norm()), tolerance, f"{shape} {flags}")

    def test_gradients_are_added_up(self):
        model = self.sharpened(n_embd=128, n_head=4, n_ff=96)
        sequences = torch.randint(0, 320, (2, 65), generator=torch.Generator().manual_seed(9))
        weights = torch.full((2, 64), 1 / 128)
        _, together = self.of(model, "-DOUTPOST_F32_PRODUCTS", sequences=sequences, weights=weights)
        of = CpuGradient(model, self.folder.name, flags=["-DOUTPOST_F32_PRODUCTS"])
        model.zero_grad(set_to_none=True)
        for i in range(2):
            of.add(sequences[i : i + 1], weights[i : i + 1])
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, together[name], rtol=1e-4, atol=1e-7, msg=name)

    def test_what_it_cannot_compute_is_refused(self):
        with self.assertRaisesRegex(ValueError, "multiples of 32"):
            CpuGradient(self.sharpened(n_embd=96, n_head=6, n_ff=96), self.folder.name)
        of = CpuGradient(self.sharpened(n_embd=128, n_head=4, n_ff=96), self.folder.name, flags=["-DOUTPOST_F32_PRODUCTS"])
        for sequences, words in ((torch.zeros(1, 31, dtype=torch.long), "30 tokens"), (torch.full((1, 33), 320), "to 320")):
            with self.assertRaisesRegex(ValueError, words):
                of.add(sequences, torch.ones(1, sequences.shape[1] - 1))


class LossWeightsTest(unittest.TestCase):
    def test_middles_weigh_more(self):
        a, b = [310, 300, 301, FIM_MIDDLE, 302, 303, EOT, 304], [FIM_MIDDLE, 300, EOT, 301, FIM_MIDDLE, EOT, 300, 301]
        weights = loss_weights(torch.tensor([a, b]), 3.0)
        parts = torch.tensor([[1, 1, 1, 3, 3, 3, 1], [3, 3, 1, 1, 3, 1, 1]], dtype=torch.float32)
        torch.testing.assert_close(weights, parts / parts.sum())

    def test_without_a_weight_all_are_alike(self):
        torch.testing.assert_close(loss_weights(torch.tensor([[FIM_MIDDLE, 1, EOT]]), 1.0), torch.tensor([[0.5, 0.5]]))
