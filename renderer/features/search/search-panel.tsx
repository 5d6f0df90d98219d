// The search view: what to look for and where, and what was found. With a replacement the list is its preview.
import { CaseSensitive, ChevronRight, Regex, Replace, ReplaceAll, Search, Square, WholeWord } from 'lucide-react';
import { type ReactNode, type Ref, useState } from 'react';
import { useStore } from 'zustand';
import type { FileMatches, SearchMatch } from '../../../electron/common/search-contract.ts';
import { formatCount } from '../../lib/format.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Notice } from '../../ui/notice.tsx';
import { Spinner } from '../../ui/progress.tsx';
import styles from './search-panel.module.css';
import { SearchResults } from './search-results.tsx';
import { countMatches, type SearchForm, type SearchStore } from './search-store.ts';

interface SearchPanelProps {
  search: SearchStore;
  hasFolder: boolean;
  inputRef: Ref<HTMLInputElement>;
  onOpen: (path: string, match: SearchMatch) => void;
  onReplace: (files: readonly FileMatches[]) => void;
  onOpenFolder: () => void;
}

export function SearchPanel({ search, hasFolder, inputRef, onOpen, onReplace, onOpenFolder }: SearchPanelProps) {
  const { form, files, status, isTruncated, error } = useStore(search.store);
  const [isAsking, setIsAsking] = useState(false);
  if (!hasFolder) {
    return (
      <EmptyState
        icon={<Search size={28} strokeWidth={1.5} aria-hidden />}
        title="No folder open"
        text="Open the folder of a project to search in its files."
      >
        <Button onClick={onOpenFolder}>Open Folder</Button>
      </EmptyState>
    );
  }
  const nMatches = countMatches(files);
  const isReplacing = form.isReplaceShown && status === 'done' && nMatches > 0;
  return (
    <div className={styles.panel}>
      <div className={styles.head}>
        <h2 className={styles.title}>Search</h2>
        {status === 'running' ? (
          <IconButton label="Stop the search" onClick={() => search.stop()}>
            <Square size={12} fill="currentColor" aria-hidden />
          </IconButton>
        ) : null}
      </div>
      <div className={styles.form}>
        <Queries search={search} form={form} inputRef={inputRef} />
        {form.isReplaceShown ? (
          <Line
            label="Replace with"
            value={form.replacement}
            onChange={(replacement) => search.change({ replacement })}
          >
            <IconButton label="Replace all" disabled={!isReplacing} onClick={() => setIsAsking(true)}>
              <ReplaceAll size={15} aria-hidden />
            </IconButton>
          </Line>
        ) : null}
        <Places search={search} form={form} />
      </div>
      <p role="status" className={styles.summary}>
        {status === 'running' ? <Spinner /> : null}
        {summary(status, nMatches, files.length, isTruncated)}
      </p>
      {error ? (
        <div className={styles.notice}>
          <Notice kind="error" message={error.message} hint={error.hint} detail={error.detail} />
        </div>
      ) : null}
      <SearchResults search={search} onOpen={onOpen} onReplace={isReplacing ? onReplace : null} />
      {isAsking ? (
        <Dialog
          role="alertdialog"
          title={`Replace ${formatCount(nMatches)} matches in ${formatCount(files.length)} files?`}
          description={
            isTruncated
              ? 'There are more matches than the list shows; only those in the list are replaced. You can undo it.'
              : 'You can undo it from the message that follows.'
          }
          onClose={() => setIsAsking(false)}
          actions={
            <>
              <Button onClick={() => setIsAsking(false)}>Cancel</Button>
              <Button
                kind="primary"
                autoFocus
                onClick={() => {
                  setIsAsking(false);
                  onReplace(files);
                }}
              >
                Replace All
              </Button>
            </>
          }
        />
      ) : null}
    </div>
  );
}

function summary(status: string, nMatches: number, nFiles: number, isTruncated: boolean): string {
  if (status === 'idle' || status === 'failed') return '';
  if (nMatches === 0) return status === 'running' ? 'Searching…' : 'Nothing was found.';
  const count = `${formatCount(nMatches)} ${nMatches === 1 ? 'match' : 'matches'} in ${formatCount(nFiles)} ${nFiles === 1 ? 'file' : 'files'}`;
  return isTruncated ? `${count}; there may be more` : count;
}

interface PartProps {
  search: SearchStore;
  form: SearchForm;
}

function Queries({ search, form, inputRef }: PartProps & { inputRef: Ref<HTMLInputElement> }) {
  const toggle = (label: string, field: 'isCaseSensitive' | 'isWholeWord' | 'isRegex', icon: ReactNode) => (
    <IconButton label={label} aria-pressed={form[field]} onClick={() => search.change({ [field]: !form[field] })}>
      {icon}
    </IconButton>
  );
  return (
    <div className={styles.query}>
      <IconButton
        label="Replace"
        aria-expanded={form.isReplaceShown}
        onClick={() => search.change({ isReplaceShown: !form.isReplaceShown })}
      >
        {form.isReplaceShown ? <Replace size={14} aria-hidden /> : <ChevronRight size={14} aria-hidden />}
      </IconButton>
      <Line
        label="Search in files"
        value={form.pattern}
        inputRef={inputRef}
        onChange={(pattern) => search.change({ pattern })}
        onEnter={() => void search.run()}
      >
        {toggle('Match case', 'isCaseSensitive', <CaseSensitive size={15} aria-hidden />)}
        {toggle('Whole words', 'isWholeWord', <WholeWord size={15} aria-hidden />)}
        {toggle('Regular expression', 'isRegex', <Regex size={14} aria-hidden />)}
      </Line>
    </div>
  );
}

function Places({ search, form }: PartProps) {
  const isUsed = form.include !== '' || form.exclude !== '' || form.withIgnored;
  return (
    <details className={styles.places} open={isUsed || undefined}>
      <summary>Where</summary>
      <Line
        label="Only in"
        placeholder="src, *.ts"
        value={form.include}
        onChange={(include) => search.change({ include })}
      />
      <Line
        label="Not in"
        placeholder="docs, *.min.js"
        value={form.exclude}
        onChange={(exclude) => search.change({ exclude })}
      />
      <label className={styles.check}>
        <input
          type="checkbox"
          checked={form.withIgnored}
          onChange={(event) => search.change({ withIgnored: event.target.checked })}
        />
        Also in ignored files
      </label>
    </details>
  );
}

interface LineProps {
  label: string;
  placeholder?: string;
  value: string;
  inputRef?: Ref<HTMLInputElement>;
  onChange: (value: string) => void;
  onEnter?: () => void;
  children?: ReactNode;
}

/** One line of text with the buttons that belong to it. */
function Line({ label, placeholder, value, inputRef, onChange, onEnter, children }: LineProps) {
  return (
    <div className={styles.line}>
      <input
        ref={inputRef}
        aria-label={label}
        placeholder={placeholder ?? label}
        spellCheck={false}
        maxLength={2000}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => event.key === 'Enter' && onEnter?.()}
      />
      {children}
    </div>
  );
}
