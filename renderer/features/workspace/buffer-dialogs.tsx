// The questions of the buffers store: close with unsaved text, a conflict with the disk, a name to save under.
import { useEffect, useState } from 'react';
import { useStore } from 'zustand';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import { DiffView } from '../../editor/editor-views.tsx';
import type { TextStore } from '../../editor/text-store.ts';
import { invalidPathReason } from '../../lib/paths.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Notice } from '../../ui/notice.tsx';
import type { Buffer } from './buffer.ts';
import styles from './buffer-dialogs.module.css';
import type { BuffersStore } from './buffers-store.ts';

interface BufferDialogsProps {
  buffers: BuffersStore;
  texts: TextStore;
  workspace: WorkspaceApi;
  hasWorkspace: boolean;
}

export function BufferDialogs({ buffers, texts, workspace, hasWorkspace }: BufferDialogsProps) {
  const prompt = useStore(buffers.store, (state) => state.prompt);
  const buffer = useStore(buffers.store, (state) => (state.prompt ? state.buffers[state.prompt.id] : undefined));
  if (!prompt || !buffer) return null;
  if (prompt.kind === 'close') return <CloseDialog buffers={buffers} buffer={buffer} />;
  if (prompt.kind === 'saveAs') {
    return (
      <SaveAsDialog buffers={buffers} buffer={buffer} closeAfter={prompt.closeAfter} hasWorkspace={hasWorkspace} />
    );
  }
  return (
    <ConflictDialog
      buffers={buffers}
      buffer={buffer}
      closeAfter={prompt.closeAfter}
      texts={texts}
      workspace={workspace}
    />
  );
}

function CloseDialog({ buffers, buffer }: { buffers: BuffersStore; buffer: Buffer }) {
  return (
    <Dialog
      role="alertdialog"
      title={`Save the changes to ${buffer.title}?`}
      description="Without saving, the changes in this tab are lost."
      onClose={() => buffers.answerPrompt()}
      actions={
        <>
          <Button kind="danger" onClick={() => buffers.discard(buffer.id)}>
            Don’t Save
          </Button>
          <Button onClick={() => buffers.answerPrompt()}>Cancel</Button>
          <Button
            kind="primary"
            autoFocus
            onClick={() => {
              buffers.answerPrompt();
              void buffers.save(buffer.id, { closeAfter: true });
            }}
          >
            Save
          </Button>
        </>
      }
    />
  );
}

interface ConflictDialogProps {
  buffers: BuffersStore;
  buffer: Buffer;
  closeAfter: boolean;
  texts: TextStore;
  workspace: WorkspaceApi;
}

function ConflictDialog({ buffers, buffer, closeAfter, texts, workspace }: ConflictDialogProps) {
  const [onDisk, setOnDisk] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const { id, path } = buffer;
  const [mine] = useState(() => texts.text(id));

  useEffect(() => {
    if (path === null) return;
    workspace.read({ path }).then(
      (file) => setOnDisk(file.text),
      (reason) => setError(toErrorInfo(reason).message),
    );
  }, [workspace, path]);

  const answer = (run: () => Promise<unknown>) => {
    buffers.answerPrompt();
    void run();
  };
  return (
    <Dialog
      role="alertdialog"
      size="full"
      title={`${buffer.title} changed on disk`}
      description="Another program wrote this file after you opened it. Left: the version on disk. Right: your text."
      onClose={() => buffers.answerPrompt()}
      actions={
        <>
          <Button onClick={() => buffers.answerPrompt()}>Cancel</Button>
          <Button kind="danger" onClick={() => answer(() => buffers.reload(id))}>
            Take the Version on Disk
          </Button>
          <Button kind="primary" onClick={() => answer(() => buffers.save(id, { overwrite: true, closeAfter }))}>
            Overwrite with My Text
          </Button>
        </>
      }
    >
      {error ? <Notice kind="error" message={error} /> : null}
      <div className={styles.diff}>
        {onDisk === null ? null : (
          <DiffView
            original={onDisk}
            modified={mine}
            languageId={buffer.languageId}
            originalLabel={`${buffer.title} on disk`}
            modifiedLabel={`${buffer.title} with your changes`}
          />
        )}
      </div>
    </Dialog>
  );
}

interface SaveAsDialogProps {
  buffers: BuffersStore;
  buffer: Buffer;
  closeAfter: boolean;
  hasWorkspace: boolean;
}

function SaveAsDialog({ buffers, buffer, closeAfter, hasWorkspace }: SaveAsDialogProps) {
  const [path, setPath] = useState(buffer.path ?? '');
  const [reason, setReason] = useState<string | null>(null);
  const save = async () => {
    const invalid = invalidPathReason(path.trim());
    if (invalid) {
      setReason(invalid);
      return;
    }
    if (await buffers.saveAs(buffer.id, path.trim(), closeAfter)) buffers.answerPrompt();
    else {
      const failed = buffers.get(buffer.id)?.saveError;
      buffers.dismissSaveError(buffer.id);
      setReason(failed ? [failed.message, failed.hint].filter(Boolean).join(' ') : 'It could not be saved.');
    }
  };
  if (!hasWorkspace) {
    return (
      <Dialog
        title="Open a folder first"
        description={`${buffer.title} is saved inside the open folder, and no folder is open. Your text is kept until then, also if you close the window.`}
        onClose={() => buffers.answerPrompt()}
        actions={
          <Button kind="primary" onClick={() => buffers.answerPrompt()}>
            OK
          </Button>
        }
      />
    );
  }
  return (
    <Dialog
      title={`Save ${buffer.title} as`}
      description="Name of the file, with folders if you like: src/main.ts"
      onClose={() => buffers.answerPrompt()}
      actions={
        <>
          <Button onClick={() => buffers.answerPrompt()}>Cancel</Button>
          <Button kind="primary" onClick={() => void save()}>
            Save
          </Button>
        </>
      }
    >
      <input
        aria-label="File name"
        aria-invalid={reason !== null}
        className={styles.input}
        value={path}
        spellCheck={false}
        autoFocus
        onChange={(event) => {
          setPath(event.target.value);
          setReason(null);
        }}
        onKeyDown={(event) => event.key === 'Enter' && void save()}
      />
      {reason ? (
        <p role="alert" className={styles.reason}>
          {reason}
        </p>
      ) : null}
    </Dialog>
  );
}
