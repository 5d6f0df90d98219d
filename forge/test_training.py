"""Whole trainings: their schedule, their files, and how these are carried."""
import csv
import dataclasses
import itertools
import json
import os
import tempfile
import unittest
import unittest.mock

import numpy as np
import torch

import carry
import mix_weights
import train
from fixtures import TOKENS, TOY, VOCABULARY, tiny_model
from model import PRESETS, Decoder, Hparams, read_safetensors, write_safetensors


class MixTest(unittest.TestCase):
    def test_weights_between_two(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("a", "b", "out")]
            model = tiny_model()
            for path, value in zip(paths, (1.0, 3.0)):
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.fill_(value)
                metadata = {"hparams": json.dumps(dataclasses.asdict(model.hp)), "n_tokens": int(value)}
                write_safetensors(path, dict(model.named_parameters()), metadata, torch.float32)
            mix_weights.main([*paths[:2], "--share", "0.25", "--out", paths[2]])
            self.assertEqual(read_safetensors(paths[2], model)["n_tokens"], "3")
            for parameter in model.parameters():
                self.assertTrue(torch.equal(parameter, torch.full_like(parameter, 1.5)))
            other = {"hparams": json.dumps({**dataclasses.asdict(model.hp), "n_ctx": 24})}
            write_safetensors(paths[1], dict(model.named_parameters()), other, torch.float32)
            with self.assertRaisesRegex(SystemExit, "different models"):
                mix_weights.main([*paths[:2], "--out", paths[2]])


class TrainingTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

        # The toy with rows that can be quantized, and smaller otherwise.
        toy = dict(n_embd=256, n_layer=1, n_head=4, n_head_kv=1, n_ff=256, n_ctx=256)
        patch = unittest.mock.patch.dict(PRESETS, {"toy": toy})
        patch.start()
        self.addCleanup(patch.stop)

    def train(self, name, *words):
        files = ["--data", TOKENS, "--vocabulary", os.path.join(TOY, "vocabulary.json"), "--out", self.path(name)]
        fixed = ["--preset", "toy", "--batch", "2", "--micro", "1", "--warmup", "2"]
        train.train(train.parse_arguments([*fixed, *files, *words]))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def column(self, name, column):
        with open(self.path(name, "toy-loss.csv")) as file:
            return [float(row[column]) for row in csv.DictReader(file)]

    def weights(self, *names):
        model = Decoder(Hparams(n_vocab=len(VOCABULARY), **PRESETS["toy"]))
        metadata = read_safetensors(self.path(*names), model)
        return model.state_dict(), metadata

    def assert_equal_weights(self, one, another, **tolerance):
        self.assertEqual(list(one), list(another))
        for name, weights in one.items():
            torch.testing.assert_close(weights, another[name], msg=name, **tolerance)

    def test_a_run_that_goes_on_gives_the_same_losses_and_weights(self):
        schedule = ["--steps", "6", "--cycles", "2", "--decay", "1", "--quantized", "0.5"]
        watched = dict(autospec=True, side_effect=train.Learner.quantize)
        with unittest.mock.patch.object(train.Learner, "quantize", **watched) as quantize:
            self.train("whole", *schedule)
        self.assertEqual(quantize.call_count, 2 + 2)  # as a trial, and in the last step of each cycle
        for n in ("1", "3", "2"):
            self.train("parts", *schedule, "--run-steps", n)
        self.assertEqual(len(self.column("whole", "loss")), 6)
        for name in ("whole", "parts"):  # each cycle of three warms up in two
            self.assertEqual([rate / 3e-3 for rate in self.column(name, "lr")][::3], [0.5, 0.5])
        np.testing.assert_allclose(self.column("whole", "loss"), self.column("parts", "loss"), atol=2e-4)
        for file in ("toy.safetensors", "toy-cycle-1.safetensors"):
            self.assert_equal_weights(self.weights("whole", file)[0], self.weights("parts", file)[0], rtol=0, atol=1e-4)

    def test_weights_are_the_average_while_the_rate_is_high_and_the_last_when_it_is_low(self):
        schedule = ["--steps", "100", "--decay", "0.96"]
        self.train("out", *schedule, "--run-steps", "3")
        state = torch.load(self.path("out", "checkpoint.pt"))["learners"]["toy"]
        weights = dict(zip(state["model"], state["average"]))
        self.assert_equal_weights(self.weights("out", "toy.safetensors")[0], weights, rtol=0, atol=0)
        self.assertFalse(torch.equal(weights["token_embd.weight"], state["model"]["token_embd.weight"]))
        # By its definition: a hundredth of each step's weights, and the rest of those before.
        torch.manual_seed(0)
        average = Decoder(Hparams(n_vocab=len(VOCABULARY), **PRESETS["toy"])).state_dict()
        for n in (1, 2, 3):
            self.train("again", *schedule, "--run-steps", "1")
            model = torch.load(self.path("again", "checkpoint.pt"))["learners"]["toy"]["model"]
            average = {name: 0.99 * average[name] + 0.01 * model[name] for name in average}
        self.assert_equal_weights(weights, average, rtol=1e-4, atol=1e-6)
        with unittest.mock.patch.object(train, "LOW_RATE", 0.15):
            self.train("low", "--steps", "4", "--decay", "1")
        self.assertLess(self.column("low", "lr")[-1], 0.15 * 3e-3)
        model = torch.load(self.path("low", "checkpoint.pt"))["learners"]["toy"]["model"]
        self.assert_equal_weights(self.weights("low", "toy.safetensors")[0], model, rtol=0, atol=0)

    def test_a_training_ends_at_its_deadline_with_a_low_rate_however_late_it_began(self):
        for name, late in (("early", 0), ("late", 20)):
            # The clock is asked at the start, and then twice a step.
            times = itertools.chain([1000.0], (1000.0 + late + i / 2 for i in itertools.count(1)))
            with unittest.mock.patch("train.time.time", side_effect=times):
                self.train(name, "--deadline", "30", "--decay", "0.4")
        n_early, n_late = (len(self.column(name, "lr")) for name in ("early", "late"))
        self.assertAlmostEqual(n_early, 30, delta=1)
        self.assertAlmostEqual(n_late, 10, delta=1)
        for name in ("early", "late"):
            self.assertLess(self.column(name, "lr")[-1], 0.1 * 3e-3)

    def test_the_cpus_own_gradient_teaches_as_autograd_does(self):
        schedule = ["--steps", "12", "--lr", "0.02", "--middle-weight", "3", "--context", "128"]
        schedule += ["--decay", "0.5", "--quantized", "1"]  # the second half with q4_K weights
        self.train("autograd", *schedule)
        self.train("own", *schedule, "--cpu-gradient")
        losses, expected = self.column("own", "loss"), self.column("autograd", "loss")
        self.assertLess(expected[-1], expected[0] - 1)
        # Each step's roundings in bf16 change the next ones' weights; the loss falls by nats.
        np.testing.assert_allclose(losses, expected, rtol=0, atol=0.1)
        self.assertEqual(self.column("own", "tokens")[0], 2 * 128)

    def test_a_run_that_is_killed_at_once_loses_nothing_of_the_log(self):
        self.train("out", "--steps", "4", "--run-steps", "2")
        log = train.LossLog(self.path("out", "toy-loss.csv"), 2, "toy")
        self.assertEqual(self.column("out", "step"), [1, 2])
        log.close()

    def test_bad_steps_end_a_training_when_they_are_many_in_a_row(self):
        finish = train.Learner.finish_step

        def with_bad(is_bad):
            n_steps = itertools.count()

            def step(learner, lr):
                loss, norm = finish(learner, lr)
                return (loss * float("nan") if is_bad(next(n_steps)) else loss), norm

            return unittest.mock.patch.object(train.Learner, "finish_step", step)

        with with_bad(lambda i: i % 20 != 19):
            self.train("some", "--steps", "41")
        self.assertEqual(len(self.column("some", "loss")), 41)
        with with_bad(lambda i: i > 0), self.assertRaisesRegex(SystemExit, "20 times in a row, at step 21"):
            self.train("many", "--steps", "41")

    def test_weights_of_a_training_that_is_over_begin_another(self):
        with unittest.mock.patch("train.time.time", side_effect=itertools.count(1000.0)):  # a second each time it is asked
            self.train("first", "--steps", "4")
            self.train("second", "--steps", "4", "--init", self.path("first"), "--run-steps", "2")
        self.assertEqual(self.column("second", "step"), [1, 2])
        self.assertEqual(self.column("second", "lr")[-1], 3e-3)  # warmed up, and not fallen
        self.assertLess(self.column("second", "seconds")[-1], self.column("first", "seconds")[-1])
        # Some of its counts go on: what was seen, and how much.
        self.assertEqual(self.column("second", "tokens"), [256 * 2 * n for n in (5, 6)])


class CarryTest(unittest.TestCase):
    def test_files_arrive_whole_in_any_order_of_parts(self):
        rng = np.random.default_rng(4)
        with tempfile.TemporaryDirectory() as folder:
            sizes = {"0.tokens": 3000, "1.tokens": 10, "2.tokens": 5000}
            contents = {name: rng.integers(0, 65536, n).astype("<u2").tobytes() for name, n in sizes.items()}
            for name, data in contents.items():
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(data)
            out, into = os.path.join(folder, "parts"), os.path.join(folder, "into")
            n_parts = carry.pack(out, [os.path.join(folder, name) for name in contents], 4000)
            self.assertGreater(n_parts, 3)
            parts = [os.path.join(out, name) for name in sorted(os.listdir(out), reverse=True)]
            for part in parts:
                self.assertLess(sum(e.stat().st_size for e in os.scandir(part) if not e.name.endswith(".json")), 4001)
            _, waiting = carry.unpack(parts[:1], into)
            self.assertEqual(waiting, ["2.tokens"])
            for part in parts[1:]:
                _, waiting = carry.unpack([part], into)
            self.assertEqual(waiting, [])
            self.assertEqual(carry.unpack(parts[:1], into), ([], []))  # a part that comes again is not waited for
            for name, data in contents.items():
                with open(os.path.join(into, name), "rb") as file:
                    self.assertEqual(file.read(), data)

    def test_damage_on_the_way_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.tokens")
            with open(path, "wb") as file:
                file.write(bytes(1000))
            carry.pack(os.path.join(folder, "parts"), [path], 1 << 20)
            entry = os.path.join(folder, "parts", "part-00", "a.tokens.00.json")
            with open(entry) as file:
                changed = json.load(file) | {"sha256": "0" * 64}
            with open(entry, "w") as file:
                json.dump(changed, file)
            with self.assertRaisesRegex(SystemExit, "damaged"):
                carry.unpack([os.path.join(folder, "parts", "part-00")], os.path.join(folder, "into"))
