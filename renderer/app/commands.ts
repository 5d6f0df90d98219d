// What every command does and when it can. Titles and keys are in electron/common/commands.ts, shared with the menu.
import { type CommandId, commandTable } from '../../electron/common/commands.ts';
import { loadAction } from '../features/models/model-store.ts';
import { matchesShortcut, shortcutKeys } from '../lib/shortcut.ts';
import type { AppModel } from './app-model.ts';
import { attachActive, attachTerminal, exportChat, focusChat } from './chat-actions.ts';
import { focusEditor, onceThere } from './focus.ts';
import type { Regions } from './regions.ts';

export interface Command {
  id: CommandId;
  title: string;
  /** The key that it has where the user did not choose another. */
  usual: string | null;
  readonly accelerator: string | null;
  readonly keys: readonly string[] | undefined;
  run: () => void;
  isEnabled: () => boolean;
}

interface Actions {
  run: () => unknown;
  isEnabled?: () => boolean;
}

/** Shown with the focus elsewhere it gets the focus; shown with the focus it goes. */
function toggleTerminal({ terminals, ui, editor }: AppModel): void {
  const isInside = document.activeElement?.closest('[data-region="terminal"]') !== null;
  if (ui.getState().isTerminalShown && isInside) {
    ui.setState({ isTerminalShown: false });
    editor?.focus();
    return;
  }
  terminals.ensure();
  ui.setState({ isTerminalShown: true });
  onceThere(
    () => terminals.active,
    ({ screen }) => screen.focus(),
  );
}

function actions(model: AppModel, regions: Regions): Record<CommandId, Actions> {
  const { buffers, chat, ui, settings, models } = model;
  const activeId = () => buffers.store.getState().activeId;
  const hasFile = () => activeId() !== null;
  const hasFolder = () => model.workspace.getState().workspace !== null;
  const hasMessages = () => chat.shownMessages.length > 0;
  const withActive = (run: (id: string) => unknown) => () => {
    const id = activeId();
    if (id !== null) run(id);
  };
  const focusRegion = (name: string) =>
    onceThere(
      () => document.querySelector(`[data-region="${name}"]`),
      () => regions.focusNamed(name),
    );
  const showSearch = (isReplaceShown: boolean) => {
    const pattern = model.editor?.selectedWord() ?? '';
    model.search.change({ ...(pattern === '' ? {} : { pattern }), ...(isReplaceShown ? { isReplaceShown } : {}) });
    ui.setState({ isSideShown: true, sideView: 'search' });
    onceThere(
      () => model.searchInput,
      (input) => {
        input.focus();
        input.select();
      },
    );
  };
  const goToTab = (step: number) => buffers.activateNext(step).then(() => focusEditor(model));
  const setFontSize = (step: number) => {
    const editorFontSize = Math.max(8, Math.min(32, settings.current.editorFontSize + step));
    return settings.update({ editorFontSize });
  };
  const zoom = (percent: number) => settings.update({ zoomPercent: Math.max(50, Math.min(300, percent)) });
  return {
    'file.new': {
      run: async () => {
        await buffers.newFile();
        focusEditor(model);
      },
    },
    'workspace.open': { run: () => model.openFolder() },
    'workspace.close': { run: () => model.closeFolder(), isEnabled: hasFolder },
    'file.quickOpen': { run: () => ui.setState({ overlay: 'quickOpen' }), isEnabled: hasFolder },
    'file.save': {
      run: withActive(async (id) => {
        if (settings.current.formatOnSave) await model.editor?.format();
        await buffers.save(id);
      }),
      isEnabled: hasFile,
    },
    'file.saveAs': { run: withActive((id) => buffers.askSaveAs(id)), isEnabled: hasFile },
    'file.saveAll': { run: () => buffers.saveAll(), isEnabled: hasFile },
    'tab.close': { run: withActive((id) => buffers.close(id)), isEnabled: hasFile },
    'tab.next': { run: () => goToTab(1), isEnabled: hasFile },
    'tab.previous': { run: () => goToTab(-1), isEnabled: hasFile },
    'settings.open': { run: () => ui.setState({ overlay: 'settings' }) },
    'keys.open': { run: () => ui.setState({ overlay: 'keys' }) },
    'settings.json': { run: () => ui.setState({ overlay: 'settingsJson' }) },
    'palette.open': { run: () => ui.setState({ overlay: 'palette' }) },
    'view.toggleExplorer': { run: () => ui.setState((state) => ({ isSideShown: !state.isSideShown })) },
    'editor.goToSymbol': { run: () => ui.setState({ overlay: 'goToSymbol' }), isEnabled: hasFile },
    'editor.goToLine': { run: () => ui.setState({ overlay: 'goToLine' }), isEnabled: hasFile },
    'editor.find': { run: () => model.editor?.run('actions.find'), isEnabled: hasFile },
    'editor.replace': { run: () => model.editor?.run('editor.action.startFindReplaceAction'), isEnabled: hasFile },
    'editor.format': { run: () => model.editor?.run('editor.action.formatDocument'), isEnabled: hasFile },
    'search.open': { run: () => showSearch(false), isEnabled: hasFolder },
    'search.replace': { run: () => showSearch(true), isEnabled: hasFolder },
    'git.open': {
      run: () => {
        ui.setState({ isSideShown: true, sideView: 'git' });
        focusRegion('git');
        model.git.changed(); // folders that nobody has opened are not watched
      },
      isEnabled: hasFolder,
    },
    'git.compare': {
      run: () => {
        const { active } = buffers;
        if (active?.path && active.status === 'ready') return model.git.compare(active.id, active.path);
      },
      isEnabled: () => hasFile() && model.git.store.getState().status?.state === 'repository',
    },
    'git.switch': {
      run: () => ui.setState({ overlay: 'branches' }),
      isEnabled: () => model.git.store.getState().status?.state === 'repository',
    },
    'view.toggleChat': { run: () => ui.setState((state) => ({ isChatShown: !state.isChatShown })) },
    'view.focusExplorer': {
      run: () => {
        ui.setState({ isSideShown: true, sideView: 'explorer' });
        focusRegion('explorer');
      },
    },
    'view.focusEditor': { run: () => (model.editor ? model.editor.focus() : regions.focusNamed('editor')) },
    'view.split': {
      run: () => {
        if (buffers.store.getState().split) buffers.join();
        else buffers.splitRight();
        focusEditor(model);
      },
      isEnabled: hasFile,
    },
    'view.otherHalf': {
      run: () => {
        const { split } = buffers.store.getState();
        if (split === null) return;
        buffers.focusHalf(!split.isActiveRight);
        focusEditor(model);
      },
      isEnabled: () => buffers.store.getState().split !== null,
    },
    'view.nextRegion': { run: () => regions.move(1) },
    'view.previousRegion': { run: () => regions.move(-1) },
    'view.theme': {
      run: () => settings.update({ theme: document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark' }),
    },
    'view.contrast': {
      run: () => settings.update({ theme: settings.current.theme === 'contrast' ? 'system' : 'contrast' }),
    },
    'view.zoomIn': { run: () => zoom(settings.current.zoomPercent + 10) },
    'view.zoomOut': { run: () => zoom(settings.current.zoomPercent - 10) },
    'view.zoomReset': { run: () => zoom(100) },
    'view.increaseFontSize': { run: () => setFontSize(1) },
    'view.decreaseFontSize': { run: () => setFontSize(-1) },
    'terminal.toggle': { run: () => toggleTerminal(model) },
    'terminal.new': {
      run: () => {
        model.terminals.add();
        ui.setState({ isTerminalShown: true });
      },
    },
    'chat.attachTerminal': {
      run: () => attachTerminal(model),
      isEnabled: () => model.terminals.active !== null,
    },
    'completion.toggle': { run: () => settings.update({ inlineCompletion: !settings.current.inlineCompletion }) },
    'search.byMeaning': { run: () => ui.setState({ overlay: 'meaning' }), isEnabled: hasFolder },
    'completion.latency': { run: () => ui.setState({ overlay: 'latency' }) },
    'completion.acceptWord': {
      run: () => model.editor?.run('editor.action.inlineSuggest.acceptNextWord'),
      isEnabled: hasFile,
    },
    'completion.acceptLine': {
      run: () => model.editor?.run('editor.action.inlineSuggest.acceptNextLine'),
      isEnabled: hasFile,
    },
    'completion.trigger': { run: () => model.editor?.suggestInline(), isEnabled: hasFile },
    'chat.focus': { run: () => focusChat(model) },
    'chat.new': {
      run: () => {
        void chat.select(null);
        focusChat(model);
      },
    },
    'chat.attachFile': { run: () => attachActive(model, 'file'), isEnabled: hasFile },
    'chat.attachSelection': { run: () => attachActive(model, 'selection'), isEnabled: hasFile },
    'chat.attachSymbol': { run: () => attachActive(model, 'symbol'), isEnabled: hasFile },
    'chat.attachChanges': { run: () => attachActive(model, 'diff'), isEnabled: hasFile },
    'chat.attach': { run: () => ui.setState({ overlay: 'attach' }), isEnabled: hasFolder },
    'chat.exportMarkdown': { run: () => exportChat(model, 'markdown'), isEnabled: hasMessages },
    'chat.exportJson': { run: () => exportChat(model, 'json'), isEnabled: hasMessages },
    'chat.history': { run: () => ui.setState({ isChatShown: true, isConversationListShown: true }) },
    'chat.stop': { run: () => chat.stop(), isEnabled: () => chat.store.getState().reply !== null },
    'model.manage': { run: () => ui.setState({ overlay: 'models' }) },
    'model.choose': { run: () => models.chooseFile() },
    'model.useDefault': { run: () => models.loadDefault() },
    'help.firstSteps': { run: () => ui.setState({ overlay: 'firstSteps' }) },
    'activity.show': { run: () => ui.setState({ overlay: 'activity' }) },
    'notifications.quiet': { run: () => settings.update({ quietNotes: !settings.current.quietNotes }) },
    'network.show': { run: () => ui.setState({ overlay: 'network' }) },
    'network.toggle': { run: () => settings.update({ isNetworkOff: !settings.current.isNetworkOff }) },
    'engine.stopLoading': {
      run: () => model.stopLoading(),
      isEnabled: () => loadAction(models.store.getState()) === 'stop',
    },
    'engine.load': { run: () => models.reload(), isEnabled: () => loadAction(models.store.getState()) === 'load' },
    'engine.restart': { run: () => models.restartEngine() },
  };
}

export class Commands {
  readonly all: readonly Command[];
  readonly isMac: boolean;

  constructor(model: AppModel, regions: Regions, platform: string) {
    this.isMac = platform === 'darwin';
    const { isMac } = this;
    const byId = actions(model, regions);
    this.all = commandTable.map((info): Command => {
      const usual = 'accelerator' in info ? info.accelerator : null;
      const { run, isEnabled = () => true } = byId[info.id];
      return {
        id: info.id,
        title: info.title,
        usual,
        // The user may change it while the window is open.
        get accelerator() {
          const own = model.settings.current.keys[info.id];
          return own === undefined ? usual : own;
        },
        get keys() {
          return this.accelerator === null ? undefined : shortcutKeys(this.accelerator, isMac);
        },
        isEnabled,
        run: () => {
          if (isEnabled()) run();
        },
      };
    });
  }

  get(id: CommandId): Command {
    const command = this.all.find((candidate) => candidate.id === id);
    if (!command) throw new Error(`There is no command ${id}.`);
    return command;
  }

  /** The command of a key, if it has one. F1 opens the palette as in other editors. */
  forKey(event: KeyboardEvent): Command | undefined {
    const found = this.all.find(
      ({ accelerator }) => accelerator !== null && matchesShortcut(event, accelerator, this.isMac),
    );
    return found ?? (event.key === 'F1' ? this.get('palette.open') : undefined);
  }
}
