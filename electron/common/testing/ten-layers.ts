// Invented models of ten layers, for tests of what has room where.
import type { ModelFacts } from '../model-facts.ts';

/** Ten layers of 1 GB for the processor and a tenth less on a GPU, a head of half that, embeddings of 0.2 GB. */
export const tenLayers: ModelFacts = {
  architecture: 'llama',
  name: 'Ten layers',
  fileType: 'q4_K',
  fileBytes: 9.65e9,
  nParams: 17e9,
  vocabulary: '',
  hasFim: false,
  hasChatTemplate: false,
  mentionsTools: false,
  license: null,
  mtpHead: null,
  split: null,
  nLayer: 10,
  nEmbd: 4096,
  nFf: 12_288,
  nVocab: 32_000,
  nCtxTrain: 8192,
  layers: Array.from({ length: 10 }, () => ({ gpu: 0.9e9, experts: 0, packed: 1e9, read: 1e9 })),
  head: { gpu: 0.45e9, experts: 0, packed: 0.5e9, read: 0.5e9 },
  isTied: false,
  packedBytes: 10.5e9,
  tableBytes: 0.2e9,
  tableGpuBytes: 0.21e9,
  nHead: 32,
  headDimV: 128,
  latentElements: 0,
  experts: null,
  kvElementsPerToken: 10_000,
  readPerToken: { q4_K: 10.5e9 },
};

/** Of each of its layers 64 experts take 0.8 GB on a GPU; a token uses four of them. */
export const tenMixedLayers: ModelFacts = {
  ...tenLayers,
  name: 'Ten layers with experts',
  layers: tenLayers.layers.map((layer) => ({ ...layer, experts: 0.8e9, read: 0.15e9 })),
  experts: { n: 64, nUsed: 4, nFf: 1536 },
  readPerToken: { q4_K: 2e9 },
};

/** Heads as DeepSeek V3 has them: a latent vector of 512 and a rotated key of 64 for all 128 heads together. */
export const tenLatentLayers: ModelFacts = {
  ...tenLayers,
  name: 'Ten layers with latent heads',
  nHead: 128,
  headDimV: 512,
  latentElements: 192 + 576 + 512 + 128,
  kvElementsPerToken: 10 * (576 + 512),
};
