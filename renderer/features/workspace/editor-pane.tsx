// The centre: tabs, what is wrong with the active file (if anything), and its text.
import { FileWarning } from 'lucide-react';
import type { ReactNode } from 'react';
import { useStore } from 'zustand';
import type { CursorInfo } from '../../editor/code-editor.tsx';
import type { EditorHandle } from '../../editor/editor-handle.ts';
import { CodeEditor } from '../../editor/editor-views.tsx';
import type { MonacoTextStore } from '../../editor/monaco-text-store.ts';
import { Button } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Spinner } from '../../ui/progress.tsx';
import type { Buffer } from './buffer.ts';
import { BufferNotices } from './buffer-notices.tsx';
import { shownIn } from './buffers-state.ts';
import type { BuffersStore } from './buffers-store.ts';
import styles from './editor-pane.module.css';
import { TabBar, tabId } from './tab-bar.tsx';

interface EditorPaneProps {
  buffers: BuffersStore;
  texts: MonacoTextStore;
  fontSize: number;
  /** Which half of a split editor; without a split there is only the left one. */
  isRight: boolean;
  onCursor: (cursor: CursorInfo) => void;
  onHandle: (handle: EditorHandle | null) => void;
  onTabPicked: () => void;
  /** Drawn between the tabs and the text of a file that is shown. */
  above: (active: Buffer) => ReactNode;
  /** Drawn over the text; null for nothing. */
  over: (active: Buffer) => ReactNode;
  /** Shown while no file is open. */
  welcome: ReactNode;
}

export function EditorPane({
  buffers,
  texts,
  fontSize,
  isRight,
  onCursor,
  onHandle,
  onTabPicked,
  above,
  over,
  welcome,
}: EditorPaneProps) {
  const active = useStore(buffers.store, (state) => state.buffers[shownIn(state, isRight) ?? '']);
  const panelId = isRight ? 'editor-panel-right' : 'editor-panel';
  if (!active) return <div className={styles.welcome}>{welcome}</div>;
  const cover = active.status === 'ready' ? over(active) : null;
  return (
    <div className={styles.pane} onFocusCapture={() => buffers.focusHalf(isRight)}>
      <TabBar buffers={buffers} activeId={active.id} isRight={isRight} panelId={panelId} onPicked={onTabPicked} />
      {active.status === 'ready' ? above(active) : null}
      <BufferNotices buffer={active} buffers={buffers} />
      <div id={panelId} role="tabpanel" aria-labelledby={tabId(active.id, isRight)} className={styles.body}>
        {active.status === 'ready' ? (
          <>
            <div className={styles.text} inert={cover !== null}>
              <CodeEditor
                texts={texts}
                bufferId={active.id}
                label={active.title}
                fontSize={fontSize}
                isReadOnly={false}
                onCursor={onCursor}
                onHandle={onHandle}
              />
            </div>
            {cover}
          </>
        ) : active.status === 'failed' ? (
          <EmptyState
            icon={<FileWarning size={28} strokeWidth={1.5} aria-hidden />}
            title={`${active.title} cannot be shown`}
            text={[active.error?.message, active.error?.hint].filter(Boolean).join(' ')}
          >
            <Button onClick={() => void buffers.read(active.id)}>Try Again</Button>
            <Button onClick={() => buffers.close(active.id)}>Close Tab</Button>
          </EmptyState>
        ) : (
          <p role="status" className={styles.reading}>
            <Spinner /> Reading {active.title}
          </p>
        )}
      </div>
    </div>
  );
}
