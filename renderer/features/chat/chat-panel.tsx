// The right panel: the shown conversation or the list of all, and the composer.
import { ArrowLeft, Download, History, SquarePen } from 'lucide-react';
import { type ReactNode, type Ref, useMemo, useState } from 'react';
import { useStore } from 'zustand';
import type { Conversation, StoredMessage } from '../../../electron/common/app-contract.ts';
import buttonStyles from '../../ui/button.module.css';
import { Button, IconButton } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Menu, type MenuAction } from '../../ui/menu.tsx';
import { Notice } from '../../ui/notice.tsx';
import { pathTo } from './branches.ts';
import styles from './chat-panel.module.css';
import type { ChatStore } from './chat-store.ts';
import { Composer, type NoteAction } from './composer.tsx';
import { ConversationList } from './conversation-list.tsx';
import type { DraftStore } from './draft-store.ts';
import { MessageList } from './message-list.tsx';
import { ReplyAnnouncer } from './reply-announcer.tsx';

interface ChatPanelProps {
  chat: ChatStore;
  draft: DraftStore;
  attachActions: readonly MenuAction[];
  onExport: (format: 'markdown' | 'json') => void;
  inputRef: Ref<HTMLTextAreaElement>;
  isListShown: boolean;
  onShowList: (isShown: boolean) => void;
  /** Why the engine cannot answer now; null if it can. */
  blockedReason: string | null;
  /** What a question would wait for; null if for nothing. */
  note: string | null;
  /** What can be done about that. */
  noteAction: NoteAction | null;
  onStopLoading: () => void;
  newShortcut: readonly string[];
  onInsert: ((text: string) => void) | null;
  onApply: ((code: string, label: string) => void) | null;
  onCopy: (text: string) => void;
  onOpenLink: (url: string) => void;
  onRemove: (conversation: Conversation) => void;
  /** The state of the model, shown while there is no message. */
  empty: ReactNode;
}

const kNone: readonly StoredMessage[] = [];

export function ChatPanel(props: ChatPanelProps) {
  const {
    chat,
    inputRef,
    isListShown,
    onShowList,
    blockedReason,
    note,
    newShortcut,
    onInsert,
    onApply,
    onCopy,
    onRemove,
    empty,
  } = props;
  const { conversationId, conversations, messages, reply, queue, context, error, loading } = useStore(chat.store);
  const [link, setLink] = useState<string | null>(null);
  const actions = useMemo(
    () => ({ openLink: setLink, copy: onCopy, insert: onInsert, apply: onApply }),
    [onCopy, onInsert, onApply],
  );
  const conversation = conversations.find(({ id }) => id === conversationId);
  const title = conversation?.title ?? 'New conversation';
  const all = (conversationId === null ? undefined : messages[conversationId]) ?? kNone;
  const shown = useMemo(() => pathTo(all, conversation?.leafId ?? null), [all, conversation?.leafId]);
  const elsewhere =
    reply && reply.conversationId !== conversationId
      ? conversations.find(({ id }) => id === reply.conversationId)
      : undefined;

  return (
    <div className={styles.panel}>
      <header className={styles.head}>
        {isListShown ? (
          <IconButton label="Back to the conversation" onClick={() => onShowList(false)}>
            <ArrowLeft size={15} aria-hidden />
          </IconButton>
        ) : null}
        <h2 className={styles.title} title={title}>
          {isListShown ? 'Conversations' : title}
        </h2>
        {isListShown ? null : (
          <IconButton label="Conversations" onClick={() => onShowList(true)}>
            <History size={15} aria-hidden />
          </IconButton>
        )}
        {isListShown || shown.length === 0 ? null : (
          <Menu
            actions={[
              { label: 'Export as Markdown…', run: () => props.onExport('markdown') },
              { label: 'Export as JSON…', run: () => props.onExport('json') },
            ]}
          >
            <button type="button" aria-label="Export" title="Export" className={buttonStyles.icon}>
              <Download size={15} aria-hidden />
            </button>
          </Menu>
        )}
        <IconButton
          label="New conversation"
          shortcut={newShortcut}
          onClick={() => {
            onShowList(false);
            void chat.select(null);
          }}
        >
          <SquarePen size={15} aria-hidden />
        </IconButton>
      </header>
      {error ? (
        <div role="alert" className={styles.notice}>
          <Notice
            kind="error"
            message={error.message}
            hint={error.hint}
            detail={error.detail}
            actions={<Button onClick={() => chat.dismissError()}>Dismiss</Button>}
          />
        </div>
      ) : null}
      {isListShown ? (
        <ConversationList
          chat={chat}
          onRemove={onRemove}
          onPick={(id) => {
            onShowList(false);
            void chat.select(id);
          }}
        />
      ) : (
        <>
          <MessageList
            chat={chat}
            messages={shown}
            all={all}
            actions={actions}
            empty={loading === 'messages' ? null : empty}
            onStopLoading={props.onStopLoading}
          />
          <Composer
            inputRef={inputRef}
            blockedReason={elsewhere ? `“${elsewhere.title}” is being answered.` : blockedReason}
            note={note}
            // Where the messages would be, the same is offered in large.
            noteAction={shown.length === 0 || reply?.phase === 'loading' ? null : props.noteAction}
            isReplying={reply !== null}
            context={context}
            draft={props.draft}
            queue={queue}
            attachActions={props.attachActions}
            onSend={(text, attachments) => chat.send(text, attachments)}
            onUnqueue={(id) => chat.unqueue(id)}
            onStop={() => chat.stop()}
          />
        </>
      )}
      <ReplyAnnouncer chat={chat} />
      {link === null ? null : (
        <Dialog
          role="alertdialog"
          title="Open this address in your browser?"
          description="The address comes from the model’s reply. Opening it leaves Outpost and uses the network."
          onClose={() => setLink(null)}
          actions={
            <>
              <Button onClick={() => setLink(null)}>Cancel</Button>
              <Button
                kind="primary"
                onClick={() => {
                  setLink(null);
                  props.onOpenLink(link);
                }}
              >
                Open
              </Button>
            </>
          }
        >
          <p className={styles.address}>{link}</p>
        </Dialog>
      )}
    </div>
  );
}
