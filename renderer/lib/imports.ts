// Which files of the workspace a text imports, read from the shape of its lines. A guess: whoever uses it looks whether
// the file is there.
import { dirName } from './paths.ts';

const kScript = /\bfrom\s*['"](\.{1,2}\/[^'"\n]+)['"]|\b(?:import|require)\s*\(?\s*['"](\.{1,2}\/[^'"\n]+)['"]/g;
const kPython = /^[ \t]*from[ \t]+(\.*[\w.]*)[ \t]+import\b|^[ \t]*import[ \t]+([\w.]+)/gm;
const kInclude = /^[ \t]*#[ \t]*include[ \t]+"([^"\n]+)"/gm;
const kRustModule = /^[ \t]*(?:pub[ \t]+)?mod[ \t]+(\w+)[ \t]*;/gm;

const kScriptEndings = ['', '.ts', '.tsx', '.js', '.jsx', '.mjs', '/index.ts', '/index.js'];

/**
 * @param path of the text, relative to the workspace
 * @return for each import, in the order of the text, the paths that may be meant, the likeliest first
 */
export function importedPaths(path: string, text: string, languageId: string): string[][] {
  const folder = dirName(path);
  const found = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? '');
  switch (languageId) {
    case 'typescript':
    case 'javascript':
      return distinct(
        found(kScript).map((name) =>
          // "./a.js" may be written for "a.ts".
          [...kScriptEndings.map((ending) => name + ending), name.replace(/\.([cm]?)jsx?$/, '.$1ts')].flatMap((one) =>
            within(folder, one),
          ),
        ),
      );
    case 'python':
      return distinct(found(kPython).map((name) => pythonPaths(folder, name)));
    case 'c':
    case 'cpp':
    case 'objective-c':
      return distinct(found(kInclude).map((name) => [...within(folder, name), ...within('', name)]));
    case 'rust':
      return distinct(
        found(kRustModule).map((name) => [`${name}.rs`, `${name}/mod.rs`].flatMap((one) => within(folder, one))),
      );
    default:
      return [];
  }
}

function pythonPaths(folder: string, name: string): string[] {
  const nDots = /^\.*/.exec(name)?.[0].length ?? 0;
  const below = name.slice(nDots).replaceAll('.', '/');
  const bases = nDots === 0 ? ['', folder] : [within(folder, '../'.repeat(nDots - 1) || '.')[0] ?? ''];
  const join = (base: string) => [base, below].filter(Boolean).join('/');
  return bases.flatMap((base) => [`${join(base)}.py`, `${join(base)}/__init__.py`]);
}

/** The path that `name` means from `folder`; none if it leaves the workspace. */
function within(folder: string, name: string): string[] {
  const parts = folder === '' ? [] : folder.split('/');
  for (const part of name.split('/')) {
    if (part === '..') {
      if (parts.length === 0) return [];
      parts.pop();
    } else if (part !== '.' && part !== '') parts.push(part);
  }
  return [parts.join('/')];
}

function distinct(lists: string[][]): string[][] {
  const seen = new Set<string>();
  return lists.filter((list) => {
    const key = list[0];
    if (key === undefined || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
