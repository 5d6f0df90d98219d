// The active file beside what the last commit has of it, over the editor.
import { useEffect, useRef } from 'react';
import { DiffView } from '../../editor/editor-views.tsx';
import { Button } from '../../ui/button.tsx';
import styles from './head-diff.module.css';

interface HeadDiffProps {
  original: string;
  text: string;
  title: string;
  languageId: string;
  onClose: () => void;
}

export function HeadDiff({ original, text, title, languageId, onClose }: HeadDiffProps) {
  const host = useRef<HTMLElement>(null);
  useEffect(() => host.current?.focus(), []);
  return (
    <section
      ref={host}
      tabIndex={-1}
      aria-label={`${title} and the last commit`}
      className={styles.diff}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <div className={styles.bar}>
        <span>What changed in {title} since the last commit.</span>
        <Button onClick={onClose}>Back to the Editor</Button>
      </div>
      <div className={styles.body}>
        <DiffView
          original={original}
          modified={text}
          languageId={languageId}
          originalLabel={`${title}, last commit`}
          modifiedLabel={`${title}, now`}
        />
      </div>
    </section>
  );
}
