// How families of models want a gap in a text described (fill-in-the-middle). The ids of the tokens come from the model
// file; what a family was trained on besides, its order and its headers, is in no file and stands here.
import type { NativeModel } from './native.d.ts';

export interface FimFormat {
  family: string;
  /**
   * Which part comes first. After the suffix first (`spm`), a key that is typed adds tokens at the end of what the
   * engine has computed; after the prefix first (`psm`) the suffix is computed again with every key.
   */
  order: 'psm' | 'spm';
  /** Whether the model was shown the repository's name and other files, each under its path. */
  hasFiles: boolean;
  /** What stands between the repository's name and the first file. */
  afterRepository: string;
  /** Whether a token says that the middle begins. Without one it follows the last part at once. */
  endsWithMiddle: boolean;
  /**
   * Among how many candidates a line is chosen by the text behind it (`NativeGenerateRequest.candidates`); 1: the line is
   * what the model says. What it costs and gives depends on the model: forge/evaluation/README.md has our own's.
   */
  nCandidates: number;
  /** Of the text before the cursor: how much of it this family is shown. */
  windowChars: number;
}

/** About a quarter of them are tokens: what a CPU prefills in two seconds the first time, and finds in its cache then. */
export const usualWindowChars = 2000;

interface KnownFormat extends FimFormat {
  /** Spellings that are one special token each in this family's vocabulary; the first is the prefix token. */
  tokens: readonly [string, ...string[]];
}

const plain = {
  order: 'psm',
  hasFiles: false,
  afterRepository: '',
  endsWithMiddle: true,
  nCandidates: 1,
  windowChars: usualWindowChars,
} as const;

/**
 * The first that fits. Sources: forge/README.md for our own; the model cards of Qwen2.5-Coder, StarCoder 1 and 2, Granite
 * Code, DeepSeek-Coder, CodeGemma, Code Llama and Codestral for the others.
 */
const knownFormats: readonly KnownFormat[] = [
  {
    ...plain,
    family: 'Outpost',
    tokens: ['<|fim_prefix|>', '<|end_of_turn|>'],
    order: 'spm',
    hasFiles: true,
    nCandidates: 8,
    // With more of its file it has fewer lines right (forge/evaluation/README.md).
    windowChars: 1000,
  },
  { ...plain, family: 'Qwen Coder', tokens: ['<|fim_prefix|>', '<|im_start|>'], hasFiles: true, afterRepository: '\n' },
  { ...plain, family: 'CodeGemma', tokens: ['<|fim_prefix|>', '<start_of_turn>'] },
  { ...plain, family: 'StarCoder 2', tokens: ['<fim_prefix>', '<repo_name>'], hasFiles: true },
  { ...plain, family: 'StarCoder', tokens: ['<fim_prefix>'] },
  { ...plain, family: 'DeepSeek Coder', tokens: ['<｜fim▁begin｜>'] },
  { ...plain, family: 'Code Llama', tokens: ['▁<PRE>'] },
  { ...plain, family: 'Codestral', tokens: ['[PREFIX]', '[SUFFIX]'], order: 'spm', endsWithMiddle: false },
];

/** @return null for a model that has no tokens for it */
export function fimFormat(model: Pick<NativeModel, 'info' | 'tokenize'>): FimFormat | null {
  const { fim } = model.info;
  if (fim.prefix < 0 || fim.suffix < 0) return null;
  const idOf = (spelling: string) => {
    const tokens = model.tokenize(spelling, { addBos: false, parseSpecial: true });
    return tokens.length === 1 ? tokens[0] : undefined;
  };
  const found = knownFormats.find(
    ({ tokens: [prefix, ...others], endsWithMiddle }) =>
      idOf(prefix) === fim.prefix &&
      others.every((spelling) => idOf(spelling) !== undefined) &&
      (!endsWithMiddle || fim.middle >= 0),
  );
  if (found) {
    const { tokens: _, ...format } = found;
    return { ...format, hasFiles: format.hasFiles && fim.fileSeparator >= 0 };
  }
  return fim.middle < 0 ? null : { ...plain, family: 'unknown' };
}
