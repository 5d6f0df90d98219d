"""What the training rests on: cuts, batches, gradients, the optimizer, files. toy/chain.mjs makes the data and runs it.

    OUTPOST_TOY=build/forge/toy OUTPOST_ENGINE=... python3 -m unittest test_forge     (in forge/)
"""
import dataclasses
import json
import os
import re
import subprocess
import tempfile
import unittest

import numpy as np
import torch

import carry
import train
from cuts import asked_start, choose_span, cut_tokens
from stream import StreamOptions, TokenStream, next_segment
from vocabulary import BOS, EOT, FILE, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, NEWLINE, REPOSITORY, Vocabulary

TOY = os.environ["OUTPOST_TOY"]
TOKENS = os.path.join(TOY, "tokens")
VOCABULARY = Vocabulary(os.path.join(TOY, "vocabulary.json"))
TEXTS = [
    b"let a = 12345;\n\n\n  if (a) {\n    b(1234567, '\xe2\x82\xac \xc3\xa9');\r\n  }\n\treturn x\n" * 3,
    open(os.path.join(os.path.dirname(__file__), "stream.py"), "rb").read(),
]


def encode(texts):
    """Ids by the engine, to compare with."""
    records = b"".join(b"%d\n%s" % (len(text), text) for text in texts)
    command = [os.environ["OUTPOST_ENGINE"], "tokenize", os.path.join(TOY, "vocabulary.gguf"), "--no-bos", "--batch"]
    output = subprocess.run(command, input=records, capture_output=True, check=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def tiny_model():
    torch.manual_seed(0)
    return train.Decoder(train.Hparams(n_vocab=40, n_embd=16, n_layer=2, n_head=4, n_head_kv=1, n_ff=24, n_ctx=12))


class CutTest(unittest.TestCase):
    def test_parts_have_the_ids_that_the_engine_gives_each_alone(self):
        rng = np.random.default_rng(1)
        texts, ids = [], []
        for text, whole in zip(TEXTS, encode(TEXTS)):
            for _ in range(150):
                span = choose_span(text, rng)
                if span is None:
                    continue
                left, suffix = cut_tokens(VOCABULARY, np.array(whole, dtype=np.uint16), span[1])
                prefix, middle = cut_tokens(VOCABULARY, left, span[0])
                texts += [text[: span[0]], text[span[0] : span[1]], text[span[1] :]]
                ids += [prefix.tolist(), middle.tolist(), suffix.tolist()]
        self.assertGreater(len(texts), 600)
        self.assertEqual(encode(texts), ids)

    def test_a_cursor_s_word_its_blanks_and_their_break_are_in_the_middle(self):
        for text, expected in (
            (b"a;\n    ret", b"a;"),
            (b"a;\n    ", b"a;"),
            (b"a;\n\n  b", b"a;\n"),
            (b"a;\r\n\tb", b"a;"),
            (b"const a = fo", b"const a ="),
            (b"const a =  ", b"const a ="),
            (b"call(", b"call("),
            (b"call(a.$b", b"call(a."),
            ("x = größe".encode(), b"x ="),
            (b"x = " + 33 * b"a", b"x = " + 33 * b"a"),  # no word that somebody types
        ):
            self.assertEqual(text[: asked_start(text, len(text))], expected, text)

    def test_most_cuts_are_lines_as_the_app_asks_for_them(self):
        rng = np.random.default_rng(5)
        for break_ in (b"\n", b"\r\n"):
            text = TEXTS[1].replace(b"\n", break_)
            lines, rests, several = 0, 0, 0
            n = 1500
            for _ in range(n):
                start, end = choose_span(text, rng)
                is_at_break = start == 0 or text.startswith(break_, start)
                is_to_line_end = end == len(text) or text.startswith(break_, end)
                n_breaks = text[start:end].count(b"\n")
                if is_to_line_end and n_breaks == is_at_break:
                    lines += is_at_break
                    rests += not is_at_break and re.search(rb"\w\w|[ \t].", text[start - 1 : start + 1]) is None
                several += n_breaks > 1
            # 35 % and 30 % of what is tried; of the others few end so by chance.
            self.assertAlmostEqual(lines / n, 0.36, delta=0.05)
            self.assertAlmostEqual(rests / n, 0.31, delta=0.05)
            self.assertGreater(several / n, 0.1)


class StreamTest(unittest.TestCase):
    def stream(self, n_ctx=256, n_batch=8, **options):
        options = StreamOptions(n_ctx=n_ctx, n_batch=n_batch, **options)
        segment = next_segment(TOKENS, {}, 0, options)
        return TokenStream(TOKENS, segment, VOCABULARY, options), segment

    def test_a_batch_depends_on_the_step_alone(self):
        one, another = self.stream()[0], self.stream()[0]
        another.batch(5)
        np.testing.assert_array_equal(one.batch(3), another.batch(3))
        self.assertTrue((one.batch(3) != one.batch(4)).any())

    def test_a_pass_shows_almost_all_of_the_text(self):
        stream, segment = self.stream(n_batch=32, fim_rate=0.0, header_rate=0.0)
        seen = {bytes(line) for step in range(segment.n_steps) for row in stream.batch(step)
                for line in VOCABULARY.decode(row).split(b"\n")}
        lines = set()
        for name in segment.shards:
            tokens = np.fromfile(os.path.join(TOKENS, name), dtype="<u2")
            lines |= set(VOCABULARY.decode(tokens).split(b"\n"))
        # Lines are lost where sequences end.
        self.assertGreater(len(lines & seen) / len(lines), 0.9)

    def test_a_block_is_whole_in_its_sequence(self):
        """A sequence's control tokens are whole blocks, in both orders, and headers between them."""
        stream, segment = self.stream(n_batch=32)
        block = {"psm": f"{FIM_PREFIX} {FIM_SUFFIX} {FIM_MIDDLE} {EOT}", "spm": f"{FIM_SUFFIX} {FIM_PREFIX} {FIM_MIDDLE} {EOT}"}
        n = {"psm": 0, "spm": 0}
        for row in np.concatenate([stream.batch(step) for step in range(min(segment.n_steps, 8))]):
            marks = " ".join(str(i) for i in row if i in (BOS, EOT, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE))
            for order, expected in block.items():
                n[order] += marks.count(expected)
                marks = marks.replace(expected, "")
            self.assertFalse(set(marks.split()) - {str(BOS), str(EOT)}, marks)
        self.assertGreater(n["spm"], 290)  # 320; 263 where blocks are not shortened to the room that is left
        self.assertAlmostEqual(n["psm"] / sum(n.values()), 0.1, delta=0.06)

    def test_a_block_stands_behind_a_header(self):
        marked = 0
        for row in self.stream(n_batch=32, header_rate=1.0)[0].batch(0):
            for i in np.flatnonzero(np.isin(row[:-1], (FIM_PREFIX, FIM_SUFFIX))):
                before = [int(token) for token in row[:i] if token in (FILE, EOT, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX)]
                if before and before[-1] in (FIM_PREFIX, FIM_SUFFIX):
                    continue  # the second part of one
                marked += 1
                self.assertIn(before[-1:], ([], [FILE]))  # none: the sequence begins in the middle of the header
        self.assertGreater(marked, 10)

    def test_files_follow_each_other_without_an_end_in_a_part_of_the_repositories(self):
        name, path, content = 300, 301, list(range(310, 340))
        files = [FILE, path, NEWLINE, *content] * 3
        options = dict(n_ctx=256, n_batch=1, fim_rate=0.0, header_rate=1.0)
        with tempfile.TemporaryDirectory() as folder:
            np.array([REPOSITORY, name, *files], dtype="<u2").tofile(os.path.join(folder, "one.tokens"))
            for joined_rate, end in ((0.0, [EOT]), (1.0, [])):
                stream_options = StreamOptions(joined_rate=joined_rate, **options)
                segment = next_segment(folder, {}, 0, stream_options)
                row = TokenStream(folder, segment, VOCABULARY, stream_options).batch(0)[0].tolist()
                file = [FILE, path, NEWLINE, *content]
                self.assertEqual(row[:105], [BOS, REPOSITORY, name, *file, *end, *file, *end, *file, EOT, BOS, REPOSITORY][:105])

    def test_other_processes_make_the_same_batches(self):
        files = ["--data", TOKENS, "--vocabulary", os.path.join(TOY, "vocabulary.json"), "--out", "unused"]
        made = []
        for n_workers in (0, 2):
            words = ["--preset", "toy", *files, "--steps", "4", "--workers", str(n_workers)]
            batches = train.Batches(train.parse_arguments(words), StreamOptions(n_ctx=256, n_batch=2), {}, None)
            made.append([batches.get(step).numpy() for step in range(3)])
            batches.close()
        np.testing.assert_array_equal(*made)

    def test_the_shards_seen_least_come_next(self):
        options = StreamOptions(n_ctx=256, n_batch=8)
        names = next_segment(TOKENS, {}, 0, options).shards
        self.assertGreater(len(names), 1)
        self.assertEqual(next_segment(TOKENS, {names[0]: 1}, 7, options).shards, names[1:])


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
        rates = [train.lr_factor(step / 100, step, 10, 0.2) for step in range(100)]
        self.assertEqual(rates[0], 0.1)
        self.assertEqual(set(rates[10:80]), {1.0})
        self.assertAlmostEqual(rates[90], 0.5)
        self.assertGreater(rates[99], 0.0)

    def test_weights_come_back_from_their_file(self):
        model, other = tiny_model(), tiny_model()
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "weights.safetensors")
            train.write_safetensors(path, model, {"step": 5}, torch.float32)
            self.assertEqual(train.read_safetensors(path, other), {"step": "5"})
        for (name, a), b in zip(model.named_parameters(), other.parameters()):
            torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)

    def test_a_run_that_goes_on_gives_the_same_losses(self):
        with tempfile.TemporaryDirectory() as folder:
            files = ["--data", TOKENS, "--vocabulary", os.path.join(TOY, "vocabulary.json")]
            words = ["--preset", "toy", *files, "--steps", "4", "--batch", "2", "--micro", "1", "--warmup", "2"]
            losses = {}
            for name, runs in (("whole", [4]), ("parts", [1, 3])):
                out = os.path.join(folder, name)
                for n in runs:
                    train.train(train.parse_arguments([*words, "--out", out, "--run-steps", str(n)]))
                with open(os.path.join(out, "toy-loss.csv")) as file:
                    losses[name] = [float(line.split(",")[2]) for line in list(file)[1:]]
        self.assertEqual(len(losses["whole"]), 4)
        np.testing.assert_allclose(losses["whole"], losses["parts"], atol=2e-4)


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


if __name__ == "__main__":
    unittest.main()
