// The bar at the top: what is open, the palette, and the switches of the side panels.
import { Files, GitBranch, PanelRight, Search, Settings2, TextSearch } from 'lucide-react';
import { useStore } from 'zustand';
import { IconButton } from '../ui/button.tsx';
import { Keys } from '../ui/keys.tsx';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';
import styles from './title-bar.module.css';

export function TitleBar({ model, commands }: { model: AppModel; commands: Commands }) {
  const sideView = useStore(model.ui, (state) => (state.isSideShown ? state.sideView : null));
  const isChatShown = useStore(model.ui, (state) => state.isChatShown);
  const workspace = useStore(model.workspace, (state) => state.workspace);
  const hideSide = commands.get('view.toggleExplorer');
  const explorer = commands.get('view.focusExplorer');
  const search = commands.get('search.open');
  const git = commands.get('git.open');
  const toggleChat = commands.get('view.toggleChat');
  const quickOpen = commands.get(workspace ? 'file.quickOpen' : 'palette.open');
  const settings = commands.get('settings.open');
  const openFolder = commands.get('workspace.open');
  return (
    <header className={styles.bar} data-region="title">
      <div className={styles.side}>
        <IconButton
          label="Explorer"
          shortcut={explorer.keys}
          aria-pressed={sideView === 'explorer'}
          onClick={sideView === 'explorer' ? hideSide.run : explorer.run}
        >
          <Files size={16} aria-hidden />
        </IconButton>
        <IconButton
          label="Search in files"
          shortcut={search.keys}
          aria-pressed={sideView === 'search'}
          disabled={workspace === null}
          onClick={sideView === 'search' ? hideSide.run : search.run}
        >
          <TextSearch size={16} aria-hidden />
        </IconButton>
        <IconButton
          label="Source control"
          shortcut={git.keys}
          aria-pressed={sideView === 'git'}
          disabled={workspace === null}
          onClick={sideView === 'git' ? hideSide.run : git.run}
        >
          <GitBranch size={16} aria-hidden />
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
