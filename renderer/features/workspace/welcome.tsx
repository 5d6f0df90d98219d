// The centre without an open file: where to go, and the keys that matter.
import { FolderOpen } from 'lucide-react';
import type { WorkspaceInfo } from '../../../electron/common/app-contract.ts';
import { Button } from '../../ui/button.tsx';
import { Keys } from '../../ui/keys.tsx';
import styles from './welcome.module.css';

interface WelcomeProps {
  workspace: WorkspaceInfo | null;
  recent: readonly WorkspaceInfo[];
  /** Commands worth knowing, with their keys. */
  shortcuts: readonly { title: string; keys: readonly string[]; run: () => void }[];
  onOpenFolder: () => void;
  onOpenRecent: (root: string) => void;
}

export function Welcome({ workspace, recent, shortcuts, onOpenFolder, onOpenRecent }: WelcomeProps) {
  return (
    <div className={styles.welcome}>
      <div className={styles.column}>
        <svg className={styles.mark} viewBox="0 0 48 48" aria-hidden="true">
          <path d="M24 5 41 14v20L24 43 7 34V14Z" />
          <path d="M24 16v27M7 14l17 9.5L41 14" />
          <circle cx="24" cy="23.5" r="3.5" />
        </svg>
        <h2 className={styles.title}>{workspace ? workspace.name : 'Outpost'}</h2>
        <p className={styles.lead}>
          {workspace
            ? 'Pick a file on the left, or start here.'
            : 'A code assistant that runs on this machine. Nothing you type leaves it.'}
        </p>
        {workspace ? null : (
          <Button kind="primary" onClick={onOpenFolder}>
            <FolderOpen size={15} aria-hidden /> Open Folder
          </Button>
        )}
        {!workspace && recent.length > 0 ? (
          <section className={styles.section} aria-labelledby="recent-title">
            <h3 id="recent-title" className={styles.heading}>
              Recent
            </h3>
            <ul className={styles.list}>
              {recent.map(({ root, name }) => (
                <li key={root}>
                  <button type="button" className={styles.row} onClick={() => onOpenRecent(root)}>
                    <span>{name}</span>
                    <span className={styles.path}>
                      <bdi dir="ltr">{root}</bdi>
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          </section>
        ) : null}
        <section className={styles.section} aria-label="Shortcuts">
          <ul className={styles.list}>
            {shortcuts.map(({ title, keys, run }) => (
              <li key={title}>
                <button type="button" className={styles.row} onClick={run}>
                  <span>{title}</span>
                  <Keys keys={keys} />
                </button>
              </li>
            ))}
          </ul>
        </section>
      </div>
    </div>
  );
}
