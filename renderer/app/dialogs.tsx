// The views that cover the window and are rarely asked for: loaded when the window has nothing to do (overlay.tsx).
import { useCallback } from 'react';
import { useStore } from 'zustand';
import { ActivityDialog } from '../features/activity/activity-dialog.tsx';
import { attach } from '../features/chat/attachments.ts';
import { LatencyDialog } from '../features/completion/latency-dialog.tsx';
import { BranchPicker } from '../features/git/branch-picker.tsx';
import { ModelsDialog } from '../features/models/models-dialog.tsx';
import { NetworkDialog } from '../features/network/network-dialog.tsx';
import { MeaningDialog } from '../features/search/meaning-dialog.tsx';
import { KeysDialog } from '../features/settings/keys-dialog.tsx';
import { SettingsDialog } from '../features/settings/settings-dialog.tsx';
import { SettingsJsonDialog } from '../features/settings/settings-json-dialog.tsx';
import { AttachPicker } from '../features/workspace/attach-picker.tsx';
import { useActivities } from './activities.ts';
import type { AppModel } from './app-model.ts';
import { attachPath } from './chat-actions.ts';
import type { Commands } from './commands.ts';
import { pathOfFile } from './file-paths.ts';
import { AppFirstSteps } from './first-steps.tsx';
import { goTo } from './text-actions.ts';
import type { Overlay } from './ui-store.ts';

export interface DialogProps {
  overlay: Overlay;
  model: AppModel;
  commands: Commands;
  onClose: () => void;
}

export function AppDialog({ overlay, model, commands, onClose: close }: DialogProps) {
  const closeFirstSteps = useCallback(() => {
    close();
    if (!model.settings.current.hasSeenFirstSteps) void model.settings.update({ hasSeenFirstSteps: true });
  }, [model, close]);
  const hasFolder = useStore(model.workspace, (state) => state.workspace !== null);
  const onAttach = useCallback((path: string, isFolder: boolean) => void attachPath(model, path, isFolder), [model]);
  if (overlay === 'attach') return <AttachPicker workspace={model.api.workspace} onPick={onAttach} onClose={close} />;
  if (overlay === 'branches') return <BranchPicker git={model.git} onClose={close} />;
  if (overlay === 'latency') return <LatencyDialog completion={model.completion} onClose={close} />;
  if (overlay === 'meaning') {
    return (
      <MeaningDialog
        meaning={model.meaning}
        onGo={({ path, line }) => {
          close();
          void goTo(model, { path, line, column: 1 });
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
