// Which file a code block of a reply says it is for: in the words after the fence, or in a comment on its first line.

/** A relative path with a file ending; nothing that leads out of the folder. */
const kPath = /^(?!\/)(?!.*(?:^|\/)\.\.?(?:\/|$))[\w@.()[\] -]+(?:\/[\w@.()[\] -]+)*\.\w{1,12}$/;

/** @param label the words after the fence @return null if it names none */
export function targetPath(code: string, label: string): string | null {
  const [, title] = /(?:title|file|filename|path)=["']?([^"'\s]+)/.exec(label) ?? [];
  const word = label
    .split(/\s+/)
    .slice(1)
    .find((part) => kPath.test(part));
  const [, afterColon] = /^\w+:(\S+)$/.exec(label) ?? [];
  const first = code.slice(0, 300).split('\n', 1)[0] ?? '';
  const [, comment] =
    /^\s*(?:\/\/|#|--|\/\*|<!--|;)\s*(?:(?:file|path):\s*)?(\S+\/?\S*\.\w+)\s*(?:\*\/|-->)?\s*$/i.exec(first) ?? [];
  for (const found of [title, afterColon, word, comment]) {
    const path = found?.replace(/^\.\//, '');
    if (path !== undefined && kPath.test(path)) return path;
  }
  return null;
}
