// The window: title bar, three panels, status bar, and the overlays.
import { useStore } from 'zustand';
import type { MonacoTextStore } from '../editor/monaco-text-store.ts';
import { EngineBanner } from '../features/models/engine-banner.tsx';
import { BufferDialogs } from '../features/workspace/buffer-dialogs.tsx';
import { TooltipProvider } from '../ui/tooltip.tsx';
import styles from './app.module.css';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';
import { Notifications } from './notifications.tsx';
import { AppOverlay } from './overlay.tsx';
import { Panels } from './panels.tsx';
import { StatusBar } from './status-bar.tsx';
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
      <AppOverlay model={model} commands={commands} />
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
