// The chat, connected to the editor, the commands and the model.
import { useCallback } from 'react';
import { useStore } from 'zustand';
import { ChatPanel } from '../features/chat/chat-panel.tsx';
import { blockedReason, loadAction, waitNote } from '../features/models/model-store.ts';
import { ModelWelcome } from '../features/models/model-welcome.tsx';
import type { AppModel } from './app-model.ts';
import { exportChat } from './chat-actions.ts';
import type { Commands } from './commands.ts';
import { applyCode } from './text-actions.ts';

export function Chat({ model, commands }: { model: AppModel; commands: Commands }) {
  const isListShown = useStore(model.ui, (state) => state.isConversationListShown);
  const blocked = useStore(model.models.store, blockedReason);
  const note = useStore(model.models.store, waitNote);
  const action = useStore(model.models.store, loadAction);
  // The button goes with what it ended or began: the keyboard goes to where the question is typed.
  const andType = (run: () => Promise<void>) => () => {
    model.chatInput?.focus();
    void run();
  };
  const onStopLoading = andType(() => model.stopLoading());
  const onLoad = andType(() => model.models.reload());
  const noteAction = {
    stop: { label: 'Stop Loading', run: onStopLoading },
    load: { label: 'Load It Now', run: onLoad },
  };
  const hasEditor = useStore(
    model.buffers.store,
    ({ activeId, buffers }) => activeId !== null && buffers[activeId]?.status === 'ready',
  );
  const insert = useCallback((text: string) => model.editor?.insert(text), [model]);
  const apply = useCallback((code: string, label: string) => void applyCode(model, code, label), [model]);
  const copy = useCallback((text: string) => model.copy(text), [model]);
  const attachActions = (
    [
      'chat.attachFile',
      'chat.attachSelection',
      'chat.attachSymbol',
      'chat.attachChanges',
      'chat.attachTerminal',
      'chat.attach',
    ] as const
  ).map((id) => {
    const { title, isEnabled, run } = commands.get(id);
    return { label: title, isDisabled: !isEnabled(), run };
  });
  const inputRef = useCallback(
    (input: HTMLTextAreaElement | null) => {
      model.chatInput = input;
    },
    [model],
  );
  return (
    <ChatPanel
      chat={model.chat}
      draft={model.draft}
      attachActions={attachActions}
      onExport={(format) => void exportChat(model, format)}
      inputRef={inputRef}
      isListShown={isListShown}
      onShowList={(isConversationListShown) => model.ui.setState({ isConversationListShown })}
      blockedReason={blocked}
      note={note}
      noteAction={action && noteAction[action]}
      onStopLoading={onStopLoading}
      newShortcut={commands.get('chat.new').keys ?? []}
      onInsert={hasEditor ? insert : null}
      onApply={apply}
      onCopy={copy}
      onOpenLink={(url) => model.openLink(url)}
      onRemove={({ id, title }) => model.removeConversation(id, title)}
      empty={<ModelWelcome models={model.models} onStopLoading={onStopLoading} onLoad={onLoad} />}
    />
  );
}
