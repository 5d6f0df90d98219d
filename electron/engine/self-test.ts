// What a model can do, found out by trying it: run when a model is new, and whenever the user wants to know again.
import type { Benchmark, CheckResult, SelfTest } from '../common/role-contract.ts';
import { complete } from './completion.ts';
import { generateText } from './generation.ts';
import type { Loaded } from './loaded-model.ts';

/** Code, other scripts, an emoji, blanks at both ends: what vocabularies get wrong. */
const roundTripText = '\tfor (const x of [1, 2.5e-3]) {\n    s += "naïve — 漢字 🙂";\n}  ';

const passed = (detail: string): CheckResult => ({ outcome: 'passed', detail });
const failed = (detail: string): CheckResult => ({ outcome: 'failed', detail });
const absent = (detail: string): CheckResult => ({ outcome: 'absent', detail });

export async function selfTest(loaded: Loaded, signal?: AbortSignal): Promise<SelfTest> {
  const { model, engine, chat } = loaded;
  const { features } = chat;
  const { chatTemplate, hasFim } = model.info;
  return {
    tokenizer: checkTokenizer(model),
    template: chatTemplate === '' ? absent('The file has no chat template; a plain one is used.') : checkTemplate(chat),
    fim: hasFim
      ? await checkFim(loaded, signal)
      : absent('It has no tokens for filling in; completions see only what is before the cursor.'),
    tools: features.toolCalls
      ? passed(
          features.parallelToolCalls
            ? 'Its template passes on tools, several calls a turn.'
            : 'Its template passes on tools, one call a turn.',
        )
      : absent('Its template has no words for calls of tools.'),
    generation: await checkGeneration({ model, engine }, signal),
  };
}

function checkTokenizer(model: Loaded['model']): CheckResult {
  const tokens = model.tokenize(roundTripText, { addBos: false });
  const back = model.detokenize(tokens);
  // Vocabularies of SentencePiece put a blank before the first word.
  if (back === roundTripText || back === ` ${roundTripText}`) {
    return passed(`A text of code, other scripts and an emoji comes back unchanged from ${tokens.length} tokens.`);
  }
  return failed(`A text did not come back from its tokens: "${back.slice(0, 80)}".`);
}

function checkTemplate(chat: Loaded['chat']): CheckResult {
  try {
    const { text } = chat.render([{ role: 'user', content: 'Zorvex' }]);
    if (!text.includes('Zorvex')) return failed('Its chat template loses what the user says.');
    return passed(chat.features.systemRole ? 'It passes on system and user messages.' : 'It has no system messages.');
  } catch (error) {
    return failed(`Its chat template fails: ${(error as Error).message}`);
  }
}

/** What stands around the gap in every family's own words; the gap itself has one obvious filling. */
const gap = { prefix: 'def add(a, b):\n    return a', suffix: '\n\n\ndef subtract(a, b):\n    return a - b\n' };

async function checkFim(loaded: Loaded, signal: AbortSignal | undefined): Promise<CheckResult> {
  const { fim } = loaded;
  if (fim === null)
    return absent('It has tokens for filling in, but of no family that is known; completions do without them.');
  const family = fim.family === 'unknown' ? 'in the usual order' : `as ${fim.family} models do`;
  try {
    const place = { path: 'add.py', languageId: 'python', repository: '', files: [] };
    const request = { ...place, ...gap, mode: 'line' as const, maxTokens: 8, isWarmUp: false };
    const { text, usedSuffix } = await complete(loaded, request, signal);
    if (!usedSuffix) return failed('The text after the cursor did not reach it.');
    if (/<[|｜]|<fim|<\/?s>|\[SUFFIX\]/.test(text)) return failed(`It answers a gap with its own tokens: "${text}".`);
    if (text.trim() === '') return failed('It fills a gap with nothing.');
    return passed(`It fills the gap in "return a…", told ${family}, with "${text.trim().slice(0, 60)}".`);
  } catch (error) {
    signal?.throwIfAborted();
    return failed(`It cannot fill a gap: ${(error as Error).message}`);
  }
}

async function checkGeneration(
  { model, engine }: Pick<Loaded, 'model' | 'engine'>,
  signal: AbortSignal | undefined,
): Promise<CheckResult> {
  try {
    const tokens = model.tokenize('def add(a, b):\n    return');
    const request = { tokens, nPredict: 8, temperature: 0, priority: 'background' as const };
    const { text, stats } = await generateText(engine, request, signal);
    if (stats.nDecoded === 0 || text === '') return failed('It ends every text at once.');
    return passed(`It continues "def add(a, b): return" with "${text.trim().slice(0, 60)}".`);
  } catch (error) {
    signal?.throwIfAborted();
    return failed(`It cannot compute: ${(error as Error).message}`);
  }
}

const promptTokens = 256;
const mostDecoded = 128;
/** A slow model is measured on fewer tokens: the whole may take two minutes. */
const mostMs = 100_000;

export async function benchmark(
  { model, engine, nCtx }: Loaded,
  nowMs: number,
  signal?: AbortSignal,
): Promise<Benchmark> {
  const nPrompt = Math.max(8, Math.min(promptTokens, Math.floor(nCtx / 2)));
  // Text that is in no cache: a number that no prompt had before.
  const text = `${nowMs} ${'the quick brown fox jumps over the lazy dog. '.repeat(nPrompt)}`;
  const tokens = model.tokenize(text).slice(0, nPrompt);
  const run = (nPredict: number) =>
    // Without drafts: what a token costs, not how well this text can be guessed.
    generateText(engine, { tokens, nPredict, temperature: 0, priority: 'background', draft: false }, signal);
  const first = await run(2);
  const msPerToken = Math.max(0.01, first.stats.decodeMs / Math.max(1, first.stats.nDecoded));
  const nPredict = Math.max(4, Math.min(mostDecoded, nCtx - tokens.length - 1, Math.floor(mostMs / msPerToken)));
  const { stats } = await run(nPredict);
  return {
    atMs: nowMs,
    nPrompt: first.stats.nPrompt,
    prefillTokensPerSecond: (first.stats.nPrompt - first.stats.nReused) / Math.max(1e-6, first.stats.prefillMs / 1000),
    nDecoded: stats.nDecoded,
    decodeTokensPerSecond: stats.nDecoded / Math.max(1e-6, stats.decodeMs / 1000),
  };
}
