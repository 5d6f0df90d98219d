// The messages of the shown conversation. Follows the end while a reply grows, unless the user scrolled up.
import { ArrowDown } from 'lucide-react';
import { type ReactNode, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useStore } from 'zustand';
import type { StoredMessage } from '../../../electron/common/app-contract.ts';
import { Button } from '../../ui/button.tsx';
import { alternatives } from './branches.ts';
import type { ChatStore } from './chat-store.ts';
import type { MarkdownActions } from './markdown.tsx';
import styles from './message-list.module.css';
import { Answer, type Branches, Question } from './message-view.tsx';
import { ReplyProgress } from './reply-progress.tsx';

interface MessageListProps {
  chat: ChatStore;
  messages: readonly StoredMessage[];
  /** Of the same conversation, all branches. */
  all: readonly StoredMessage[];
  actions: MarkdownActions;
  /** Shown while there is no message. */
  empty: ReactNode;
  onStopLoading: () => void;
}

/** Nearer to the end than this counts as being at the end: half a line of rounding. */
const kEndSlackPx = 24;

export function MessageList({ chat, messages, all, actions, empty, onStopLoading }: MessageListProps) {
  const { conversationId, reply } = useStore(chat.store);
  const host = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const [isAway, setIsAway] = useState(false);
  const shownReply = reply && reply.conversationId === conversationId ? reply : null;
  const isIdle = reply === null;

  const toEnd = useCallback(() => {
    follows.current = true;
    setIsAway(false);
    if (host.current) host.current.scrollTop = host.current.scrollHeight;
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another conversation or a new question starts at its end
  useEffect(toEnd, [toEnd, conversationId, shownReply?.messageId]);

  useLayoutEffect(() => {
    if (follows.current && host.current) host.current.scrollTop = host.current.scrollHeight;
  });

  // Highlighting and layout change heights after the commit; the end must stay in view then, too.
  useEffect(() => {
    const content = host.current?.firstElementChild;
    if (!content) return;
    const observer = new ResizeObserver(() => {
      if (follows.current && host.current) host.current.scrollTop = host.current.scrollHeight;
    });
    observer.observe(content);
    return () => observer.disconnect();
  }, []);

  const onScroll = () => {
    const element = host.current;
    if (!element) return;
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < kEndSlackPx;
    follows.current = isAtEnd;
    setIsAway(!isAtEnd);
  };
  const resend = useCallback((id: string, text: string) => void chat.editAndResend(id, text), [chat]);
  const branches = useBranches(chat, all);
  const regenerate = useCallback(() => void chat.regenerate(), [chat]);

  return (
    <div className={styles.area}>
      <div
        ref={host}
        role="log"
        aria-label="Messages"
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the list scrolls by keyboard
        tabIndex={0}
        className={styles.scroll}
        onScroll={onScroll}
      >
        <div className={styles.content}>
          {messages.length === 0 ? <div className={styles.empty}>{empty}</div> : null}
          {messages.map((message, i) =>
            message.role === 'user' ? (
              <Question
                key={message.id}
                message={message}
                branches={branches.get(message.id) ?? null}
                canEdit={isIdle}
                onResend={resend}
              />
            ) : (
              <Answer
                key={message.id}
                message={message}
                branches={branches.get(message.id) ?? null}
                isRunning={shownReply?.messageId === message.id}
                actions={actions}
                onRegenerate={isIdle && i === messages.length - 1 ? regenerate : null}
              />
            ),
          )}
          {shownReply ? <ReplyProgress reply={shownReply} onStopLoading={onStopLoading} /> : null}
        </div>
      </div>
      {isAway && messages.length > 0 ? (
        <Button className={styles.toEnd} onClick={toEnd}>
          <ArrowDown size={14} aria-hidden /> Latest
        </Button>
      ) : null}
    </div>
  );
}

/** The same objects as long as the branches are the same: a growing reply draws no other message anew. */
function useBranches(chat: ChatStore, all: readonly StoredMessage[]): ReadonlyMap<string, Branches> {
  // biome-ignore lint/correctness/useExhaustiveDependencies: messages are only ever added, so their number tells
  return useMemo(() => {
    const onShow = (id: string) => void chat.showBranch(id);
    return new Map([...alternatives(all)].map(([id, ids]) => [id, { ids, onShow }]));
  }, [chat, all.length, all[0]?.id]);
}
