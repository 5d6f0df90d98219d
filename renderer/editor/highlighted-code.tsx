// A read-only piece of code with the editor's colours. Shows plain text until the grammar is there.
import { memo, useEffect, useRef, useState } from 'react';
import type { CodeHighlighter } from './code-highlighter.ts';
import { loadEditor } from './load-editor.ts';

interface HighlightedCodeProps {
  code: string;
  /** The word after the fence: "ts", "python", "c++". Unknown or empty is plain text. */
  label: string;
}

export function HighlightedCode({ code, label }: HighlightedCodeProps) {
  const [highlighter, setHighlighter] = useState<CodeHighlighter | null>(null);
  const plain = useRef<HTMLElement>(null);
  const [isNear, setIsNear] = useState(false);

  // A long conversation has hundreds of blocks; the colours of one that is far from the view can wait.
  useEffect(() => {
    if (!plain.current) return;
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && setIsNear(true),
      { rootMargin: '400px' },
    );
    observer.observe(plain.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!isNear) return;
    let isGone = false;
    let created: CodeHighlighter | undefined;
    const create = async () => {
      const { CodeHighlighter, languageOfLabel } = await loadEditor();
      created = await CodeHighlighter.create(languageOfLabel(label));
      if (isGone) created.dispose();
      else setHighlighter(created);
    };
    create().catch(() => {}); // It stays plain.
    return () => {
      isGone = true;
      setHighlighter(null);
      created?.dispose();
    };
  }, [label, isNear]);

  if (!highlighter) return <code ref={plain}>{code}</code>;
  return (
    <code>
      {highlighter.update(code).map((markup, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line's place in the block is its identity
        <CodeLine key={line} markup={markup} />
      ))}
    </code>
  );
}

const CodeLine = memo(function CodeLine({ markup }: { markup: string }) {
  return (
    <span
      style={{ display: 'block', minHeight: '1lh' }}
      // biome-ignore lint/security/noDangerouslySetInnerHtml: Monaco's colorizer escapes the text and adds only spans
      dangerouslySetInnerHTML={{ __html: withoutBreak(markup) }}
    />
  );
});

/** Monaco ends a line with <br/>; here every line is a block already. */
function withoutBreak(markup: string): string {
  return markup.replace(/<br\/?>$/, '');
}
