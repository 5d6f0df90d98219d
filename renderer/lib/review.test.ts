import { expect, it } from 'vitest';
import { decide, lineOfChange, nextPending, type Review, reviewedText, startReview, undecide } from './review.ts';
import { random } from './testing/random.ts';

const { int, pick } = random(11);

function randomText(): string {
  return Array.from({ length: int(25) }, () => pick(['one', 'two', 'drei', '}', '', '\t', 'é\u{1f600}']))
    .map((line) => line + pick(['\n', '\n', '\n', '\r\n']))
    .concat(pick(['', 'the end']))
    .join('');
}

/** A text made of `before` by random edits. */
function edited(before: string): string {
  const lines = before.split('\n');
  for (let i = int(6); i > 0; i--) lines.splice(int(lines.length + 1), int(3), ...(int(2) ? [`new ${int(9)}`] : []));
  return lines.join('\n');
}

/** The same result by another way: the accepted changes as edits of characters, from the end. */
function applied(before: string, review: Review): string {
  const offsets = [0];
  for (const line of review.before) offsets.push((offsets.at(-1) ?? 0) + line.length);
  let text = before;
  for (let i = review.changes.length - 1; i >= 0; i--) {
    const change = review.changes[i];
    if (!change || review.decisions[i] !== 'accepted') continue;
    const inserted = review.after.slice(change.newStart, change.newEnd).join('');
    text = text.slice(0, offsets[change.oldStart]) + inserted + text.slice(offsets[change.oldEnd]);
  }
  return text;
}

it('gives the proposal when everything is accepted and the text when nothing is, to the last character', () => {
  for (let round = 0; round < 1000; round++) {
    const before = randomText();
    const after = round % 2 ? randomText() : edited(before);
    const review = startReview(before, after);
    expect(reviewedText(review, 'rejected')).toBe(before);
    expect(reviewedText(review, 'accepted')).toBe(after);
    expect(reviewedText(decide(review, 'all', 'accepted'), 'rejected')).toBe(after);
    expect(reviewedText(decide(review, 'all', 'rejected'), 'accepted')).toBe(before);
  }
});

it('gives exactly the accepted changes, whatever the order of decisions', () => {
  for (let round = 0; round < 1000; round++) {
    const before = randomText();
    let review = startReview(before, edited(before));
    for (let at = nextPending(review, -1); at !== null; at = nextPending(review, int(review.changes.length))) {
      review = decide(review, at, int(2) ? 'accepted' : 'rejected');
    }
    expect(review.decisions).not.toContain('pending');
    expect(reviewedText(review, 'rejected')).toBe(applied(before, review));
    expect(reviewedText(review, 'accepted')).toBe(applied(before, review));
  }
});

it('takes decisions back, one by one, to the start', () => {
  for (let round = 0; round < 300; round++) {
    const before = randomText();
    const start = startReview(before, edited(before));
    const states = [start];
    for (let i = 0; i < start.changes.length; i++) {
      const state = states.at(-1) ?? start;
      states.push(decide(state, int(4) ? i : 'all', int(2) ? 'accepted' : 'rejected'));
    }
    let review = states.at(-1) ?? start;
    for (const state of states.slice(0, -1).reverse()) {
      review = undecide(review);
      expect(review.decisions).toEqual(state.decisions);
      expect(reviewedText(review, 'rejected')).toBe(reviewedText(state, 'rejected'));
    }
    expect(undecide(start)).toEqual(start);
  }
});

it('knows where a change stands in the text that is shown', () => {
  const review = startReview('a\nb\nc\nd\n', 'a\nB\nB2\nc\nD\n');
  expect(review.changes).toHaveLength(2);
  expect(lineOfChange(review, 0)).toBe(2);
  expect(lineOfChange(review, 1)).toBe(5);
  expect(lineOfChange(decide(review, 0, 'rejected'), 1)).toBe(4);
});

it('goes to the next open change, around the end', () => {
  let review = startReview('a\nx\nb\nx\nc\n', 'A\nx\nB\nx\nC\n');
  expect(nextPending(review, 2)).toBe(0);
  expect(nextPending(review, 0, -1)).toBe(2);
  review = decide(review, 1, 'accepted');
  expect(nextPending(review, 0)).toBe(2);
  expect(nextPending(decide(review, 'all', 'accepted'), 0)).toBeNull();
});
