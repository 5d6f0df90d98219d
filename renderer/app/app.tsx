// The window: title bar, three panels, status bar, and the overlays.
import { useCallback, useMemo } from 'react';
import { useStore } from 'zustand';
import type { MonacoTextStore } from '../editor/monaco-text-store.ts';
import { ActivityDialog } from '../features/activity/activity-dialog.tsx';
import { attach } from '../features/chat/attachments.ts';
import { LatencyDialog } from '../features/completion/latency-dialog.tsx';
import { BranchPicker } from '../features/git/branch-picker.tsx';
import { EngineBanner } from '../features/models/engine-banner.tsx';
import { ModelsDialog } from '../features/models/models-dialog.tsx';
import { NetworkDialog } from '../features/network/network-dialog.tsx';
import { MeaningDialog } from '../features/search/meaning-dialog.tsx';
import { KeysDialog } from '../features/settings/keys-dialog.tsx';
import { SettingsDialog } from '../features/settings/settings-dialog.tsx';
import { SettingsJsonDialog } from '../features/settings/settings-json-dialog.tsx';
import { AttachPicker } from '../features/workspace/attach-picker.tsx';
import { BufferDialogs } from '../features/workspace/buffer-dialogs.tsx';
import { type Place, QuickOpen } from '../features/workspace/quick-open.tsx';
import { Keys } from '../ui/keys.tsx';
import { Picker } from '../ui/picker.tsx';
import { TooltipProvider } from '../ui/tooltip.tsx';
import { useActivities } from './activities.ts';
import styles from './app.module.css';
import type { AppModel } from './app-model.ts';
import { attachPath } from './chat-actions.ts';
import type { Commands } from './commands.ts';
import { pathOfFile } from './file-paths.ts';
import { AppFirstSteps } from './first-steps.tsx';
import { Notifications } from './notifications.tsx';
import { Panels } from './panels.tsx';
import { StatusBar } from './status-bar.tsx';
import { activeSymbols, goTo } from './text-actions.ts';
import { TitleBar } from './title-bar.tsx';
import { useShortcuts } from './use-shortcuts.ts';
import { useTheme } from './use-theme.ts';
import { useTitle } from './use-title.ts';

interface AppProps {
  model: AppModel<MonacoTextStore>;
  commands: Commands;
}

export function App({ model, commands }: AppProps) {
  useTheme(useStore(model.settings.store, (settings) => settings.theme));
  useShortcuts(model, commands);
  useTitle(model);
  const hasWorkspace = useStore(model.workspace, (state) => state.workspace !== null);
  return (
    <TooltipProvider delayDuration={500}>
      <div className={styles.window}>
        <TitleBar model={model} commands={commands} />
        <EngineBanner models={model.models} />
        <Panels model={model} commands={commands} />
        <StatusBar model={model} commands={commands} />
      </div>
      <Overlay model={model} commands={commands} />
      <BufferDialogs
        buffers={model.buffers}
        texts={model.texts}
        workspace={model.api.workspace}
        hasWorkspace={hasWorkspace}
      />
      <Notifications notifications={model.notifications} />
    </TooltipProvider>
  );
}

function Overlay({ model, commands }: AppProps) {
  const overlay = useStore(model.ui, (state) => state.overlay);
  const close = useCallback(() => model.ui.setState({ overlay: null }), [model]);
  const closeFirstSteps = useCallback(() => {
    close();
    if (!model.settings.current.hasSeenFirstSteps) void model.settings.update({ hasSeenFirstSteps: true });
  }, [model, close]);
  const hasFolder = useStore(model.workspace, (state) => state.workspace !== null);
  const go = useCallback((place: Place) => void goTo(model, place), [model]);
  const onAttach = useCallback((path: string, isFolder: boolean) => void attachPath(model, path, isFolder), [model]);
  const symbols = useCallback(() => activeSymbols(model), [model]);
  if (overlay === 'palette') return <Palette commands={commands} onClose={close} />;
  if (overlay === 'quickOpen' || overlay === 'goToSymbol' || overlay === 'goToLine') {
    return (
      <QuickOpen
        key={overlay}
        workspace={model.api.workspace}
        hasFolder={hasFolder}
        initialQuery={{ quickOpen: '', goToSymbol: '@', goToLine: ':' }[overlay]}
        symbols={symbols}
        onGo={go}
        onClose={close}
      />
    );
  }
  if (overlay === 'attach') return <AttachPicker workspace={model.api.workspace} onPick={onAttach} onClose={close} />;
  if (overlay === 'branches') return <BranchPicker git={model.git} onClose={close} />;
  if (overlay === 'latency') return <LatencyDialog completion={model.completion} onClose={close} />;
  if (overlay === 'meaning') {
    return (
      <MeaningDialog
        meaning={model.meaning}
        onGo={({ path, line }) => {
          close();
          go({ path, line, column: 1 });
        }}
        onAttach={({ path, line, text }) => model.draft.attach(attach('selection', `${path}:${line}`, text))}
        onManageModels={() => model.ui.setState({ overlay: 'models' })}
        onClose={close}
      />
    );
  }
  if (overlay === 'models') return <Models model={model} hasFolder={hasFolder} onClose={close} />;
  if (overlay === 'activity') return <AppActivity model={model} onClose={close} />;
  if (overlay === 'firstSteps') return <AppFirstSteps model={model} commands={commands} onClose={closeFirstSteps} />;
  if (overlay === 'network') return <Network model={model} onClose={close} />;
  if (overlay === 'keys') {
    return <KeysDialog commands={commands.all} settings={model.settings} isMac={commands.isMac} onClose={close} />;
  }
  if (overlay === 'settingsJson') return <SettingsJsonDialog settings={model.settings} onClose={close} />;
  if (overlay === 'settings') {
    return (
      <SettingsDialog
        settings={model.settings}
        onManageModels={() => model.ui.setState({ overlay: 'models' })}
        onJson={() => model.ui.setState({ overlay: 'settingsJson' })}
        onKeys={() => model.ui.setState({ overlay: 'keys' })}
        onClose={close}
      />
    );
  }
  return null;
}

function Models({ model, hasFolder, onClose }: { model: AppModel; hasFolder: boolean; onClose: () => void }) {
  const isOff = useStore(model.settings.store, (settings) => settings.isNetworkOff);
  return (
    <ModelsDialog
      models={model.library}
      hasFolder={hasFolder}
      isNetworkOff={isOff}
      pathOf={pathOfFile}
      onOpenConnections={() => model.ui.setState({ overlay: 'network' })}
      onClose={onClose}
    />
  );
}

function AppActivity({ model, onClose }: { model: AppModel; onClose: () => void }) {
  const activities = useActivities(model);
  const past = useStore(model.notifications.store, (state) => state.past);
  const isQuiet = useStore(model.settings.store, (settings) => settings.quietNotes);
  return (
    <ActivityDialog
      activities={activities}
      past={past}
      isQuiet={isQuiet}
      onQuiet={(quietNotes) => void model.settings.update({ quietNotes })}
      onClose={onClose}
    />
  );
}

function Network({ model, onClose }: { model: AppModel; onClose: () => void }) {
  const isOff = useStore(model.settings.store, (settings) => settings.isNetworkOff);
  const nTerminals = useStore(
    model.terminals.store,
    ({ tabs }) => tabs.filter(({ state }) => state !== 'ended').length,
  );
  return (
    <NetworkDialog
      network={model.network}
      isOff={isOff}
      nTerminals={nTerminals}
      onSwitch={(isNetworkOff) => void model.settings.update({ isNetworkOff })}
      onClose={onClose}
    />
  );
}

/** A word before the title, so that typing "chat" finds everything that belongs to it. */
const kAreas: Record<string, string> = {
  file: 'File: ',
  workspace: 'Folder: ',
  tab: 'Tab: ',
  editor: 'Editor: ',
  search: 'Search: ',
  view: 'View: ',
  completion: 'Completion: ',
  chat: 'Chat: ',
  model: 'Model: ',
  engine: 'Engine: ',
  network: 'Network: ',
  terminal: 'Terminal: ',
  git: 'Git: ',
  settings: 'Settings: ',
  keys: 'Settings: ',
};

function Palette({ commands, onClose }: { commands: Commands; onClose: () => void }) {
  const items = useMemo(
    () =>
      commands.all
        .filter(({ id }) => id !== 'palette.open')
        .map(({ id, title, keys, isEnabled }) => ({
          id,
          text: `${kAreas[id.split('.')[0] ?? ''] ?? ''}${title.replace('…', '')}`,
          isDisabled: !isEnabled(),
          end: keys ? <Keys keys={keys} /> : null,
        })),
    [commands],
  );
  return (
    <Picker
      label="Command palette"
      placeholder="Type a command"
      items={items}
      emptyText="No command matches."
      onPick={(id) => commands.all.find((command) => command.id === id)?.run()}
      onClose={onClose}
    />
  );
}
