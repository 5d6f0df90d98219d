// Source control: what changed, what goes into the next commit, and its message.
import { GitBranch, Minus, Plus, RefreshCw, Undo2 } from 'lucide-react';
import { memo, type ReactNode, useMemo, useState } from 'react';
import { useStore } from 'zustand';
import type { GitFile, GitStatus } from '../../../electron/common/git-contract.ts';
import { baseName, dirName, shownName } from '../../lib/paths.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { SwitchField } from '../../ui/field.tsx';
import { Notice } from '../../ui/notice.tsx';
import { VirtualList } from '../../ui/virtual-list.tsx';
import styles from './git-panel.module.css';
import { type GitStore, groups } from './git-store.ts';

const kRowHeight = 24;

interface GitPanelProps {
  git: GitStore;
  hasFolder: boolean;
  onOpenFolder: () => void;
  /** Shows a file beside what the last commit has of it. */
  onCompare: (path: string) => void;
  onSwitchBranch: () => void;
}

export function GitPanel({ git, hasFolder, onOpenFolder, onCompare, onSwitchBranch }: GitPanelProps) {
  const status = useStore(git.store, (state) => state.status);
  const error = useStore(git.store, (state) => state.error);
  if (!hasFolder || status === null || status.state !== 'repository') {
    return (
      <EmptyState
        icon={<GitBranch size={28} strokeWidth={1.5} aria-hidden />}
        title={hasFolder ? 'No repository' : 'No folder open'}
        text={hasFolder ? (error?.message ?? whyNone(status)) : 'Open a folder to see what changed in it.'}
      >
        {hasFolder ? (
          <Button onClick={() => void git.refresh()}>Look Again</Button>
        ) : (
          <Button onClick={onOpenFolder}>Open Folder</Button>
        )}
      </EmptyState>
    );
  }
  return <Repository git={git} status={status} onCompare={onCompare} onSwitchBranch={onSwitchBranch} />;
}

function whyNone(status: GitStatus | null): string {
  if (status === null) return 'Looking for a repository.';
  return status.state === 'noGit'
    ? 'The git program was not found. Install git to see what changed.'
    : 'This folder is in no git repository. “git init” in a terminal makes one.';
}

interface RepositoryProps extends Pick<GitPanelProps, 'git' | 'onCompare' | 'onSwitchBranch'> {
  status: Extract<GitStatus, { state: 'repository' }>;
}

function Repository({ git, status, onCompare, onSwitchBranch }: RepositoryProps) {
  const { message, busy, error, mayRunPrograms } = useStore(git.store);
  const [discarding, setDiscarding] = useState<readonly GitFile[] | null>(null);
  const { staged, unstaged } = useMemo(() => groups(status.files), [status]);
  const commit = () => void git.commit();
  const isBusy = busy !== null;
  return (
    <div className={styles.panel}>
      <header className={styles.head}>
        <h2 className={styles.title}>Source Control</h2>
        <IconButton label="Look again" onClick={() => void git.refresh()}>
          <RefreshCw size={14} aria-hidden />
        </IconButton>
      </header>
      <div className={styles.form}>
        <Button onClick={onSwitchBranch} disabled={isBusy} title="Switch to another branch">
          <GitBranch size={14} aria-hidden />
          {status.branch ?? 'No branch'}
          {status.ahead + status.behind > 0 ? ` ↑${status.ahead} ↓${status.behind}` : ''}
        </Button>
        <textarea
          aria-label="Commit message"
          placeholder="Commit message"
          className={styles.message}
          rows={3}
          maxLength={50_000}
          value={message}
          onChange={(event) => git.setMessage(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) commit();
          }}
        />
        <Button kind="primary" disabled={isBusy || message.trim() === '' || status.files.length === 0} onClick={commit}>
          {busy ?? (staged.length > 0 || unstaged.length === 0 ? 'Commit' : 'Stage All and Commit')}
        </Button>
      </div>
      {error ? (
        <div className={styles.notice}>
          <Notice
            kind="error"
            message={error.message}
            hint={error.hint}
            detail={error.detail}
            actions={<Button onClick={() => git.dismissError()}>Dismiss</Button>}
          />
        </div>
      ) : null}
      {status.programs.length > 0 ? (
        <div className={styles.programs}>
          <SwitchField
            label="Run the repository’s own programs"
            hint={`It names some: ${status.programs.join(', ')}. They do not run unless you allow it, until you open another folder.`}
            isOn={mayRunPrograms}
            onChange={(isOn) => git.setMayRunPrograms(isOn)}
          />
        </div>
      ) : null}
      {status.files.length === 0 ? <p className={styles.clean}>Nothing changed since the last commit.</p> : null}
      <ChangedFiles git={git} status={status} onCompare={onCompare} onDiscard={setDiscarding} />
      {status.isTruncated ? <p className={styles.clean}>More files changed than are listed here.</p> : null}
      {discarding ? (
        <DiscardDialog
          files={discarding}
          onClose={() => setDiscarding(null)}
          onDiscard={() => {
            setDiscarding(null);
            void git.discard(pathsOf(discarding));
          }}
        />
      ) : null}
    </div>
  );
}

interface Group {
  title: string;
  files: readonly GitFile[];
  changeOf: (file: GitFile) => GitFile['staged'];
  actions: { label: string; icon: ReactNode; run: (files: readonly GitFile[]) => void; runAll?: () => void }[];
}

type Row = { group: Group; file: GitFile | null };

interface ChangedFilesProps extends Pick<RepositoryProps, 'git' | 'status' | 'onCompare'> {
  onDiscard: (files: readonly GitFile[]) => void;
}

/** Thousands of files change where a folder is missing in .gitignore: only what is seen is drawn. */
const ChangedFiles = memo(function ChangedFiles({ git, status, onCompare, onDiscard }: ChangedFilesProps) {
  const rows = useMemo(() => {
    const { staged, unstaged } = groups(status.files);
    const groupsShown: Group[] = [
      {
        title: 'Staged',
        files: staged,
        changeOf: (file) => file.staged,
        actions: [
          {
            label: 'Unstage',
            icon: <Minus size={14} aria-hidden />,
            run: (files) => void git.unstage(pathsOf(files)),
          },
        ],
      },
      {
        title: 'Changes',
        files: unstaged,
        changeOf: (file) => file.unstaged,
        actions: [
          { label: 'Discard', icon: <Undo2 size={14} aria-hidden />, run: onDiscard },
          {
            label: 'Stage',
            icon: <Plus size={14} aria-hidden />,
            run: (files) => void git.stage(pathsOf(files)),
            runAll: () => void git.stageAll(),
          },
        ],
      },
    ];
    return groupsShown.flatMap((group): Row[] =>
      group.files.length === 0 ? [] : [{ group, file: null }, ...group.files.map((file) => ({ group, file }))],
    );
  }, [git, status, onDiscard]);
  return (
    <VirtualList
      label="Changed files"
      items={rows}
      rowHeight={kRowHeight}
      activeIndex={-1}
      className={styles.scroll}
      renderRow={({ group, file }) =>
        file === null ? (
          <GroupHead key={group.title} group={group} />
        ) : (
          <FileRow key={`${group.title} ${file.path}`} group={group} file={file} onCompare={onCompare} />
        )
      }
    />
  );
});

function GroupHead({ group: { title, files, actions } }: { group: Group }) {
  return (
    <div className={styles.groupHead}>
      <h3 className={styles.group}>
        {title} <span className={styles.count}>{files.length}</span>
      </h3>
      {actions.map(({ label, icon, run, runAll }) => (
        <IconButton key={label} label={`${label} all`} onClick={() => (runAll ? runAll() : run(files))}>
          {icon}
        </IconButton>
      ))}
    </div>
  );
}

interface FileRowProps extends Pick<RepositoryProps, 'onCompare'> {
  group: Group;
  file: GitFile;
}

function FileRow({ group: { changeOf, actions }, file, onCompare }: FileRowProps) {
  const change = changeOf(file) ?? 'modified';
  return (
    <div className={styles.row}>
      <button
        type="button"
        className={styles.file}
        title={file.path}
        aria-label={`${baseName(file.path)} ${dirName(file.path)}`.trim().concat(`, ${change}`)}
        onClick={() => onCompare(file.path)}
      >
        <span className={styles.name} data-change={change}>
          {shownName(baseName(file.path))}
        </span>
        {/* Apart also for who hears them. */} <span className={styles.folder}>{shownName(dirName(file.path))}</span>
      </button>
      {actions.map(({ label, icon, run }) => (
        <IconButton key={label} label={`${label} ${file.path}`} onClick={() => run([file])}>
          {icon}
        </IconButton>
      ))}
      <span className={styles.letter} data-change={change} aria-hidden>
        {change === 'untracked' ? 'U' : change === 'conflicted' ? '!' : change.charAt(0).toUpperCase()}
      </span>
    </div>
  );
}

function pathsOf(files: readonly GitFile[]): string[] {
  return files.map(({ path }) => path);
}

interface DiscardDialogProps {
  files: readonly GitFile[];
  onDiscard: () => void;
  onClose: () => void;
}

function DiscardDialog({ files, onDiscard, onClose }: DiscardDialogProps) {
  const what = files.length === 1 ? (files[0]?.path ?? '') : `${files.length} files`;
  return (
    <Dialog
      role="alertdialog"
      title={`Discard the changes of ${what}?`}
      description="They go back to what is staged or committed; new files go away. What they hold now is put into the system’s trash."
      onClose={onClose}
      actions={
        <>
          <Button autoFocus onClick={onClose}>
            Cancel
          </Button>
          <Button kind="danger" onClick={onDiscard}>
            Discard
          </Button>
        </>
      }
    />
  );
}
