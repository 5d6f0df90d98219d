// The names that a text declares, for "Go to Symbol" and the path above the editor: found by the shape of a line, so
// that it works in every language at once and costs a few milliseconds. Depth comes from the indentation.

export interface OutlineSymbol {
  name: string;
  kind: 'function' | 'type' | 'heading';
  /** From 1. */
  line: number;
  /** Columns of white space in front; of a heading, its level. */
  depth: number;
}

/** A longer line is data, not a declaration. */
const kLongestLine = 300;
const kTab = 4;

const kName = '([A-Za-z_$][\\w$]*)';
const kModifiers =
  '(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|override|readonly|sealed|partial|virtual|inline|constexpr|extern|unsafe|pub(?:\\([\\w ]+\\))?|const|get|set)\\s+)*';
const kShapes: readonly [RegExp, OutlineSymbol['kind']][] = [
  [
    new RegExp(
      `^${kModifiers}(?:class|interface|enum|struct|trait|union|namespace|module|object|protocol|record|type)\\s+${kName}`,
    ),
    'type',
  ],
  [new RegExp(`^(?:impl)(?:<[^>]*>)?\\s+(?:[\\w:<>, ]+\\s+for\\s+)?${kName}`), 'type'],
  [
    new RegExp(`^${kModifiers}(?:function\\*?|def|func|fun|fn|sub|proc)\\s+(?:\\([^)]*\\)\\s*)?(?:self\\.)?${kName}`),
    'function',
  ],
  [
    new RegExp(
      `^${kModifiers}(?:const|let|var)\\s+${kName}[^=]{0,80}=\\s*(?:async\\s*)?(?:function\\b|\\([^)]*\\)[^=]{0,80}=>|\\w+\\s*=>)`,
    ),
    'function',
  ],
  // A method: a name, arguments and an opening brace on one line.
  [
    new RegExp(
      `^${kModifiers}(?:[\\w:<>,*&\\[\\]]+\\s+[*&]*)?((?:[A-Za-z_$#~][\\w$]*::)*[A-Za-z_$#~][\\w$]*)\\s*(?:<[^>(]*>)?\\([^;{]*\\)[^;={]{0,80}\\{\\s*$`,
    ),
    'function',
  ],
];
const kKeywords =
  /^(?:if|for|while|switch|catch|return|else|do|try|with|foreach|using|lock|synchronized|when|match|unless|until|elif|except)$/;
const kIndented = /^(?:markdown|mdx|restructuredtext)$/;

/** @param languageId Monaco's */
export function outline(text: string, languageId: string): OutlineSymbol[] {
  const lines = text.split('\n');
  if (kIndented.test(languageId)) return headings(lines);
  return lines.flatMap((raw, i) => {
    if (raw.length > kLongestLine) return [];
    const line = raw.trim();
    for (const [shape, kind] of kShapes) {
      const name = shape.exec(line)?.[1];
      if (name !== undefined && !kKeywords.test(name)) return { name, kind, line: i + 1, depth: indentation(raw) };
    }
    return [];
  });
}

function headings(lines: readonly string[]): OutlineSymbol[] {
  let isCode = false;
  return lines.flatMap((line, i) => {
    if (/^\s*(?:```|~~~)/.test(line)) isCode = !isCode;
    const [, marks = '', name = ''] = isCode || line.length > kLongestLine ? [] : (/^(#{1,6})\s+(.+)/.exec(line) ?? []);
    return name === '' ? [] : { name: name.trim(), kind: 'heading' as const, line: i + 1, depth: marks.length };
  });
}

function indentation(line: string): number {
  let depth = 0;
  for (const letter of line) {
    if (letter === ' ') depth += 1;
    else if (letter === '\t') depth += kTab;
    else break;
  }
  return depth;
}

/** The declarations around a line, outermost first. */
export function enclosing(
  symbols: readonly OutlineSymbol[],
  line: number,
  depthOfLine = Number.POSITIVE_INFINITY,
): OutlineSymbol[] {
  const around: OutlineSymbol[] = [];
  let limit = depthOfLine;
  for (const symbol of symbols.filter((candidate) => candidate.line <= line).reverse()) {
    if (symbol.line !== line && symbol.depth >= limit) continue;
    around.unshift(symbol);
    limit = symbol.depth;
  }
  return around;
}

/**
 * The text of the innermost declaration around a line, from its first line to the last that belongs to it: what is
 * indented deeper, and a line of closing marks after that. Of a heading, everything below it.
 * @param languageId Monaco's
 */
export function declarationAround(
  text: string,
  languageId: string,
  line: number,
): { name: string; startLine: number; text: string } | null {
  const lines = text.split('\n');
  const symbols = outline(text, languageId);
  const isText = kIndented.test(languageId);
  const depth = isText ? Number.POSITIVE_INFINITY : depthOf(lines[line - 1] ?? '');
  const symbol = enclosing(symbols, line, depth).at(-1);
  if (symbol === undefined) return null;
  let end = symbol.line;
  if (isText) {
    const next = symbols.find((other) => other.line > symbol.line && other.depth <= symbol.depth);
    end = next ? next.line - 1 : lines.length;
  } else {
    while (end < lines.length && depthOf(lines[end] ?? '') > symbol.depth) end += 1;
    if (/^\s*[)\]}]+[;,]?\s*$/.test(lines[end] ?? '')) end += 1;
  }
  const part = lines
    .slice(symbol.line - 1, end)
    .join('\n')
    .trimEnd();
  return { name: symbol.name, startLine: symbol.line, text: part };
}

/** Where a line stands in the sense of `depth`; no limit for an empty one. */
export function depthOf(line: string): number {
  return line.trim() === '' ? Number.POSITIVE_INFINITY : indentation(line);
}
