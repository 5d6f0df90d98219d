import { describe, expect, it } from 'vitest';
import { draftFit, draftMemory, draftOf } from './draft-fit.ts';
import type { ModelEntry } from './model-contract.ts';
import { type ModelFacts, predictMemory } from './model-facts.ts';

const facts = (more: Partial<ModelFacts>): ModelFacts => ({
  architecture: 'llama',
  name: '',
  fileType: 'q4_K',
  fileBytes: 0,
  nParams: 0,
  nCtxTrain: 4096,
  nVocab: 32_768,
  vocabulary: 'code',
  nLayer: 8,
  nEmbd: 768,
  nFf: 2048,
  packedBytes: 40_000_000,
  tableBytes: 14_000_000,
  tableGpuBytes: 14_000_000,
  nHead: 12,
  headDimV: 64,
  latentElements: 0,
  experts: null,
  kvElementsPerToken: 1024,
  readPerToken: {},
  layers: [],
  head: { gpu: 0, experts: 0, packed: 0, read: 0 },
  isTied: false,
  hasFim: true,
  hasChatTemplate: false,
  mentionsTools: false,
  license: null,
  mtpHead: null,
  split: null,
  ...more,
});
type Candidate = Pick<ModelEntry, 'id' | 'state' | 'facts' | 'overrides'>;
const model = (id: string, of: Partial<ModelFacts> = {}, more: Partial<Candidate> = {}): Candidate => ({
  id,
  state: 'ready',
  facts: facts(of),
  overrides: { sampler: {} },
  ...more,
});
const target = model('target');
const small = { packedBytes: 7_000_000, tableBytes: 2_000_000 };
const draft = model('draft', small);
const stranger = model('stranger', { ...small, vocabulary: 'llama' });
const large = model('large');
const all = [target, draft, stranger, large];
const roles = { chat: null, inline: 'target', draft: 'draft', embedding: null };

describe('whether a model can draft for another', () => {
  it('depends on size and vocabulary, and a no has a reason', () => {
    expect(draftFit(target, draft)).toEqual({ kind: 'sameTokens', reason: '' });
    expect(draftFit(target, stranger)).toMatchObject({ kind: 'sameText', reason: expect.stringContaining('differs') });
    for (const other of [target, large, model('gone', small, { state: 'missing' }), model('dark', {}, { facts: null })])
      expect(draftFit(target, other), other.id).toMatchObject({ kind: 'none', reason: expect.stringMatching(/\.$/) });
    // A vocabulary that nobody has read is no other one's.
    const unread = { ...small, vocabulary: '' };
    expect(draftFit(model('a', { vocabulary: '' }), model('b', unread)).kind).toBe('sameText');
  });
});

describe('the model that drafts for another', () => {
  const draftWith = (draftId: string | null | undefined) =>
    draftOf({ ...target, overrides: draftId === undefined ? { sampler: {} } : { sampler: {}, draftId } }, all, roles)
      ?.id;

  it('is that of the role, if it has the same vocabulary', () => {
    expect(draftWith(undefined)).toBe('draft');
    expect(draftOf(target, all, { ...roles, draft: 'stranger' })).toBeNull();
    expect(draftOf(target, all, { ...roles, draft: null })).toBeNull();
    expect(draftOf(draft, all, roles)).toBeNull();
  });

  it('is otherwise the one that the user chose, as long as it can draft', () => {
    expect(draftWith('stranger')).toBe('stranger');
    expect([draftWith(null), draftWith('large'), draftWith('unknown')]).toEqual([undefined, undefined, undefined]);
  });
});

it('the memory of a draft model is that of a model without an index of its own', () => {
  const alone = predictMemory(facts(small), { nCtx: 4096, kvBits: 16, draftBytes: 0 }).total;
  expect(draftMemory(facts(small), 100_000)).toBe(alone - 28 * 2 ** 18);
});
