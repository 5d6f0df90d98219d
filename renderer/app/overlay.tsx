// What lies over the window: one picker or dialog at a time. Pickers, in which somebody types at once, are always there.
import { useCallback, useEffect, useMemo, useState } from 'react';
import { useStore } from 'zustand';
import { type Place, QuickOpen } from '../features/workspace/quick-open.tsx';
import { Later } from '../lib/later.ts';
import { Keys } from '../ui/keys.tsx';
import { Picker } from '../ui/picker.tsx';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';
import type { DialogProps } from './dialogs.tsx';
import { activeSymbols, goTo } from './text-actions.ts';

export const dialogs = new Later(() => import('./dialogs.tsx'));

export function AppOverlay({ model, commands }: { model: AppModel; commands: Commands }) {
  const overlay = useStore(model.ui, (state) => state.overlay);
  const close = useCallback(() => model.ui.setState({ overlay: null }), [model]);
  const hasFolder = useStore(model.workspace, (state) => state.workspace !== null);
  const go = useCallback((place: Place) => void goTo(model, place), [model]);
  const symbols = useCallback(() => activeSymbols(model), [model]);
  if (overlay === null) return null;
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
  return <LoadedDialog overlay={overlay} model={model} commands={commands} onClose={close} />;
}

function LoadedDialog(props: DialogProps) {
  const [module, setModule] = useState(dialogs.loaded);
  useEffect(() => {
    if (module === null) void props.model.attempt(async () => setModule(await dialogs.load()));
  }, [module, props.model]);
  return module && <module.AppDialog {...props} />;
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
