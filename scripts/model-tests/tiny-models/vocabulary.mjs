// The vocabulary that every tiny model has: SPM with byte tokens and a few short words.

const nSpecial = 3;
const onsets = ['b', 'd', 'f', 'g', 'k', 'l', 'm', 'n'];
const vowels = ['a', 'e', 'i', 'o', 'u', 'y'];

const pieces = [
  { text: '<unk>', kind: 2 },
  { text: '<s>', kind: 3 },
  { text: '</s>', kind: 3 },
  ...Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    kind: 6,
  })),
  ...onsets.flatMap((onset) => vowels.map((vowel) => ({ text: `\u2581${onset}${vowel}`, kind: 1 }))),
];

/** 307, a prime: no multiple of any tile of rows. */
export const nVocab = pieces.length;
export const bos = 1;
/** The first token that is neither special nor unknown. */
export const firstToken = nSpecial;

/** @param {import('./gguf-writer.mjs').GgufWriter} writer */
export function writeVocabulary(writer) {
  writer.string('tokenizer.ggml.model', 'llama');
  writer.strings(
    'tokenizer.ggml.tokens',
    pieces.map(({ text }) => text),
  );
  writer.float32s(
    'tokenizer.ggml.scores',
    pieces.map(() => 0),
  );
  writer.int32s(
    'tokenizer.ggml.token_type',
    pieces.map(({ kind }) => kind),
  );
  writer.uint32('tokenizer.ggml.bos_token_id', bos);
  writer.uint32('tokenizer.ggml.eos_token_id', 2);
  writer.uint32('tokenizer.ggml.unknown_token_id', 0);
}
