// Reads a running reply to screen readers by whole sentences, and says when it is over. Tokens one by one would
// make a reader stutter; the message list itself is therefore not live.
import { useEffect, useMemo, useRef, useState } from 'react';
import { useStore } from 'zustand';
import { sentenceEnd, speakable } from '../../lib/sentences.ts';
import type { ChatStore } from './chat-store.ts';
import { splitReasoning } from './reasoning.ts';

export function ReplyAnnouncer({ chat }: { chat: ChatStore }) {
  const reply = useStore(chat.store, (state) => state.reply);
  const content = useStore(chat.store, ({ reply: running, messages }) => {
    if (!running) return '';
    return messages[running.conversationId]?.find((message) => message.id === running.messageId)?.content ?? '';
  });
  const { answer: text, isThinking } = useMemo(() => splitReasoning(content), [content]);
  const spoken = useRef({ messageId: '', offset: 0, text: '' });
  const [announcement, setAnnouncement] = useState('');

  useEffect(() => {
    const state = spoken.current;
    if (!reply) {
      if (state.messageId === '') return;
      // The rest of the text arrived with the end of the reply; what it says is in the list.
      setAnnouncement(`${speakable(state.text.slice(state.offset))} End of reply.`.trim());
      spoken.current = { messageId: '', offset: 0, text: '' };
      return;
    }
    if (state.messageId !== reply.messageId) spoken.current = { messageId: reply.messageId, offset: 0, text: '' };
    if (isThinking) setAnnouncement('Thinking.');
    const current = spoken.current;
    current.text = text;
    const end = sentenceEnd(text, current.offset);
    if (end === current.offset) return;
    setAnnouncement(speakable(text.slice(current.offset, end)));
    current.offset = end;
  }, [reply, text, isThinking]);

  return (
    <p className="visually-hidden" aria-live="polite">
      {announcement}
    </p>
  );
}
