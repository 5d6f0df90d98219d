// The right panel: the shown conversation or the list of all, and the composer.
import { ArrowLeft, History, SquarePen } from 'lucide-react';
import { type ReactNode, type Ref, useMemo, useState } from 'react';
import { useStore } from 'zustand';
import type { Conversation } from '../../../electron/common/app-contract.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Notice } from '../../ui/notice.tsx';
import styles from './chat-panel.module.css';
import type { ChatStore } from './chat-store.ts';
import { Composer } from './composer.tsx';
import { ConversationList } from './conversation-list.tsx';
import { MessageList } from './message-list.tsx';
import { ReplyAnnouncer } from './reply-announcer.tsx';

interface ChatPanelProps {
  chat: ChatStore;
  inputRef: Ref<HTMLTextAreaElement>;
  isListShown: boolean;
  onShowList: (isShown: boolean) => void;
  /** Why the engine cannot answer now; null if it can. */
  blockedReason: string | null;
  newShortcut: readonly string[];
  onInsert: ((text: string) => void) | null;
  onApply: ((code: string, label: string) => void) | null;
  onCopy: (text: string) => void;
  onOpenLink: (url: string) => void;
  onRemove: (conversation: Conversation) => void;
  /** The state of the model, shown while there is no message. */
  empty: ReactNode;
}

export function ChatPanel(props: ChatPanelProps) {
  const {
    chat,
    inputRef,
    isListShown,
    onShowList,
    blockedReason,
    newShortcut,
    onInsert,
    onApply,
    onCopy,
    onRemove,
    empty,
  } = props;
  const { conversationId, conversations, messages, reply, context, error, loading } = useStore(chat.store);
  const [link, setLink] = useState<string | null>(null);
  const actions = useMemo(
    () => ({ openLink: setLink, copy: onCopy, insert: onInsert, apply: onApply }),
    [onCopy, onInsert, onApply],
  );
  const title = conversations.find(({ id }) => id === conversationId)?.title ?? 'New conversation';
  const shown = conversationId === null ? [] : (messages[conversationId] ?? []);
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
          <MessageList chat={chat} messages={shown} actions={actions} empty={loading === 'messages' ? null : empty} />
          <Composer
            inputRef={inputRef}
            blockedReason={elsewhere ? `“${elsewhere.title}” is being answered.` : blockedReason}
            isReplying={reply !== null}
            context={context}
            onSend={(text) => void chat.send(text)}
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
