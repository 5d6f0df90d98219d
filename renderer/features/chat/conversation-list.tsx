// All conversations: pick, rename, delete (with undo), search by title.
import { Pencil, Search, Trash2 } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useStore } from 'zustand';
import type { Conversation } from '../../../electron/common/app-contract.ts';
import { formatAge } from '../../lib/format.ts';
import { fuzzyMatch } from '../../lib/fuzzy.ts';
import { IconButton } from '../../ui/button.tsx';
import type { ChatStore } from './chat-store.ts';
import styles from './conversation-list.module.css';

interface ConversationListProps {
  chat: ChatStore;
  onPick: (id: string) => void;
  onRemove: (conversation: Conversation) => void;
}

export function ConversationList({ chat, onPick, onRemove }: ConversationListProps) {
  const { conversations, conversationId, loading } = useStore(chat.store);
  const [query, setQuery] = useState('');
  const [renamingId, setRenamingId] = useState<string | null>(null);
  const nowMs = Date.now();
  const inText = useFoundInText(chat, query);
  const found = conversations.filter(({ id, title }) => fuzzyMatch(query, title) !== null || inText.has(id));
  return (
    <div className={styles.list}>
      <label className={styles.search}>
        <Search size={14} aria-hidden />
        <input
          aria-label="Search conversations"
          placeholder="Search"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
      </label>
      {found.length === 0 ? (
        <p className={styles.empty}>
          {loading === 'list' ? 'Reading…' : query === '' ? 'No conversation yet.' : 'Nothing matches.'}
        </p>
      ) : null}
      <ul className={styles.items} aria-label="Conversations">
        {found.map((conversation) => (
          <li key={conversation.id} className={styles.item} data-active={conversation.id === conversationId}>
            {renamingId === conversation.id ? (
              <RenameInput
                title={conversation.title}
                onDone={(title) => {
                  setRenamingId(null);
                  if (title !== null) void chat.rename(conversation.id, title);
                }}
              />
            ) : (
              <>
                <button
                  type="button"
                  className={styles.pick}
                  aria-current={conversation.id === conversationId}
                  title={conversation.title}
                  onClick={() => onPick(conversation.id)}
                >
                  <span className={styles.title}>{conversation.title}</span>
                  <span className={styles.age}>{formatAge(conversation.updatedAtMs, nowMs)}</span>
                </button>
                <IconButton
                  label={`Rename ${conversation.title}`}
                  className={styles.action}
                  onClick={() => setRenamingId(conversation.id)}
                >
                  <Pencil size={13} aria-hidden />
                </IconButton>
                <IconButton
                  label={`Delete ${conversation.title}`}
                  className={styles.action}
                  onClick={() => onRemove(conversation)}
                >
                  <Trash2 size={13} aria-hidden />
                </IconButton>
              </>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Conversations in which the words were said. */
function useFoundInText(chat: ChatStore, query: string): ReadonlySet<string> {
  const [found, setFound] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    let isStale = false;
    const timer = setTimeout(() => {
      void chat.search(query).then((ids) => !isStale && setFound(new Set(ids)));
    }, 150);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [chat, query]);
  return found;
}

function RenameInput({ title, onDone }: { title: string; onDone: (title: string | null) => void }) {
  const [text, setText] = useState(title);
  return (
    <input
      aria-label="Title of the conversation"
      className={styles.rename}
      value={text}
      maxLength={200}
      // biome-ignore lint/a11y/noAutofocus: the user just pressed "rename"
      autoFocus
      onFocus={(event) => event.target.select()}
      onChange={(event) => setText(event.target.value)}
      onBlur={() => onDone(text)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') onDone(text);
        if (event.key === 'Escape') {
          event.stopPropagation();
          onDone(null);
        }
      }}
    />
  );
}
