// The first steps on the window's own parts: a text to complete, a question to ask, a folder to open.
import { useStore } from 'zustand';
import { loadAction, notReadyReason } from '../features/models/model-store.ts';
import { FirstSteps } from '../features/onboarding/first-steps.tsx';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';

/** What even a small model goes on with as expected. */
const kSample = `def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def multiply(a, b):
    return `;

const kQuestion = 'What is the difference between a process and a thread? Answer in two sentences.';

/** Long enough that the editor is drawn on a busy machine. */
const kMostFrames = 120;

async function tryCompletion(model: AppModel): Promise<void> {
  const { buffers } = model;
  await buffers.newFile();
  const id = buffers.store.getState().activeId;
  const start = { startLine: 1, startColumn: 1, endLine: 1, endColumn: 1 };
  for (let i = 0; i < kMostFrames; i++) {
    if (id === null || buffers.store.getState().activeId !== id) return;
    if (model.editor?.select(id, start)) {
      model.editor.insert(kSample);
      model.editor.suggestInline();
      return;
    }
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}

interface AppFirstStepsProps {
  model: AppModel;
  commands: Commands;
  onClose: () => void;
}

export function AppFirstSteps({ model, commands, onClose }: AppFirstStepsProps) {
  const state = useStore(model.models.store);
  const workspace = useStore(model.workspace, (now) => now.workspace);
  const hasSuggestion = useStore(model.completion.store, ({ log }) => log.some(({ nChars }) => nChars > 0));
  const hasQuestion = useStore(model.chat.store, ({ conversations }) => conversations.length > 0);
  const reason = notReadyReason(state);
  const action = loadAction(state);
  const progress = state.status?.state === 'loading' ? state.status.progress : null;
  const keys = (id: Parameters<Commands['get']>[0]) => commands.get(id).keys ?? [];
  // After the dialog gave the focus back.
  const then = (run: () => unknown) => () => {
    onClose();
    setTimeout(run);
  };
  return (
    <FirstSteps
      modelWait={
        reason === null
          ? null
          : {
              text: reason,
              progress,
              action: action && {
                label: action === 'stop' ? 'Stop' : 'Load It',
                run: () => void (action === 'stop' ? model.stopLoading() : model.models.reload()),
              },
            }
      }
      modelName={model.models.modelName}
      canComplete={state.completionModel !== null}
      completion={{
        title: 'Watch it complete code',
        text: 'A short text opens, and the next line appears in grey. Tab takes it, Escape does not.',
        label: 'Try It',
        keys: keys('completion.trigger'),
        isDone: hasSuggestion,
        run: then(() => tryCompletion(model)),
      }}
      question={{
        title: 'Ask it something',
        text: 'Code in an answer goes into a file with one click, change by change if you like.',
        label: 'Ask',
        keys: keys('chat.focus'),
        isDone: hasQuestion,
        run: then(() => {
          model.ui.setState({ isChatShown: true, isConversationListShown: false });
          void model.chat.select(null).then(() => model.chat.send(kQuestion));
        }),
      }}
      folder={{
        title: 'Open your code',
        text: workspace ? `“${workspace.name}” is open.` : 'Files, search, git and a terminal, all in this window.',
        label: 'Open Folder…',
        keys: keys('workspace.open'),
        isDone: workspace !== null,
        run: then(() => model.openFolder()),
      }}
      onClose={onClose}
    />
  );
}
