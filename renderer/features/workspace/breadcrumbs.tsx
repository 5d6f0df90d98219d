// Where the cursor is: the folders of the file, its name, and the declarations around the line. A folder shows itself
// in the tree; the rest opens the list of names.
import { ChevronRight } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import type { TextStore } from '../../editor/text-store.ts';
import { depthOf, enclosing, outline } from '../../lib/outline.ts';
import { ancestors, baseName, shownName } from '../../lib/paths.ts';
import styles from './breadcrumbs.module.css';
import type { Buffer } from './buffer.ts';

interface BreadcrumbsProps {
  label: string;
  buffer: Buffer;
  texts: TextStore;
  line: number;
  onFolder: (path: string) => void;
  onSymbols: () => void;
}

/** The names follow the text after a pause in typing. */
const kDelayMs = 400;
/** In a larger text the names are not worth the pause they cost. */
const kLongestText = 2_000_000;

export function Breadcrumbs({ label, buffer, texts, line, onFolder, onSymbols }: BreadcrumbsProps) {
  const { id, path, title, languageId } = buffer;
  const [text, setText] = useState(() => texts.text(id));
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    setText(texts.text(id));
    const stop = texts.onChange((changed) => {
      if (changed !== id) return;
      clearTimeout(timer);
      timer = setTimeout(() => setText(texts.text(id)), kDelayMs);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [texts, id]);
  const symbols = useMemo(() => (text.length > kLongestText ? [] : outline(text, languageId)), [text, languageId]);
  const around = useMemo(() => {
    const shown = text.split('\n', line)[line - 1] ?? '';
    return enclosing(symbols, line, depthOf(shown));
  }, [symbols, text, line]);
  const folders = path === null ? [] : ancestors(path);
  return (
    <nav aria-label={label} className={styles.bar}>
      <ol>
        {folders.map((folder) => (
          <li key={folder}>
            <button type="button" onClick={() => onFolder(folder)}>
              {shownName(baseName(folder))}
            </button>
            <ChevronRight size={12} aria-hidden />
          </li>
        ))}
        <li>
          <button type="button" onClick={onSymbols}>
            {shownName(title)}
          </button>
        </li>
        {around.map((symbol) => (
          <li key={symbol.line}>
            <ChevronRight size={12} aria-hidden />
            <button type="button" onClick={onSymbols}>
              {symbol.name}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}
