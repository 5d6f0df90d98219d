// The state of a review: a text, a proposal for it, and for every change between them what the user decided. Nothing is
// ever computed from a decided text, so no order of decisions can lose a character.
import { diffLines, type LineChange, splitLines } from './line-diff.ts';

export type Decision = 'pending' | 'accepted' | 'rejected';

export interface Review {
  before: readonly string[];
  after: readonly string[];
  changes: readonly LineChange[];
  decisions: readonly Decision[];
  /** Earlier decisions, newest last. */
  history: readonly (readonly Decision[])[];
}

export function startReview(before: string, after: string): Review {
  const [old, proposed] = [splitLines(before), splitLines(after)];
  const changes = diffLines(old, proposed);
  return { before: old, after: proposed, changes, decisions: changes.map(() => 'pending'), history: [] };
}

/** The text with the accepted changes; those that are still open count as `pendingAs`. */
export function reviewedText(review: Review, pendingAs: 'accepted' | 'rejected'): string {
  const { before, after, changes, decisions } = review;
  const parts: string[] = [];
  let at = 0;
  changes.forEach(({ oldStart, oldEnd, newStart, newEnd }, i) => {
    const decision = decisions[i] === 'pending' ? pendingAs : decisions[i];
    const changed = decision === 'accepted' ? after.slice(newStart, newEnd) : before.slice(oldStart, oldEnd);
    parts.push(...before.slice(at, oldStart), ...changed);
    at = oldEnd;
  });
  parts.push(...before.slice(at));
  return parts.join('');
}

/** Decides one change, or every open one. */
export function decide(review: Review, index: number | 'all', decision: 'accepted' | 'rejected'): Review {
  const decisions = review.decisions.map((before, i) => {
    return (index === 'all' && before === 'pending') || index === i ? decision : before;
  });
  return { ...review, decisions, history: [...review.history, review.decisions] };
}

/** Takes the newest decision back. */
export function undecide(review: Review): Review {
  const decisions = review.history.at(-1);
  return decisions === undefined ? review : { ...review, decisions, history: review.history.slice(0, -1) };
}

/** The next open change after `from`, around the end; null if all are decided. */
export function nextPending({ decisions }: Review, from: number, step: 1 | -1 = 1): number | null {
  for (let i = 1; i <= decisions.length; i++) {
    const index = (from + step * i + decisions.length * i) % decisions.length;
    if (decisions[index] === 'pending') return index;
  }
  return null;
}

/** The line (from 1) at which a change stands when every open change is shown as proposed. */
export function lineOfChange(review: Review, index: number): number {
  let line = 1;
  let at = 0;
  for (const [i, { oldStart, oldEnd, newStart, newEnd }] of review.changes.entries()) {
    line += oldStart - at;
    if (i === index) return line;
    line += review.decisions[i] === 'rejected' ? oldEnd - oldStart : newEnd - newStart;
    at = oldEnd;
  }
  return line;
}
