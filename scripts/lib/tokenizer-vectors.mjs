// Tokens of llama.cpp, recorded for machines without it: `node scripts/lib/tokenizer-vectors.mjs` writes
// native/tests/vectors/pre-tokenizers.* and unigram* anew. The live comparison is in scripts/model-tests/.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerTokenize } from './peer-tokenize.mjs';
import { root } from './process.mjs';
import { vectorsDirectory } from './vectors.mjs';
import { charsmap, vocabularyFile, withPreTokenizer } from './vocabulary-file.mjs';

export const vocabulariesDirectory = join(root, '..', 'shared', 'data', 'tokenizers', 'vocabs');

/** One name for each way to split; their other names are in native/tokenizer/splitter.cpp. */
export const preTokenizers = [
  'default gpt-2 starcoder falcon chameleon llama-bpe smaug-bpe jais-2 minicpm5 qwen2 bailingmoe grok-2 qwen35',
  'seed-coder ufakzeka laguna exaone-moe tekken gpt-4o granite-embed-multi-97m tiny_aya youtu kimi-k2 deepseek-llm',
  'deepseek-coder deepseek-v3 spark2_5 afmoe poro-chat viking superbpe gemma4 sarvam-moe',
].flatMap((names) => names.split(' '));

/** What tells them apart: contractions, numbers, marks, line breaks, case and scripts beside each other. */
export const splitTexts = [
  "don't Don'T WE'RE we'Ll I'm x's'S 'sfoo 'tis",
  "éA ABCdefGHI ÉAÉbC HelloWorldXML's fooBar'd ǅuro ʰa",
  '1234567 12 123 1234 a1234567b12c ٣1234 123٣ 12345٣٤ ²x Ⅷ',
  '日本語とEnglish 한국어 ㄅㄆㄇ、。！？「」 漢字かな交じり文。 中文,ok',
  '<sentinel:12>x<sentinel:>IMGIMGABZ IMGIMGABCDEZ \t\t    x     y\n\n  \n',
  'foo  \n\n  bar\r\n\r\n\tbaz   \n ',
  '///\n//\n\n+/\n /*a*/\n#include <x>\n',
  'a b c  d é ü M\u0300 x\u0300y \u0300a (\u0300b ((\u0300A \u0300ABC e\u0301\u0301',
  '-foo _bar $x #define \u0301A\u0301BC @decorator %s `code`',
  ...['', '   ', '\n', '  \n  ', 'x   ', '1', '  1', ' \n 1 \n', '\t', ' \u00a0 x', '\u3000x\u3000', '\u0085\u2028'],
  `${' '.repeat(140)}x\n${' '.repeat(9)}1`,
  '12  34   x  ١٢ ',
  'नमस्ते ภาษาไทย မြန်မာ ខ្មែរ ລາວ ქართული ՀԱՅ 𐐀𐐁 👩‍👧 ﷽ ﬁ ｱｲｳ ！＂＃ ‘x’ “y”…',
  '\u200bzero\ufeffwidth\u0001control\u0378unassigned\ue000private\ufffd',
  'for (int i = 0; i < 10; ++i) {\n    printf("%d\\n", i);\n}\n',
];

const space = '\u2581';
/** @type {[string, number, number][]} text, score, kind */
const unigramPieces = [
  ...[
    ['<pad>', 0, 3],
    ['</s>', 0, 3],
    ['<unk>', 0, 2],
    [space, -2.5, 1],
    ['a', -3.25, 1],
    ['b', -3.5, 1],
  ],
  ...[
    ['ab', -5.125, 1],
    [`${space}a`, -4, 1],
    [`${space}ab`, -6.5, 1],
    ['aba', -6, 1],
    ['e', -3, 1],
    ['é', -7, 1],
  ],
  ...[
    ['fi', -5, 1],
    ['f', -4, 1],
    ['i', -4.5, 1],
    ['<tool>', 0, 4],
    ['ba b', 0, 4],
    ['bb', -9, 5],
    ['漢', -8, 1],
  ],
  [`${space}${space}`, -4.5, 1],
].map(([text, score, kind]) => [String(text), Number(score), Number(kind)]);

/** A small vocabulary of T5's kind. @param {{ addsPrefix: boolean, mergesSpaces: boolean, hasCharsmap: boolean }} how */
export function unigramVocabulary({ addsPrefix, mergesSpaces, hasCharsmap }) {
  return vocabularyFile({
    // llama.cpp wants a model around a vocabulary; nothing of it is used.
    'general.architecture': 'llama',
    'llama.context_length': 512,
    'llama.embedding_length': 64,
    'llama.block_count': 1,
    'llama.feed_forward_length': 64,
    'llama.attention.head_count': 1,
    'llama.attention.layer_norm_rms_epsilon': { float: 1e-5 },
    'tokenizer.ggml.model': 't5',
    'tokenizer.ggml.tokens': { strings: unigramPieces.map(([text]) => text) },
    'tokenizer.ggml.scores': { floats: unigramPieces.map(([, score]) => score) },
    'tokenizer.ggml.token_type': { int32s: unigramPieces.map(([, , kind]) => kind) },
    'tokenizer.ggml.eos_token_id': 1,
    'tokenizer.ggml.add_space_prefix': addsPrefix,
    'tokenizer.ggml.remove_extra_whitespaces': mergesSpaces,
    ...(hasCharsmap
      ? {
          'tokenizer.ggml.precompiled_charsmap': {
            bytes: charsmap({ ﬁ: 'fi', Ａ: 'a', '\u3000': ' ', 'e\u0301': 'é', '\u200b': '', A: 'a', '\t': ' ' }),
          },
        }
      : {}),
  });
}

export const unigramKinds = [false, true].flatMap((addsPrefix) =>
  [false, true].flatMap((mergesSpaces) =>
    [false, true].map((hasCharsmap) => ({ addsPrefix, mergesSpaces, hasCharsmap })),
  ),
);

export const unigramTexts = [
  ...['a', 'ab', 'aba', 'abab', ' ab', '  a  b ', 'x', 'xyz', 'a xyz b', 'ab<tool>ab', '<tool> a', 'a <tool>', 'ba b'],
  ...['ba a', 'ﬁ', 'e\u0301a', 'é', 'Ａb', 'a\u3000b', 'a\u200bb', '漢字', 'AbA', 'bb', '\ta\tb\n', 'a\u00a0b', '\0a'],
];

/** @typedef {(name: string, file: Buffer, texts: string[]) => Promise<number[][]>} Tokenize */

/**
 * Calls `action` with a function that asks llama.cpp for the tokens of texts with a vocabulary.
 * @template T
 * @param {(tokenize: Tokenize, folder: string) => Promise<T>} action
 */
export async function withPeer(action) {
  const folder = await mkdtemp(join(tmpdir(), 'outpost-vocabularies-'));
  try {
    return await action(async (name, file, texts) => {
      const model = join(folder, `${name}.gguf`);
      await writeFile(model, file);
      return peerTokenize({ model, texts });
    }, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function record() {
  await withPeer(async (tokenize) => {
    const gpt2 = await readFile(join(vocabulariesDirectory, 'ggml-vocab-gpt-2.gguf'));
    const texts = splitTexts.filter((text) => text !== '');
    await write('pre-tokenizers.inp', texts.join(separator));
    const lines = [];
    for (const name of preTokenizers) {
      for (const ids of await tokenize(name, withPreTokenizer(gpt2, name), texts)) lines.push([name, ...ids].join(' '));
    }
    await write('pre-tokenizers.out', `${lines.join('\n')}\n`);

    await write('unigram.inp', unigramTexts.join(separator));
    for (const [i, how] of unigramKinds.entries()) {
      const file = unigramVocabulary(how);
      const tokens = await tokenize(`unigram-${i}`, file, unigramTexts);
      await write(`unigram-${i}.gguf`, file);
      await write(`unigram-${i}.out`, `${tokens.map((ids) => ids.join(' ')).join('\n')}\n`);
    }
  });
}

/** Between texts, as in llama.cpp's own files. */
const separator = '\n__ggml_vocab_test__\n';

/** @param {string} name @param {string | Buffer} contents */
async function write(name, contents) {
  await writeFile(join(vectorsDirectory, name), contents);
}

if (process.argv[1] === import.meta.filename) await record();
