// Which model drafts for which. Pure: main loads by it, and the window offers by it. The engine compares once more with
// the vocabularies themselves (native/runtime/draft_model.cpp), and refuses what does not fit.
import type { ModelEntry } from './model-contract.ts';
import { type ModelFacts, predictMemory } from './model-facts.ts';
import type { ModelRole } from './role-contract.ts';

export interface DraftFit {
  /** `sameTokens`: one vocabulary; `sameText`: it can draft, and its text is tokenized anew; `none`: it cannot. */
  kind: 'sameTokens' | 'sameText' | 'none';
  /** What is lost, or why it cannot, in a sentence for the user; empty for `sameTokens`. */
  reason: string;
}

type Candidate = Pick<ModelEntry, 'id' | 'state' | 'facts'>;

/** As draft_compatibility in the engine: a draft of more than half the size costs more than it saves. */
export function draftFit(target: Candidate, draft: Candidate): DraftFit {
  const none = (reason: string): DraftFit => ({ kind: 'none', reason });
  if (draft.id === target.id) return none('A model cannot draft for itself.');
  if (draft.state !== 'ready' || draft.facts === null) return none('Its file cannot be used.');
  if (target.facts === null) return none('Nothing is known of the model that it would draft for.');
  const weights = ({ packedBytes, tableBytes }: ModelFacts) => packedBytes + tableBytes;
  if (2 * weights(draft.facts) > weights(target.facts))
    return none('It is not small enough: it needs less than half of the memory to be worth its time.');
  if (draft.facts.vocabulary !== '' && draft.facts.vocabulary === target.facts.vocabulary)
    return { kind: 'sameTokens', reason: '' };
  return { kind: 'sameText', reason: 'Its vocabulary differs, so its drafts are tokenized anew and shorter.' };
}

/**
 * The model that drafts for another: the user's choice for it, or else the one of the role "draft" if it has the same
 * vocabulary. A choice that does not fit any more is none.
 */
export function draftOf<Model extends Candidate & Pick<ModelEntry, 'overrides'>>(
  target: Model,
  models: readonly Model[],
  roles: Readonly<Record<ModelRole, string | null>>,
): Model | null {
  const { draftId: chosen } = target.overrides;
  if (chosen === null) return null;
  const draft = models.find(({ id }) => id === (chosen ?? roles.draft));
  if (draft === undefined) return null;
  const { kind } = draftFit(target, draft);
  return kind === 'sameTokens' || (kind === 'sameText' && chosen !== undefined) ? draft : null;
}

/** Memory of a draft model beside its target: weights, keys and values of the target's context, and working memory. */
export function draftMemory(facts: ModelFacts, nCtx: number): number {
  return predictMemory(facts, { nCtx: Math.min(nCtx, facts.nCtxTrain), kvBits: 16, draftBytes: 0, isDraft: true })
    .total;
}
