// Names in program text, found by their letters, so that it works in every language at once.

const kLetter = /[\p{L}\p{N}_$]/u;

export function isNameLetter(letter: string): boolean {
  return letter !== '' && kLetter.test(letter);
}

/** Whether a text is nothing but letters of names; an empty one is. */
export function isPartOfName(text: string): boolean {
  return [...text].every(isNameLetter);
}

/** The name around an offset, or one that touches it; empty if there is none. */
export function nameAt(text: string, offset: number): { start: number; name: string } {
  let start = offset;
  let end = offset;
  while (start > 0 && isNameLetter(text.charAt(start - 1))) start -= 1;
  while (isNameLetter(text.charAt(end))) end += 1;
  return { start, name: text.slice(start, end) };
}

/** Where a text stands as words of its own, from `from` to before `to`. */
export function occurrences(text: string, words: string, from = 0, to = text.length): number[] {
  const found: number[] = [];
  if (words === '') return found;
  for (let at = text.indexOf(words, from); at >= 0 && at + words.length <= to; at = text.indexOf(words, at + 1)) {
    const isInWord = (inner: string, outer: string) => isNameLetter(inner) && isNameLetter(outer);
    if (isInWord(words.charAt(0), text.charAt(at - 1))) continue;
    if (isInWord(words.charAt(words.length - 1), text.charAt(at + words.length))) continue;
    found.push(at);
  }
  return found;
}

/** Words that no language lets a program rename. */
const kKeywords = new Set(
  (
    'abstract and as assert async await auto base bool boolean break byte case catch char checked class const constexpr ' +
    'continue crate default defer def del delete do double elif else elsif end enum except explicit export extends ' +
    'extern false final finally float fn for foreach from fun func function get global go goto if impl implements ' +
    'import in inline instanceof int interface internal is lambda let lock long loop match mod module mut namespace ' +
    'native new nil none nonlocal not null nullptr object of operator or out override package params pass private ' +
    'protected pub public raise range readonly record ref register require return sealed select self set short signed ' +
    'sizeof static str string struct sub super switch template then this throw throws trait transient true try type ' +
    'typedef typeof union unless unsafe unsigned until use using val var virtual void volatile when where while with yield ' +
    'False None True'
  ).split(' '),
);

export function isKeyword(name: string): boolean {
  return kKeywords.has(name);
}
