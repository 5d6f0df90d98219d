// Relative workspace paths: "/" separates, "" is the root. No Node path module in the sandboxed window.

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The parent directory; "" for an entry of the root. */
export function dirName(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/**
 * A name as it is shown, of the same length. Characters that turn around what follows them would make a program look like
 * a picture ("a\u202egpj.exe"), and a line break is none in a list.
 */
export function shownName(name: string): string {
  return name.replace(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '\ufffd');
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

/** Every directory above `path`, outermost first, without the root. */
export function ancestors(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** Lower-case text after the last dot of the name; "" without one. A leading dot does not count. */
export function extensionOf(path: string): string {
  const name = baseName(path);
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? '' : name.slice(dot + 1).toLowerCase();
}

/**
 * Why a name typed by the user cannot be a file or folder name, or null if it can. Separators are allowed, so
 * that "src/new.ts" creates both; what the disk refuses beyond this is reported by the write.
 */
export function invalidPathReason(path: string): string | null {
  if (path.trim() === '') return 'Type a name.';
  if (path.startsWith('/') || path.endsWith('/')) return 'The name cannot start or end with a slash.';
  for (const part of path.split('/')) {
    if (part === '') return 'The name cannot contain an empty part.';
    if (part === '.' || part === '..') return 'The name cannot contain "." or ".." as a part.';
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    if (/[\u0000-\u001f\\]/.test(part)) return 'The name cannot contain a backslash or control characters.';
    if (part.length > 255) return 'The name is longer than 255 characters.';
  }
  return null;
}
