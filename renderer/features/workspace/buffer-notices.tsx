// Messages above the text: a save that failed, a file that changed or went away, a file that cannot be written.
import { Button } from '../../ui/button.tsx';
import { Notice } from '../../ui/notice.tsx';
import type { Buffer } from './buffer.ts';
import type { BuffersStore } from './buffers-store.ts';
import styles from './editor-pane.module.css';

export function BufferNotices({ buffer, buffers }: { buffer: Buffer; buffers: BuffersStore }) {
  const { id, title, saveError, disk, isReadOnly } = buffer;
  const isAskedElsewhere = disk === 'changed' && !buffer.isDirty;
  if (!saveError && disk === 'same' && !isReadOnly) return null;
  return (
    <div role="alert" className={styles.notices}>
      {saveError ? (
        <Notice
          kind="error"
          message={saveError.message}
          hint={saveError.hint ?? 'Your text is still here and is backed up.'}
          detail={saveError.detail}
          actions={
            <>
              {saveError.code === 'FILE_ENCODING' ? (
                <Button onClick={() => void buffers.saveInUtf8(id)}>Save as UTF-8</Button>
              ) : (
                <Button onClick={() => void buffers.save(id)}>Try Again</Button>
              )}
              <Button onClick={() => buffers.askSaveAs(id)}>Save As…</Button>
              <Button kind="quiet" onClick={() => buffers.dismissSaveError(id)}>
                Dismiss
              </Button>
            </>
          }
        />
      ) : null}
      {disk === 'changed' && !isAskedElsewhere ? (
        <Notice
          kind="warning"
          message={`${title} changed on disk while you have unsaved changes here.`}
          actions={
            <>
              <Button onClick={() => buffers.askConflict(id)}>Compare…</Button>
              <Button onClick={() => void buffers.reload(id)}>Take the Version on Disk</Button>
            </>
          }
        />
      ) : null}
      {disk === 'deleted' ? (
        <Notice
          kind="warning"
          message={`${title} was deleted or moved on disk. This tab holds its last text.`}
          actions={<Button onClick={() => void buffers.save(id)}>Save It Again</Button>}
        />
      ) : null}
      {isReadOnly ? (
        <Notice
          kind="info"
          message={`${title} is read-only on disk. You can edit it here and save it under another name.`}
          actions={<Button onClick={() => buffers.askSaveAs(id)}>Save As…</Button>}
        />
      ) : null}
    </div>
  );
}
