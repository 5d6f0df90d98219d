// Run by the tests in a process of its own: a PeerTokenizeRequest on stdin, a PeerTokens on stdout, both JSON. Reads only
// the vocabulary of a model, so files without weights will do.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { readStdin } from './stdin.mjs';

/** @type {import('../lib/peer-tokenize.mjs').PeerTokenizeRequest} */
const { model: modelPath, texts, parseSpecial = false } = JSON.parse(await readStdin());
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath, gpuLayers: 0, vocabOnly: true });
const tokens = texts.map((text) => [...model.tokenize(text, parseSpecial)]);
process.stdout.write(JSON.stringify(tokens), () => process.exit(0));
