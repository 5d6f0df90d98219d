// Builds the window's state on the connection and draws it. Everything it needs is passed in, so that a page for
// tests can mount the same window on a scripted API.
import { createRoot } from 'react-dom/client';
import type { Api } from '../../electron/common/api.ts';
import { isCommandId } from '../../electron/common/commands.ts';
import { toErrorInfo } from '../../electron/common/error-info.ts';
import { loadEditor, loadedEditor, whenEditorIsLoaded } from '../editor/load-editor.ts';
import { MonacoTextStore } from '../editor/monaco-text-store.ts';
import { NextEdits } from '../features/completion/next-edits.ts';
import { Later } from '../lib/later.ts';
import { App } from './app.tsx';
import { AppModel } from './app-model.ts';
import { Commands } from './commands.ts';
import { connect } from './connect.ts';
import { isModalOpen } from './focus.ts';
import { dialogs } from './overlay.tsx';
import type { PortInbox } from './port-inbox.ts';
import { Regions } from './regions.ts';

const xterm = new Later(() => import('../features/terminal/xterm-screen.ts'));

/** A window that is hidden has no picture; the engine starts all the same. */
const kLongestHiddenMs = 3000;

/** Connects to the ports of `inbox` and mounts the window. */
export function mount(inbox: PortInbox): Promise<void> {
  return mountOn(connect(inbox));
}

/** Mounts the window on an API. Resolves when the last session is back and on the screen. */
export async function mountOn(api: Api): Promise<void> {
  const info = await api.app.info();
  const texts = new MonacoTextStore();
  const model: AppModel<MonacoTextStore> = new AppModel({
    api,
    info,
    texts,
    createScreen: async () => {
      const { XtermScreen } = await xterm.load().catch((error: unknown) => {
        model.notifications.error(toErrorInfo(error));
        throw error;
      });
      return new XtermScreen({ fontSize: model.settings.current.editorFontSize, copy: (text) => model.copy(text) });
    },
    onCommand: (id) => {
      // A modal dialog blocks the window's keys, so it blocks the menu, too.
      if (isCommandId(id) && !isModalOpen()) commands.get(id).run();
    },
  });
  const commands = new Commands(model, new Regions(document), info.platform);
  const nextEdits = new NextEdits({
    isOn: () => model.settings.current.nextEdit,
    problems: (id) => loadedEditor().problemsOf(texts, id),
    writeLine: (place, signal) => {
      const languageId = model.buffers.get(place.bufferId)?.languageId ?? 'plaintext';
      return model.completion.writeLine({ ...place, languageId }, signal);
    },
    onProposed: () => model.completion.otherProposal(true),
    onDone: () => model.completion.otherProposal(false),
  });
  texts.onEdit((edit) => nextEdits.edited(edit));
  void whenEditorIsLoaded.then(({ registerInlineCompletions }) => {
    registerInlineCompletions(texts, model.completion, nextEdits);
  });
  document.addEventListener('securitypolicyviolation', ({ blockedURI }) => {
    model.network.stoppedByPolicy(blockedURI, Date.now());
  });
  const root = document.getElementById('root');
  if (!root) throw new Error('The page has no #root element.');
  createRoot(root).render(<App model={model} commands={commands} />);
  await model.start();
  // For whoever measures the start: the window takes keys, and the last session is back.
  performance.mark('interactive');
  await firstPicture();
  // The engine with its models, and what a text needs, so that it is there before one is asked for.
  void model.attempt(() => api.app.lifecycle.started());
  requestIdleCallback(() => {
    for (const part of [dialogs, xterm]) void part.load();
    void loadEditor();
  });
}

function firstPicture(): Promise<void> {
  return new Promise((resolve) => {
    const observer = new PerformanceObserver((list) => {
      if (list.getEntriesByName('first-contentful-paint').length > 0) resolve();
    });
    observer.observe({ type: 'paint', buffered: true });
    setTimeout(resolve, kLongestHiddenMs);
  });
}
