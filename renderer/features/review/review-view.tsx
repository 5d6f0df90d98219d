// Proposed changes over the text they are for: what would change, and the buttons and keys that decide it.
import { ArrowDown, ArrowUp, Check, CheckCheck, LogOut, Undo2, X } from 'lucide-react';
import { useEffect, useMemo, useRef } from 'react';
import { useStore } from 'zustand';
import { ReviewDiff } from '../../editor/editor-views.tsx';
import { lineOfChange, reviewedText } from '../../lib/review.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import type { ReviewStore } from './review-store.ts';
import styles from './review-view.module.css';

interface ReviewViewProps {
  reviews: ReviewStore;
  bufferId: string;
  title: string;
  languageId: string;
  fontSize: number;
  /** The review is over, and the keys are meant for the text again. */
  onClosed: () => void;
}

export function ReviewView({ reviews, bufferId, title, languageId, fontSize, onClosed }: ReviewViewProps) {
  const active = useStore(reviews.store, (state) => state.reviews[bufferId]);
  const host = useRef<HTMLElement>(null);
  const closed = useRef(onClosed);
  closed.current = onClosed;
  useEffect(() => {
    host.current?.focus();
    return () => closed.current();
  }, []);
  const review = active?.review;
  const [original, modified] = useMemo(
    () => (review ? [reviewedText(review, 'rejected'), reviewedText(review, 'accepted')] : ['', '']),
    [review],
  );
  if (!active || !review) return null;
  const { current } = active;
  const nOpen = review.decisions.filter((decision) => decision === 'pending').length;
  const nAccepted = review.decisions.filter((decision) => decision === 'accepted').length;
  const accept = (which: 'current' | 'all') => void reviews.decide(bufferId, which, 'accepted');
  const reject = (which: 'current' | 'all') => void reviews.decide(bufferId, which, 'rejected');
  const change = review.changes[current];
  const size = change ? [change.newEnd - change.newStart, change.oldEnd - change.oldStart] : [0, 0];

  const onKeyDown = (event: React.KeyboardEvent) => {
    const which = event.shiftKey ? 'all' : 'current';
    const hasControl = event.ctrlKey || event.metaKey;
    if (hasControl && event.key === 'Enter') accept(which);
    else if (hasControl && event.key === 'Backspace') reject(which);
    else if (hasControl && event.key === 'z') reviews.undo(bufferId);
    else if (event.key === 'F8') reviews.go(bufferId, event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape') reviews.cancel(bufferId);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <section
      ref={host}
      aria-label={`Review of the changes to ${title}`}
      tabIndex={-1}
      className={styles.review}
      onKeyDownCapture={onKeyDown}
    >
      <div role="toolbar" aria-label="Changes" className={styles.bar}>
        <span role="status" className={styles.count}>
          Change {current + 1} of {review.changes.length}
          <span className={styles.added}>+{size[0]}</span>
          <span className={styles.removed}>−{size[1]}</span>
          {nOpen === review.changes.length ? null : <span className={styles.open}>{nOpen} open</span>}
        </span>
        <IconButton label="Previous change" shortcut={['Shift', 'F8']} onClick={() => reviews.go(bufferId, -1)}>
          <ArrowUp size={14} aria-hidden />
        </IconButton>
        <IconButton label="Next change" shortcut={['F8']} onClick={() => reviews.go(bufferId, 1)}>
          <ArrowDown size={14} aria-hidden />
        </IconButton>
        <Button kind="primary" title="Ctrl+Enter" onClick={() => accept('current')}>
          <Check size={14} aria-hidden /> Accept
        </Button>
        <Button title="Ctrl+Backspace" onClick={() => reject('current')}>
          <X size={14} aria-hidden /> Reject
        </Button>
        <IconButton
          label="Undo the last decision"
          shortcut={['Ctrl', 'Z']}
          disabled={review.history.length === 0}
          onClick={() => reviews.undo(bufferId)}
        >
          <Undo2 size={14} aria-hidden />
        </IconButton>
        <span className={styles.space} />
        <Button title="Ctrl+Shift+Enter" onClick={() => accept('all')}>
          <CheckCheck size={14} aria-hidden /> Accept All
        </Button>
        <Button title="Ctrl+Shift+Backspace" onClick={() => reject('all')}>
          Reject All
        </Button>
        {nAccepted > 0 ? (
          <Button title="Applies what was accepted and drops the rest" onClick={() => void reviews.apply(bufferId)}>
            Apply {nAccepted}
          </Button>
        ) : null}
        <IconButton label="Leave the review" shortcut={['Escape']} onClick={() => reviews.cancel(bufferId)}>
          <LogOut size={14} aria-hidden />
        </IconButton>
      </div>
      <div className={styles.diff}>
        <ReviewDiff
          original={original}
          modified={modified}
          languageId={languageId}
          fontSize={fontSize}
          line={lineOfChange(review, current)}
          nLines={size[0] ?? 0}
          originalLabel={`${title} as it is`}
          modifiedLabel={`${title} with the proposed changes`}
        />
      </div>
    </section>
  );
}
