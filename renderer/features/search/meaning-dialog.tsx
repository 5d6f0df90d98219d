// "Search by Meaning": pieces of files by what they are about, the likest first.
import { MessageSquarePlus, Search } from 'lucide-react';
import { type FormEvent, useEffect, useState } from 'react';
import { useStore } from 'zustand';
import { Button, IconButton } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Notice } from '../../ui/notice.tsx';
import { ProgressBar } from '../../ui/progress.tsx';
import styles from './meaning-dialog.module.css';
import type { Hit, MeaningStore } from './meaning-store.ts';

interface MeaningDialogProps {
  meaning: MeaningStore;
  onGo: (hit: Hit) => void;
  onAttach: (hit: Hit) => void;
  onManageModels: () => void;
  onClose: () => void;
}

export function MeaningDialog({ meaning, onGo, onAttach, onManageModels, onClose }: MeaningDialogProps) {
  const { reading, hits, error, query } = useStore(meaning.store);
  const [text, setText] = useState(query);
  useEffect(() => () => meaning.stop(), [meaning]);
  const search = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() !== '') void meaning.search(text.trim());
  };
  const label = reading === null ? '' : `Reading the folder, ${reading.nDone} of ${reading.nTotal} files`;
  return (
    <Dialog title="Search by Meaning" size="wide" onClose={onClose}>
      <form className={styles.form} onSubmit={search}>
        <input
          aria-label="What to look for"
          placeholder="Where is the queue of downloads kept?"
          className={styles.input}
          value={text}
          maxLength={2000}
          autoFocus
          onChange={(event) => setText(event.target.value)}
        />
        <Button kind="primary" type="submit">
          <Search size={14} aria-hidden />
          Search
        </Button>
      </form>
      <div className={styles.results}>
        {reading ? (
          <div role="status" className={styles.reading}>
            {label}
            <ProgressBar label={label} value={reading.nTotal > 0 ? reading.nDone / reading.nTotal : 0} />
          </div>
        ) : null}
        {error ? (
          <div role="alert">
            <Notice
              kind="error"
              message={error.message}
              hint={error.hint}
              detail={error.detail}
              actions={error.code === 'NOT_FOUND' ? <Button onClick={onManageModels}>Manage Models</Button> : null}
            />
          </div>
        ) : null}
        {hits === null && reading === null && error === null ? (
          <EmptyState
            title="Ask in your own words"
            text="The first search reads the folder with the model for embedding; later ones read only what changed."
          />
        ) : null}
        {hits?.length === 0 ? <EmptyState title="No text in this folder" /> : null}
        {hits && hits.length > 0 ? (
          <ul aria-label="Found by meaning" className={styles.list}>
            {hits.map((hit) => (
              <li key={`${hit.path}:${hit.line}`} className={styles.hit}>
                <button type="button" className={styles.open} onClick={() => onGo(hit)}>
                  <span className={styles.place}>
                    {hit.path}:{hit.line}
                  </span>
                  <span className={styles.likeness}>{Math.round(Math.max(0, hit.likeness) * 100)} %</span>
                  <code className={styles.text}>{firstLines(hit.text)}</code>
                </button>
                <IconButton label={`Attach ${hit.path}:${hit.line} to the chat`} onClick={() => onAttach(hit)}>
                  <MessageSquarePlus size={15} aria-hidden />
                </IconButton>
              </li>
            ))}
          </ul>
        ) : null}
      </div>
    </Dialog>
  );
}

function firstLines(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(0, 3).join('\n');
}
