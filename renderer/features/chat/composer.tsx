// Where the question is typed. Enter sends, Shift+Enter breaks the line, Escape stops the running reply. A question
// that is sent during a reply waits for its end.
import {
  ArrowUp,
  Braces,
  FileText,
  Folder,
  GitCompare,
  Paperclip,
  Square,
  SquareTerminal,
  TextSelect,
  X,
} from 'lucide-react';
import { type Ref, useState } from 'react';
import { useStore } from 'zustand';
import type { Attachment } from '../../../electron/common/app-contract.ts';
import { formatCompact, formatCount } from '../../lib/format.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Menu, type MenuAction } from '../../ui/menu.tsx';
import { ProgressBar } from '../../ui/progress.tsx';
import { Tooltip } from '../../ui/tooltip.tsx';
import { tooLong } from './attachments.ts';
import type { QueuedQuestion } from './chat-state.ts';
import styles from './composer.module.css';
import type { DraftStore } from './draft-store.ts';

export interface NoteAction {
  label: string;
  run: () => void;
}

interface ComposerProps {
  inputRef: Ref<HTMLTextAreaElement>;
  draft: DraftStore;
  /** Why sending is not possible now; null if it is. */
  blockedReason: string | null;
  /** What a question would wait for; null if for nothing. */
  note: string | null;
  /** What can be done about that. */
  noteAction: NoteAction | null;
  isReplying: boolean;
  queue: readonly QueuedQuestion[];
  /** What can be attached now. */
  attachActions: readonly MenuAction[];
  context: { nTokens: number; nCtx: number } | null;
  /** @return false if the question could not be taken: it comes back to where it was typed */
  onSend: (text: string, attachments: readonly Attachment[]) => Promise<boolean>;
  onUnqueue: (id: string) => void;
  onStop: () => void;
}

/** From here on the meter warns: the next long question may push out the oldest messages. */
const kHighShare = 0.85;

export function Composer(props: ComposerProps) {
  const { inputRef, draft, note, noteAction, isReplying, queue, attachActions, onSend, onUnqueue, onStop } = props;
  const { attachments, context: withDraft } = useStore(draft.store);
  const [text, setText] = useState('');
  const blockedReason = tooLong(text, attachments) ?? props.blockedReason;
  const canSend = text.trim() !== '' && blockedReason === null;
  const send = () => {
    if (!canSend) return;
    const taken = draft.take();
    setText('');
    void onSend(text, taken).then((isSent) => {
      if (isSent) return;
      setText((since) => (since === '' ? text : `${text}\n${since}`));
      for (const attachment of taken) draft.attach(attachment);
    });
  };
  return (
    <div className={styles.composer}>
      {queue.length > 0 ? (
        <ul aria-label="Questions that wait" className={styles.chips}>
          {queue.map(({ id, text: question }) => (
            <Chip key={id} label={question} removeLabel={`Do not ask: ${question}`} onRemove={() => onUnqueue(id)} />
          ))}
        </ul>
      ) : null}
      <div className={styles.box}>
        {attachments.length > 0 ? (
          <ul aria-label="Attachments" className={styles.chips}>
            {attachments.map((attachment) => (
              <Chip
                key={`${attachment.kind} ${attachment.label}`}
                icon={<AttachmentIcon kind={attachment.kind} />}
                label={attachment.label}
                removeLabel={`Remove ${attachment.label}`}
                onRemove={() => draft.detach(attachment)}
              />
            ))}
          </ul>
        ) : null}
        <div className={styles.line}>
          <Menu actions={attachActions}>
            <button type="button" aria-label="Attach" title="Attach" className={styles.attach}>
              <Paperclip size={15} aria-hidden />
            </button>
          </Menu>
          <textarea
            ref={inputRef}
            aria-label="Message"
            className={styles.input}
            placeholder="Ask about code, or anything"
            rows={1}
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              draft.typed(event.target.value);
            }}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
                event.preventDefault();
                send();
              }
            }}
          />
          {isReplying && !canSend ? (
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
              aria-label={isReplying ? 'Ask after this reply' : 'Send'}
              title={isReplying ? 'Ask after this reply (Enter)' : 'Send (Enter)'}
              className={styles.send}
              disabled={!canSend}
              onClick={send}
            >
              <ArrowUp size={16} aria-hidden />
            </button>
          )}
        </div>
      </div>
      <div className={styles.below}>
        <span role="status" className={styles.hint}>
          {blockedReason ?? note ?? ''}
        </span>
        {blockedReason === null && noteAction ? (
          <Button kind="quiet" className={styles.noteAction} onClick={noteAction.run}>
            {noteAction.label}
          </Button>
        ) : null}
        <Meter context={withDraft ?? props.context} />
      </div>
    </div>
  );
}

function Meter({ context }: { context: ComposerProps['context'] }) {
  if (!context) return null;
  const share = context.nTokens / context.nCtx;
  const says = `The conversation uses ${formatCount(context.nTokens)} of ${formatCount(context.nCtx)} tokens of context.`;
  return (
    <Tooltip side="top" label={share > 1 ? `${says} Its oldest messages will be left out.` : says}>
      <span className={styles.meter}>
        <span className={styles.bar}>
          <ProgressBar role="meter" label="Context used" value={Math.min(1, share)} isHigh={share > kHighShare} />
        </span>
        {formatCompact(context.nTokens)} / {formatCompact(context.nCtx)}
      </span>
    </Tooltip>
  );
}

export function AttachmentIcon({ kind }: Pick<Attachment, 'kind'>) {
  const Icon = {
    file: FileText,
    selection: TextSelect,
    folder: Folder,
    diff: GitCompare,
    symbol: Braces,
    terminal: SquareTerminal,
  }[kind];
  return <Icon size={13} aria-hidden />;
}

interface ChipProps {
  icon?: React.ReactNode;
  label: string;
  removeLabel: string;
  onRemove: () => void;
}

function Chip({ icon, label, removeLabel, onRemove }: ChipProps) {
  return (
    <li className={styles.chip} title={label}>
      {icon}
      <span className={styles.chipText}>{label}</span>
      <IconButton label={removeLabel} className={styles.remove} onClick={onRemove}>
        <X size={12} aria-hidden />
      </IconButton>
    </li>
  );
}
