// Which other places of a text a new name belongs to, after it was changed where it is declared. Scopes come from the
// indentation and from brackets, so that it works in every language at once.
import { isKeyword, occurrences } from './identifiers.ts';
import { depthOf } from './outline.ts';

/** `member`: also used after a dot, in the whole file. */
type Kind = 'member' | 'local';

const kDeclares = /(?:^|[^\w$])(?:class|interface|enum|struct|trait|union|namespace|module|object|record|type)\s+$/;
const kDeclaresFunction = /(?:^|[^\w$])(?:function\*?|def|func|fun|fn|sub|proc)\s+(?:\([^)]*\)\s*)?(?:self\.)?$/;
const kDeclaresField = /^\s*(?:(?:public|private|protected|static|readonly|declare|override|final|internal)\s+)+#?$/;
const kDeclaresVariable = /(?:^|[^\w$])(?:const|let|var|val|mut|auto)\s+(?:\w+\s+)?$/;
const kDestructures = /(?:^|[^\w$])(?:const|let|var)\s*[{[][^=]*$/;
/** `for x in`, `except E as x`, `import m as x`. */
const kBinds = /(?:^|[^\w$])(?:for|as|import)\s+(?:\([^)]*)?$/;
/** `Type name`: the word in front must not be a keyword that stands before uses. */
const kTyped = /(?:^|[(,{;<]|\s)([A-Za-z_][\w:.<>[\],]*)[\s*&]+$/;
const kBeforeUses =
  /^(?:return|else|new|throw|delete|in|of|case|yield|await|not|and|or|is|if|while|typeof|raise|go|defer)$/;
const kHeader =
  /(?:^|[^\w$])(?:function\*?|def|func|fun|fn|sub|proc|lambda|constructor)\b|=>|\)\s*(?::[^{]{0,80})?\{\s*$|^\s*[\w$#*]+\s*\([^()]*$/;
/** A method without a keyword in front of it: `name(...) {`. */
const kMethodRest = /^\s*(?:<[^>(]*>)?\([^;{]*\)[^;={]{0,80}\{\s*$/;

/** How the name at an offset is declared there; null if it is only used. */
function declarationAt(line: string, column: number, name: string): Kind | null {
  const before = line.slice(0, column);
  const after = line.slice(column + name.length);
  if (kDeclares.test(before) || kDeclaresFunction.test(before) || kDeclaresField.test(before)) return 'member';
  if (/^\s*(?:async\s+|static\s+|get\s+|set\s+|#)*$/.test(before) && kMethodRest.test(after)) return 'member';
  if (kDeclaresVariable.test(before) || kDestructures.test(before) || kBinds.test(before)) return 'local';
  const isInHeader = kHeader.test(line) && before.lastIndexOf('(') > before.lastIndexOf(')');
  if (isInHeader && /[(,]\s*(?:\.\.\.|\*{1,2}|&)?(?:[A-Za-z_][\w:.<>[\]]*[\s*&]+)*$/.test(before)) return 'local';
  if (/^\s*$/.test(before) && /^\s*(?::[^=]{1,60})?(?:=(?![=>])|:=)/.test(after)) return 'local';
  // A parameter on a line of its own.
  if (/^\s*(?:readonly\s+|\.\.\.)?$/.test(before) && /^\??:\s*[^=]+(?:=.*)?,\s*$/.test(after)) return 'local';
  const type = kTyped.exec(before)?.[1];
  const isTyped = type !== undefined && !kBeforeUses.test(type) && /^\s*(?:=(?!=)|;|,|\)|\[)/.test(after);
  return isTyped ? 'local' : null;
}

/** Where what is declared on a line is known: lines from `first` to before `end`, from 0. */
function scopeOf(lines: readonly string[], line: number, kind: Kind): { first: number; end: number } {
  const declaring = lines[line] ?? '';
  const depth = depthOf(declaring);
  if (kind === 'member') return { first: 0, end: lines.length };
  const opens = /[{(:]\s*$|=>\s*$/.test(declaring);
  const isHeader = opens && kHeader.test(declaring);
  if (depth === 0 && !isHeader) return { first: 0, end: lines.length };
  for (let i = line + 1; i < lines.length; i++) {
    const text = lines[i] ?? '';
    const isCloser = /^\s*[)\]}]/.test(text);
    // The end of a list of parameters: the body comes after it.
    if (isCloser && /[{:]\s*$|=>\s*$/.test(text) && /^\s*\)/.test(text)) continue;
    if (isHeader ? depthOf(text) <= depth : depthOf(text) < depth) return { first: line, end: isCloser ? i + 1 : i };
  }
  return { first: line, end: lines.length };
}

/**
 * Where the old name is still used, if the new one at `offset` is its declaration; null if it is not.
 * @param offset of the new name in `text`
 */
export function staleUses(text: string, offset: number, from: string, to: string): number[] | null {
  if (from === '' || to === '' || from === to || isKeyword(from) || /^\p{N}/u.test(to) || /^\p{N}/u.test(from))
    return null;
  const lines = text.split('\n');
  const line = text.slice(0, offset).split('\n').length - 1;
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  const kind = declarationAt(lines[line] ?? '', offset - lineStart, to);
  if (kind === null) return null;
  const { first, end } = scopeOf(lines, line, kind);
  const startOf = (n: number) => lines.slice(0, n).reduce((sum, { length }) => sum + length + 1, 0);
  return occurrences(text, from, startOf(first), Math.min(text.length, startOf(end))).filter((at) =>
    isUse(text, at, from, kind),
  );
}

/** Not a word in a string, nor the name of something else that is spelled the same. */
function isUse(text: string, at: number, name: string, kind: Kind): boolean {
  const before = text.slice(text.lastIndexOf('\n', at - 1) + 1, at);
  if (isInString(before)) return false;
  if (kind === 'member') return true;
  if (/(?:^|[^.])\.\s*$/.test(before) || /(?:->|::|#)$/.test(before)) return false;
  // A key of an object: `{ name: value`, but not a case of a conditional expression.
  return !(/[{,]\s*$/.test(before) && /^\s*:(?!:)/.test(text.slice(at + name.length, at + name.length + 20)));
}

function isInString(before: string): boolean {
  const plain = before.replace(/\\./g, '');
  // An apostrophe between letters is one of a comment's words.
  const nSingle = plain.replace(/\w'\w/g, '').split("'").length - 1;
  const nDouble = plain.split('"').length - 1;
  return nSingle % 2 === 1 || nDouble % 2 === 1;
}
