// Where the question is typed. Enter sends, Shift+Enter breaks the line, Escape stops the running reply.
import { ArrowUp, Square } from 'lucide-react';
import { type Ref, useState } from 'react';
import { formatCompact, formatCount } from '../../lib/format.ts';
import { ProgressBar } from '../../ui/progress.tsx';
import { Tooltip } from '../../ui/tooltip.tsx';
import styles from './composer.module.css';

interface ComposerProps {
  inputRef: Ref<HTMLTextAreaElement>;
  /** Why sending is not possible now; null if it is. */
  blockedReason: string | null;
  isReplying: boolean;
  context: { nTokens: number; nCtx: number } | null;
  onSend: (text: string) => void;
  onStop: () => void;
}

/** From here on the meter warns: the next long question may push out the oldest messages. */
const kHighShare = 0.85;

export function Composer({ inputRef, blockedReason, isReplying, context, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('');
  const canSend = text.trim() !== '' && blockedReason === null && !isReplying;
  const send = () => {
    if (!canSend) return;
    onSend(text);
    setText('');
  };
  const share = context ? context.nTokens / context.nCtx : 0;
  return (
    <div className={styles.composer}>
      <div className={styles.box}>
        <textarea
          ref={inputRef}
          aria-label="Message"
          className={styles.input}
          placeholder="Ask about code, or anything"
          rows={1}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
              event.preventDefault();
              send();
            }
          }}
        />
        {isReplying ? (
          <button
            type="button"
            aria-label="Stop the reply"
            title="Stop (Escape)"
            className={styles.send}
            onClick={onStop}
          >
            <Square size={12} fill="currentColor" aria-hidden />
          </button>
        ) : (
          <button
            type="button"
            aria-label="Send"
            title="Send (Enter)"
            className={styles.send}
            disabled={!canSend}
            onClick={send}
          >
            <ArrowUp size={16} aria-hidden />
          </button>
        )}
      </div>
      <div className={styles.below}>
        <span role="status" className={styles.hint}>
          {blockedReason ?? ''}
        </span>
        {context ? (
          <Tooltip
            side="top"
            label={`The conversation uses ${formatCount(context.nTokens)} of ${formatCount(context.nCtx)} tokens of context.`}
          >
            <span className={styles.meter}>
              <span className={styles.bar}>
                <ProgressBar role="meter" label="Context used" value={share} isHigh={share > kHighShare} />
              </span>
              {formatCompact(context.nTokens)} / {formatCompact(context.nCtx)}
            </span>
          </Tooltip>
        ) : null}
      </div>
    </div>
  );
}
