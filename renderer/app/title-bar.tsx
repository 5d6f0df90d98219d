// The bar at the top: what is open, the palette, and the switches of the side panels.
import { PanelLeft, PanelRight, Search, Settings2 } from 'lucide-react';
import { useStore } from 'zustand';
import { IconButton } from '../ui/button.tsx';
import { Keys } from '../ui/keys.tsx';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';
import styles from './title-bar.module.css';

export function TitleBar({ model, commands }: { model: AppModel; commands: Commands }) {
  const isExplorerShown = useStore(model.ui, (state) => state.isExplorerShown);
  const isChatShown = useStore(model.ui, (state) => state.isChatShown);
  const workspace = useStore(model.workspace, (state) => state.workspace);
  const toggleExplorer = commands.get('view.toggleExplorer');
  const toggleChat = commands.get('view.toggleChat');
  const quickOpen = commands.get(workspace ? 'file.quickOpen' : 'palette.open');
  const settings = commands.get('settings.open');
  const openFolder = commands.get('workspace.open');
  return (
    <header className={styles.bar} data-region="title">
      <div className={styles.side}>
        <IconButton
          label="Explorer"
          shortcut={toggleExplorer.keys}
          aria-pressed={isExplorerShown}
          onClick={toggleExplorer.run}
        >
          <PanelLeft size={16} aria-hidden />
        </IconButton>
        <h1 className={styles.heading}>
          <button
            type="button"
            className={styles.folder}
            title={workspace?.root ?? 'Open a folder'}
            onClick={openFolder.run}
          >
            {workspace?.name ?? 'No folder'}
          </button>
        </h1>
      </div>
      <button type="button" className={styles.search} onClick={quickOpen.run}>
        <Search size={14} aria-hidden />
        <span>{workspace ? 'Go to file' : 'Commands'}</span>
        {quickOpen.keys ? <Keys keys={quickOpen.keys} /> : null}
      </button>
      <div className={`${styles.side} ${styles.end}`}>
        <IconButton label="Settings" shortcut={settings.keys} onClick={settings.run}>
          <Settings2 size={16} aria-hidden />
        </IconButton>
        <IconButton label="Chat" shortcut={toggleChat.keys} aria-pressed={isChatShown} onClick={toggleChat.run}>
          <PanelRight size={16} aria-hidden />
        </IconButton>
      </div>
    </header>
  );
}
