// The difference of two texts by lines (Myers, "An O(ND) Difference Algorithm", 1986). Lines keep their endings, so the
// lines of a text joined are the text, to the last character.

/** Lines `oldStart` to `oldEnd` (exclusive, from 0) of the one text stand where those of the other do. */
export interface LineChange {
  oldStart: number;
  oldEnd: number;
  newStart: number;
  newEnd: number;
}

/** More differences than this are one change: nobody reviews them one by one, and the search would take long. */
const kMostDifferences = 3000;

export function splitLines(text: string): string[] {
  return text === '' ? [] : text.split(/(?<=\r\n|\n|\r(?!\n))/);
}

/** The changes in order; between two of them both texts are the same. As few lines as possible are in a change. */
export function diffLines(before: readonly string[], after: readonly string[]): LineChange[] {
  let head = 0;
  const shorter = Math.min(before.length, after.length);
  while (head < shorter && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const inner = diffNumbers(
    ...toNumbers(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
  );
  return inner.map(({ oldStart, oldEnd, newStart, newEnd }) => ({
    oldStart: oldStart + head,
    oldEnd: oldEnd + head,
    newStart: newStart + head,
    newEnd: newEnd + head,
  }));
}

/** Equal lines get equal numbers: comparing them is then cheap. */
function toNumbers(before: readonly string[], after: readonly string[]): [Int32Array, Int32Array] {
  const numbers = new Map<string, number>();
  const number = (line: string) => {
    const known = numbers.get(line);
    if (known !== undefined) return known;
    numbers.set(line, numbers.size);
    return numbers.size - 1;
  };
  return [Int32Array.from(before, number), Int32Array.from(after, number)];
}

function diffNumbers(a: Int32Array, b: Int32Array): LineChange[] {
  if (a.length === 0 && b.length === 0) return [];
  const whole = [{ oldStart: 0, oldEnd: a.length, newStart: 0, newEnd: b.length }];
  if (a.length === 0 || b.length === 0) return whole;
  const most = Math.min(a.length + b.length, kMostDifferences);
  // furthest[k]: how far into `a` the diagonal k = x - y is reached; one copy per step leads back.
  const furthest = new Int32Array(2 * most + 2);
  const steps: Int32Array[] = [];
  for (let d = 0; d <= most; d++) {
    steps.push(furthest.slice(most - d, most + d + 1));
    for (let k = -d; k <= d; k += 2) {
      const down = at(furthest, most + k + 1);
      const right = at(furthest, most + k - 1);
      let x = k === -d || (k !== d && right < down) ? down : right + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      furthest[most + k] = x;
      if (x >= a.length && y >= b.length) return trace(steps, d, a.length, b.length);
    }
  }
  return whole;
}

function at(values: Int32Array, index: number): number {
  return values[index] ?? 0;
}

/** From the end back to the start, joining neighbouring edits. */
function trace(steps: readonly Int32Array[], d: number, nOld: number, nNew: number): LineChange[] {
  const changes: LineChange[] = [];
  let [x, y] = [nOld, nNew];
  for (let step = d; step > 0; step--) {
    const reached = steps[step] ?? new Int32Array();
    const k = x - y;
    const of = (diagonal: number) => at(reached, diagonal + step);
    const isDown = k === -step || (k !== step && of(k - 1) < of(k + 1));
    const beforeX = isDown ? of(k + 1) : of(k - 1);
    const beforeY = beforeX - (isDown ? k + 1 : k - 1);
    const [endX, endY] = isDown ? [beforeX, beforeY + 1] : [beforeX + 1, beforeY];
    const last = changes.at(-1);
    if (last && last.oldStart === endX && last.newStart === endY) {
      last.oldStart = beforeX;
      last.newStart = beforeY;
    } else changes.push({ oldStart: beforeX, oldEnd: endX, newStart: beforeY, newEnd: endY });
    [x, y] = [beforeX, beforeY];
  }
  return changes.reverse();
}

const kContext = 3;

/** The changes as people know them from `diff -u`, without a head. */
export function unifiedDiff(before: string, after: string): string {
  const [old, now] = [splitLines(before), splitLines(after)];
  const line = (mark: string) => (text: string) => `${mark}${text.replace(/\r?\n$|\r$/, '')}\n`;
  return diffLines(old, now)
    .map(({ oldStart, oldEnd, newStart, newEnd }) =>
      [
        `@@ -${oldStart + 1},${oldEnd - oldStart} +${newStart + 1},${newEnd - newStart} @@\n`,
        ...old.slice(Math.max(0, oldStart - kContext), oldStart).map(line(' ')),
        ...old.slice(oldStart, oldEnd).map(line('-')),
        ...now.slice(newStart, newEnd).map(line('+')),
        ...old.slice(oldEnd, oldEnd + kContext).map(line(' ')),
      ].join(''),
    )
    .join('');
}
