// Where a piece of code from a reply belongs in a file. A guess, and harmless: what comes of it is reviewed change by
// change. Tried in this order: the whole file anew; declarations of the same name; lines that are in the file already;
// else it is put where the cursor is.
import { type OutlineSymbol, outline } from './outline.ts';

export interface Proposal {
  text: string;
  how: 'whole' | 'declaration' | 'lines' | 'cursor';
}

/** Enough of the file is in the piece that it stands for all of it. */
const kWholeShare = 0.6;
/** "// ... existing code ..." in the usual comment styles. */
const kElision = /^\s*(?:\/\/|#|--|\/\*|<!--|;)?\s*(?:\.{3}|…)/;

/**
 * @param cursorLine from 0; where a piece goes that belongs nowhere
 * @param languageId Monaco's
 */
export function proposeText(text: string, piece: string, languageId: string, cursorLine: number): Proposal {
  const eol = /\r\n/.test(text) ? '\r\n' : '\n';
  const lines = text === '' ? [] : text.replace(/\r\n?/g, '\n').split('\n');
  const added = piece.replace(/\r\n?/g, '\n').replace(/\n$/, '').split('\n');
  const join = (result: readonly string[], how: Proposal['how']): Proposal => ({ text: result.join(eol), how });
  if (piece.trimEnd() === text.trimEnd()) return { text, how: 'whole' };
  if (text.trim() === '' || isWhole(lines, added)) {
    // The last line of a file ends as it did.
    const end = text === '' || lines.at(-1) === '' ? [''] : [];
    return join([...added, ...end], 'whole');
  }
  const byName = replaceDeclarations(lines, added, languageId);
  if (byName) return join(byName, 'declaration');
  const byLines = replaceLines(lines, added);
  if (byLines) return join(byLines, 'lines');
  const at = Math.max(0, Math.min(cursorLine, lines.length - (lines.at(-1) === '' ? 1 : 0)));
  return join([...lines.slice(0, at), ...added, ...lines.slice(at)], 'cursor');
}

/** A line that says something: not a lone bracket. */
function isTelling(line: string): boolean {
  return /\w{2}/.test(line);
}

function isWhole(lines: readonly string[], added: readonly string[]): boolean {
  if (added.some((line) => kElision.test(line))) return false;
  const known = new Set(added.map((line) => line.trim()));
  const telling = lines.filter(isTelling);
  const nKept = telling.filter((line) => known.has(line.trim())).length;
  return telling.length > 0 && nKept / telling.length >= kWholeShare && added.length >= lines.length * kWholeShare;
}

/** Every outermost declaration of the piece takes the place of the one of its name; null if there is none. */
function replaceDeclarations(lines: readonly string[], added: readonly string[], languageId: string): string[] | null {
  if (added.some((line) => kElision.test(line))) return null;
  const all = outline(added.join('\n'), languageId).filter(({ kind }) => kind !== 'heading');
  const outermost = Math.min(...all.map(({ depth }) => depth));
  const declared = all.filter(({ depth }) => depth === outermost);
  const known = outline(lines.join('\n'), languageId);
  const findOne = (name: string) => {
    const found = known.filter((symbol) => symbol.name === name);
    return found.length === 1 ? found[0] : undefined;
  };
  if (!declared.some(({ name }) => findOne(name))) return null;
  let result = [...lines];
  const starts = declared.map((symbol) => leadStart(added, symbol.line - 1));
  // From the end, so that the places before stay where they are.
  const edits: { from: number; to: number; piece: string[] }[] = [];
  let next: number | null = null;
  for (let i = declared.length - 1; i >= 0; i--) {
    const symbol = declared[i];
    if (symbol === undefined) continue;
    const chunk = withoutOuterClosers(added.slice(starts[i], starts[i + 1] ?? added.length), symbol.depth);
    const old = findOne(symbol.name);
    if (old) {
      const [from, to] = [leadStart(lines, old.line - 1), blockEnd(lines, old)];
      const hasLead = (starts[i] ?? 0) < symbol.line - 1;
      const start = hasLead ? from : old.line - 1;
      edits.push({ from: start, to, piece: indented(chunk, old.depth - symbol.depth) });
      next = start;
      continue;
    }
    // A new one stands before the one that follows it in the piece, else after the one before it, else at the end.
    const before = declared.slice(0, i).findLast(({ name }) => findOne(name));
    const neighbour = before && findOne(before.name);
    if (next !== null || !before || !neighbour) {
      const at = next ?? lines.length;
      edits.push({ from: at, to: at, piece: [...chunk, ''] });
    } else {
      const at = blockEnd(lines, neighbour);
      edits.push({ from: at, to: at, piece: ['', ...indented(chunk, neighbour.depth - before.depth)] });
    }
  }
  const prelude = added.slice(0, starts[0]).filter((line) => isTelling(line) && !lines.includes(line));
  if (prelude.length > 0) edits.push({ from: 0, to: 0, piece: prelude });
  edits.sort((a, b) => b.from - a.from);
  for (const { from, to, piece } of edits) result = [...result.slice(0, from), ...piece, ...result.slice(to)];
  return result;
}

/** Comments and decorators right above a declaration belong to it. */
function leadStart(lines: readonly string[], line: number): number {
  let start = line;
  while (start > 0 && /^\s*(?:\/\/|\/?\*|#(?!include|define|if|end)|@|""")/.test(lines[start - 1] ?? '')) start -= 1;
  return start;
}

/** After the last line of a declaration: deeper lines, and the bracket that closes them. */
function blockEnd(lines: readonly string[], { line, depth }: OutlineSymbol): number {
  let end = line;
  for (let i = line; i < lines.length; i++) {
    const text = lines[i] ?? '';
    if (text.trim() === '') continue;
    const own = text.search(/\S/);
    const isCloser = own === depth && /^[)\]}]/.test(text.trim());
    const isOpener = own === depth && /^\{\s*$/.test(text.trim()) && i === line;
    if (own <= depth && !isCloser && !isOpener) break;
    end = i + 1;
    if (isCloser && /^[\])}]+[;,]?\s*$/.test(text.trim())) break;
  }
  return end;
}

/** Without blank lines at the end, and without brackets there that close what is not in the piece: "}" of a class. */
function withoutOuterClosers(lines: readonly string[], depth: number): string[] {
  const isBlank = (line: string) => line.trim() === '';
  const isOuter = (line: string) => line.search(/\S/) < depth && /^[)\]}]+[;,]?\s*$/.test(line.trim());
  return lines.slice(0, lines.findLastIndex((line) => !isBlank(line) && !isOuter(line)) + 1);
}

function indented(lines: readonly string[], columns: number): string[] {
  if (columns <= 0) return [...lines];
  return lines.map((line) => (line.trim() === '' ? line : ' '.repeat(columns) + line));
}

/** From the first to the last line of the piece that the file has, too; "..." keeps what stands between its neighbours. */
function replaceLines(lines: readonly string[], added: readonly string[]): string[] | null {
  const places = new Map<string, number[]>();
  lines.forEach((line, i) => {
    if (isTelling(line)) places.set(line.trim(), [...(places.get(line.trim()) ?? []), i]);
  });
  const anchors: { piece: number; file: number }[] = [];
  added.forEach((line, piece) => {
    const last = anchors.at(-1);
    const found = (places.get(line.trim()) ?? []).filter((place) => place > (last?.file ?? -1));
    const [file] = found;
    // The first place must be certain, and no later one may be far from it.
    if (file === undefined || kElision.test(line) || (last === undefined && found.length > 1)) return;
    const hasElision = last && added.slice(last.piece, piece).some((between) => kElision.test(between));
    if (last && !hasElision && file - last.file > 3 * added.length) return;
    anchors.push({ piece, file });
  });
  const [first] = anchors;
  const last = anchors.at(-1);
  if (!first || !last || anchors.length < 2) return null;
  const middle: string[] = [];
  let at = first.file;
  for (let piece = 0; piece < added.length; piece++) {
    const line = added[piece] ?? '';
    const anchor = anchors.find((candidate) => candidate.piece === piece);
    if (anchor) {
      at = anchor.file + 1;
      middle.push(line);
    } else if (kElision.test(line)) {
      const next = anchors.find((candidate) => candidate.piece > piece);
      middle.push(...lines.slice(piece < first.piece ? first.file : at, next ? next.file : last.file + 1));
    } else middle.push(line);
  }
  return [...lines.slice(0, first.file), ...middle, ...lines.slice(last.file + 1)];
}
