// From the head of a file to what it means for this engine: what is kept in memory, and what a token reads.
import { appError } from '../../common/app-error.ts';
import type { LayerBytes, ModelFacts } from '../../common/model-facts.ts';
import type { GgufHeader, GgufTensor } from './gguf-header.ts';

/** Bytes of 16 rows by 256 columns as the processor's kernels want them (native/backend/cpu/packed_tiles.h). */
const tileBytes: Readonly<Record<string, number>> = {
  q2_K: 16 * 84,
  q3_K: 1856,
  q4_K: 16 * 148,
  q5_K: 16 * 180,
  q6_K: 3392,
  q4_0: 2304,
  iq4_nl: 2304,
  q4_1: 2560,
  q5_0: 2816,
  q5_1: 3072,
  q8_0: 4352,
  mxfp4: 2176,
  iq4_xs: 2240,
  iq2_xxs: 16 * 70,
  iq2_xs: 16 * 78,
  iq2_s: 16 * 82,
  iq3_xxs: 16 * 102,
  iq3_s: 16 * 110,
  tq1_0: 16 * 66,
  tq2_0: 16 * 66,
};
/** As many as the engine takes (native/model/hparams.cpp). */
const mostLayers = 4096;
const tileRows = 16;
const tileColumns = 256;

/** Memory of a matrix, or of several behind each other, once it is prepared. */
function packedBytes({ type, shape, bytes }: GgufTensor): number {
  if (shape.length === 1) return 4 * (shape[0] ?? 0); // vectors become f32
  const nColumns = shape.at(-1) ?? 1;
  const nRows = shape.at(-2) ?? 1;
  const nMatrices = shape.slice(0, -2).reduce((product, n) => product * n, 1);
  const nTiles = nMatrices * Math.ceil(nRows / tileRows);
  const tile = tileBytes[type];
  if (tile !== undefined) return nTiles * Math.ceil(nColumns / tileColumns) * tile;
  return (bytes / (nMatrices * nRows)) * nTiles * tileRows;
}

/** Memory of a tensor on a GPU, where it lies as in the file, but for two (native/model/device_layers.cpp). */
function gpuBytes({ name, type, shape, bytes }: GgufTensor): number {
  if (name.endsWith('attn_kv_b.weight')) return 4 * shape.reduce((product, n) => product * n, 1);
  return type === 'q6_K' ? Math.floor(bytes / 15) * 16 + 16 : bytes;
}

const fimSpellings = [
  /fim[-_▁]?prefix|^<PRE>|^▁?<PRE>|fim▁begin|\[PREFIX\]|\|(?:code_)?prefix\|/i,
  /middle|<MID>|fim▁end/i,
];

/** @param what names the file in errors @throws MODEL_INVALID if the file is no model */
export function modelFacts(header: GgufHeader, fileBytes: number, what: string): ModelFacts {
  const { values, tensors } = header;
  const text = (key: string) => {
    const value = values.get(key);
    return typeof value === 'string' ? value : '';
  };
  const architecture = text('general.architecture');
  const number = (key: string, otherwise: number) => {
    const value = values.get(`${architecture}.${key}`);
    return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise;
  };
  const nBlock = number('block_count', 0);
  const nEmbd = number('embedding_length', 0);
  const nHead = number('attention.head_count', 0);
  const split = splitOf(values);
  const isFirst = split === null || split.index === 1;
  if (isFirst && (architecture === '' || nBlock === 0 || nEmbd === 0 || nHead === 0)) {
    throw appError('MODEL_INVALID', `${what} describes no language model.`, { hint: 'Choose another file.' });
  }
  if (fileBytes < header.fileBytes) {
    throw appError('MODEL_INVALID', `${what} is cut off: it has ${fileBytes} of ${header.fileBytes} bytes.`, {
      hint: 'Download it again.',
    });
  }

  const isTable = ({ name }: GgufTensor) => name === 'token_embd.weight' || name === 'position_embd.weight';
  const isExpert = ({ name }: GgufTensor) => name.includes('_exps.');
  const hasHead = tensors.some(({ name }) => name === 'output.weight');
  const nExpert = number('expert_count', 0);
  const usedPart = nExpert > 0 ? number('expert_used_count', nExpert) / nExpert : 1;
  const readPerToken: Record<string, number> = {};
  const isTied = !hasHead;
  const head: LayerBytes = { gpu: 0, experts: 0, packed: 0, read: 0 };
  // Layers that predict further tokens come last, and are no part of the model's pass.
  const nLayer = Math.min(mostLayers, Math.floor(nBlock - Math.min(nBlock, number('nextn_predict_layers', 0))));
  const layers = Array.from({ length: nLayer }, (): LayerBytes => ({ ...head }));
  // The first of them guesses further tokens, in the architecture for which the engine knows how.
  const hasMtpHead = architecture === 'glm4moe' && tensors.some(({ name }) => name.endsWith('.nextn.eh_proj.weight'));
  const attention = attentionOf(number, nEmbd, nHead);
  const mtpHead = hasMtpHead ? { gpu: 0, packed: 0, kvElementsPerToken: attention.kvElements } : null;
  let packed = 0;
  let table = 0;
  let tableGpu = 0;
  let nFfOfExpert = 0;
  const types = new Map<string, number>();
  let nParams = 0;
  for (const tensor of tensors) {
    const nElements = tensor.shape.reduce((product, n) => product * n, 1);
    nParams += nElements;
    types.set(tensor.type, (types.get(tensor.type) ?? 0) + nElements);
    if (isTable(tensor)) {
      table += tensor.bytes;
      tableGpu += gpuBytes(tensor);
    }
    if (tensor.name.endsWith('ffn_down_exps.weight')) nFfOfExpert = Math.max(nFfOfExpert, tensor.shape.at(-1) ?? 0);
    const il = /^blk\.(\d+)\./.exec(tensor.name)?.[1];
    if (Number(il) >= nLayer) {
      if (mtpHead && Number(il) === nLayer) {
        mtpHead.packed += packedBytes(tensor);
        mtpHead.gpu += gpuBytes(tensor);
      }
      continue;
    }
    const part = il === undefined ? head : layers[Number(il)];
    if (part && (isTied || !isTable(tensor))) part.gpu += gpuBytes(tensor);
    if (part && isExpert(tensor)) part.experts += gpuBytes(tensor);
    // An embedding that is tied serves as the head as well.
    if (isTable(tensor) && (hasHead || tensor.name !== 'token_embd.weight')) continue;
    const bytes = packedBytes(tensor);
    packed += bytes;
    if (part) part.packed += bytes;
    if (tensor.shape.length === 1) continue;
    const read = bytes * (isExpert(tensor) ? usedPart : 1);
    readPerToken[tensor.type] = (readPerToken[tensor.type] ?? 0) + read;
    if (part) part.read += read;
  }
  const [fileType = ''] = [...types].sort((a, b) => b[1] - a[1])[0] ?? [];
  const template = text('tokenizer.chat_template');
  const { arrayLengths, specialTokens, vocabulary } = header;
  return {
    architecture: architecture.slice(0, 64),
    name: text('general.name').slice(0, 200),
    fileType,
    fileBytes,
    nParams,
    nCtxTrain: Math.floor(number('context_length', 0)),
    nVocab: arrayLengths.get('tokenizer.ggml.tokens') ?? 0,
    vocabulary,
    nLayer,
    nEmbd: Math.floor(nEmbd),
    nFf: Math.floor(number('feed_forward_length', 4 * nEmbd)),
    packedBytes: packed,
    tableBytes: table,
    tableGpuBytes: tableGpu,
    nHead,
    headDimV: attention.headDimV,
    latentElements: attention.latentElements,
    experts: nFfOfExpert > 0 ? { n: nExpert, nUsed: usedPart * nExpert, nFf: nFfOfExpert } : null,
    kvElementsPerToken: nLayer * attention.kvElements,
    readPerToken,
    layers,
    head,
    mtpHead,
    isTied,
    hasFim:
      values.has('tokenizer.ggml.fim_pre_token_id') ||
      values.has('tokenizer.ggml.prefix_token_id') ||
      fimSpellings.every((spelling) => specialTokens.some((token) => spelling.test(token))),
    hasChatTemplate: template !== '',
    mentionsTools: /\btools\b/.test(template),
    license: text('general.license').slice(0, 100) || null,
    split,
  };
}

export interface ModelFile {
  header: GgufHeader;
  bytes: number;
  /** Names the file in errors. */
  what: string;
}

/** Of a model in several files: the first describes it, and each holds some of its tensors. @throws as modelFacts */
export function splitModelFacts(files: readonly ModelFile[]): ModelFacts {
  const [first, ...rest] = files;
  if (!first) throw new Error('A model without files.');
  for (const { header, bytes, what } of rest) modelFacts(header, bytes, what); // each is whole
  const sum = (numbers: number[]) => numbers.reduce((total, n) => total + n, 0);
  const header = {
    ...first.header,
    tensors: files.flatMap(({ header: { tensors } }) => tensors),
    fileBytes: sum(files.map((file) => file.header.fileBytes)),
  };
  return modelFacts(header, sum(files.map(({ bytes }) => bytes)), first.what);
}

/** What a layer keeps of a position, and what attention computes with (native/model/device_layers.cpp). */
function attentionOf(number: (key: string, otherwise: number) => number, nEmbd: number, nHead: number) {
  const dimK = number('attention.key_length', nHead > 0 ? nEmbd / nHead : 0);
  const dimV = number('attention.value_length', dimK);
  const nLatent = number('attention.kv_lora_rank', 0);
  if (nLatent === 0)
    return { kvElements: number('attention.head_count_kv', nHead) * (dimK + dimV), headDimV: dimV, latentElements: 0 };
  // The latent, and the part of the key that is rotated; the latent once more as values.
  const latentK = nLatent + number('rope.dimension_count', dimK);
  return { kvElements: latentK + nLatent, headDimV: nLatent, latentElements: dimK + latentK + nLatent + dimV };
}

function splitOf(values: GgufHeader['values']): ModelFacts['split'] {
  const count = values.get('split.count');
  const no = values.get('split.no');
  if (typeof count !== 'number' || count <= 1 || count > 999) return null;
  return { index: typeof no === 'number' ? Math.min(no, count - 1) + 1 : 1, count };
}
