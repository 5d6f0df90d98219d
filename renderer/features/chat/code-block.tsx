// A code block of a reply: its language, copy, insert at the cursor, and the code in the editor's colours.
import { Check, ClipboardCopy, FileDiff, TextCursorInput } from 'lucide-react';
import { memo, useEffect, useState } from 'react';
import { HighlightedCode } from '../../editor/highlighted-code.tsx';
import { IconButton } from '../../ui/button.tsx';
import styles from './code-block.module.css';
import type { MarkdownActions } from './markdown.tsx';

interface CodeBlockProps {
  code: string;
  /** The words after the fence; the first names the language. */
  label: string;
  actions: MarkdownActions;
}

const kCopiedMs = 1500;

export const CodeBlock = memo(function CodeBlock({ code, label, actions }: CodeBlockProps) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), kCopiedMs);
    return () => clearTimeout(timer);
  }, [isCopied]);

  const language = label.split(/[\s,{:]/, 1)[0] ?? '';
  const { insert, apply } = actions;
  return (
    <figure className={styles.block} aria-label={language ? `Code, ${language}` : 'Code'}>
      <figcaption className={styles.head}>
        <span className={styles.language}>{language || 'text'}</span>
        <IconButton label="Review and apply to the file" disabled={apply === null} onClick={() => apply?.(code, label)}>
          <FileDiff size={14} aria-hidden />
        </IconButton>
        <IconButton label="Insert at cursor" disabled={insert === null} onClick={() => insert?.(code)}>
          <TextCursorInput size={14} aria-hidden />
        </IconButton>
        <IconButton
          label={isCopied ? 'Copied' : 'Copy code'}
          onClick={() => {
            actions.copy(code);
            setIsCopied(true);
          }}
        >
          {isCopied ? <Check size={14} aria-hidden /> : <ClipboardCopy size={14} aria-hidden />}
        </IconButton>
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines scroll, also by keyboard */}
      <pre className={styles.code} tabIndex={0}>
        <HighlightedCode code={code} label={language} />
      </pre>
    </figure>
  );
});
