// One message: a question that can be edited and sent again, or a reply with its state and figures.
import { ChevronLeft, ChevronRight, Pencil } from 'lucide-react';
import { memo, useMemo, useState } from 'react';
import type { StoredMessage } from '../../../electron/common/app-contract.ts';
import { formatCount, formatDuration, formatRate } from '../../lib/format.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Notice } from '../../ui/notice.tsx';
import { tooLong } from './attachments.ts';
import { AttachmentIcon } from './composer.tsx';
import { Markdown, type MarkdownActions } from './markdown.tsx';
import styles from './message-view.module.css';
import { shownQuestion } from './messages.ts';
import { splitReasoning } from './reasoning.ts';

/** What else stands in the place of a message. */
export interface Branches {
  ids: readonly string[];
  onShow: (id: string) => void;
}

interface QuestionProps {
  message: StoredMessage;
  branches: Branches | null;
  canEdit: boolean;
  onResend: (id: string, text: string) => void;
}

export const Question = memo(function Question({ message, branches, canEdit, onResend }: QuestionProps) {
  const [draft, setDraft] = useState<string | null>(null);
  if (draft !== null) {
    const problem = tooLong(draft, message.attachments);
    const send = () => {
      if (problem !== null) return;
      setDraft(null);
      onResend(message.id, draft);
    };
    return (
      <article aria-label="Your question" className={styles.question}>
        <textarea
          aria-label="Edit the question"
          className={styles.edit}
          value={draft}
          // biome-ignore lint/a11y/noAutofocus: the user just pressed "edit"
          autoFocus
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
              event.preventDefault();
              send();
            } else if (event.key === 'Escape') {
              event.stopPropagation();
              setDraft(null);
            }
          }}
        />
        <div className={styles.editActions}>
          <span role="status" className={styles.editHint}>
            {problem ?? 'The earlier question and its answers stay as a branch.'}
          </span>
          <Button kind="quiet" onClick={() => setDraft(null)}>
            Cancel
          </Button>
          <Button kind="primary" disabled={draft.trim() === '' || problem !== null} onClick={send}>
            Send
          </Button>
        </div>
      </article>
    );
  }
  return (
    <article aria-label="Your question" className={styles.question}>
      {message.attachments ? (
        <ul aria-label="Attachments" className={styles.attachments}>
          {message.attachments.map(({ kind, label }) => (
            <li key={`${kind} ${label}`} title={label}>
              <AttachmentIcon kind={kind} /> {label}
            </li>
          ))}
        </ul>
      ) : null}
      <p className={styles.questionText}>{shownQuestion(message.content)}</p>
      <BranchSwitch id={message.id} branches={branches} what="question" />
      {canEdit ? (
        <IconButton label="Edit and send again" className={styles.pencil} onClick={() => setDraft(message.content)}>
          <Pencil size={13} aria-hidden />
        </IconButton>
      ) : null}
    </article>
  );
});

function BranchSwitch({ id, branches, what }: { id: string; branches: Branches | null; what: string }) {
  if (!branches) return null;
  const index = branches.ids.indexOf(id);
  const [before, after] = [branches.ids[index - 1], branches.ids[index + 1]];
  return (
    <span className={styles.branches}>
      <IconButton
        label={`Earlier ${what}`}
        disabled={before === undefined}
        onClick={() => before !== undefined && branches.onShow(before)}
      >
        <ChevronLeft size={13} aria-hidden />
      </IconButton>
      {index + 1} / {branches.ids.length}
      <IconButton
        label={`Later ${what}`}
        disabled={after === undefined}
        onClick={() => after !== undefined && branches.onShow(after)}
      >
        <ChevronRight size={13} aria-hidden />
      </IconButton>
    </span>
  );
}

interface AnswerProps {
  message: StoredMessage;
  branches: Branches | null;
  isRunning: boolean;
  actions: MarkdownActions;
  /** Given for the last reply when nothing runs. */
  onRegenerate: (() => void) | null;
}

export const Answer = memo(function Answer({ message, branches, isRunning, actions, onRegenerate }: AnswerProps) {
  const { content, status, error, stats, reason } = message;
  const { reasoning, answer, isThinking } = useMemo(() => splitReasoning(content), [content]);
  const retry = onRegenerate ? <Button onClick={onRegenerate}>Try Again</Button> : null;
  return (
    <article aria-label="Reply" aria-busy={isRunning} className={styles.answer}>
      {reasoning === '' && !isThinking ? null : (
        <Reasoning text={reasoning} isGoingOn={isRunning && isThinking} actions={actions} />
      )}
      {answer === '' ? null : <Markdown text={answer} actions={actions} />}
      {isRunning ? null : (
        <>
          {status === 'failed' && error ? (
            <Notice kind="error" message={error.message} hint={error.hint} detail={error.detail} actions={retry} />
          ) : null}
          {status === 'streaming' ? (
            <Notice kind="warning" message="The app ended during this reply." actions={retry} />
          ) : null}
          {reason === 'length' ? (
            <p className={styles.note}>Cut at the longest reply that the settings allow.</p>
          ) : null}
          {reason === 'context_full' ? (
            <Notice
              kind="warning"
              message="The context is full."
              hint="Start a new conversation, or raise the context in the settings."
            />
          ) : null}
          <footer className={styles.footer}>
            <BranchSwitch id={message.id} branches={branches} what="answer" />
            {status === 'stopped' ? <span>Stopped</span> : null}
            {stats ? (
              <span title={figures(stats)}>
                {formatRate(stats.nDecoded / Math.max(stats.decodeMs / 1000, 0.001))} · {formatCount(stats.nDecoded)}{' '}
                tokens
              </span>
            ) : null}
            {message.modelName ? <span className={styles.model}>{message.modelName}</span> : null}
            {onRegenerate && status !== 'failed' && status !== 'streaming' ? (
              <Button kind="quiet" className={styles.regenerate} onClick={onRegenerate}>
                Regenerate
              </Button>
            ) : null}
          </footer>
        </>
      )}
    </article>
  );
});

interface ReasoningProps {
  text: string;
  isGoingOn: boolean;
  actions: MarkdownActions;
}

/** What was thought before the answer, folded until somebody wants to know. */
function Reasoning({ text, isGoingOn, actions }: ReasoningProps) {
  const [isOpen, setIsOpen] = useState(false);
  const nWords = text === '' ? 0 : text.split(/\s+/).length;
  return (
    <details className={styles.reasoning} onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>
        {isGoingOn ? 'Thinking…' : 'Thought'} · {formatCount(nWords)} {nWords === 1 ? 'word' : 'words'}
      </summary>
      {isOpen ? <Markdown text={text} actions={actions} /> : null}
    </details>
  );
}

function figures(stats: NonNullable<StoredMessage['stats']>): string {
  return [
    `Prompt ${formatCount(stats.nPrompt)} tokens, ${formatCount(stats.nReused)} reused, read in ${formatDuration(stats.prefillMs)}`,
    `First token after ${formatDuration(stats.ttftMs)}`,
    `${formatCount(stats.nDecoded)} tokens written in ${formatDuration(stats.decodeMs)}`,
    ...guesses(stats),
    `Context ${formatCount(stats.nPrompt + stats.nDecoded)} of ${formatCount(stats.nCtx)}`,
  ].join('\n');
}

/** How much was guessed ahead, and what that was worth. */
function guesses({ drafts, nPasses, nDecoded, decodeMs, plainTokenMs }: NonNullable<StoredMessage['stats']>): string[] {
  const counts = Object.values(drafts ?? {});
  const nDrafted = counts.reduce((sum, count) => sum + count.nDrafted, 0);
  if (nDrafted === 0) return [];
  const nAccepted = counts.reduce((sum, count) => sum + count.nAccepted, 0);
  const passes = nPasses ? `, ${formatCount(nDecoded)} tokens in ${formatCount(nPasses)} passes` : '';
  const ratio =
    plainTokenMs && decodeMs > 0 ? `, ${((nDecoded * plainTokenMs) / decodeMs).toFixed(2)} times as fast` : '';
  return [`${formatCount(nAccepted)} of ${formatCount(nDrafted)} guesses were right${passes}${ratio}`];
}
