// The tabs of the open files. Middle click and the cross close, a dot marks unsaved text, dragging reorders.
import { X } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { useStore } from 'zustand';
import { tabLabels } from './buffer.ts';
import type { BuffersStore } from './buffers-store.ts';
import { FileIcon } from './file-icon.tsx';
import styles from './tab-bar.module.css';

interface TabBarProps {
  buffers: BuffersStore;
  /** Of the half of the editor that it stands over. */
  activeId: string | null;
  isRight: boolean;
  panelId: string;
  /** A tab was clicked: the next keys are meant for its text. */
  onPicked: () => void;
}

/** Of the element of a tab. */
export function tabId(bufferId: string, isRight: boolean): string {
  return `tab-${isRight ? 'right-' : ''}${bufferId}`;
}

export function TabBar({ buffers, activeId, isRight, panelId, onPicked }: TabBarProps) {
  const { tabs, split, buffers: byId } = useStore(buffers.store);
  const host = useRef<HTMLDivElement>(null);
  const open = tabs.flatMap((id) => byId[id] ?? []);
  const labels = tabLabels(open);

  useEffect(() => {
    const bar = host.current;
    if (activeId === null || bar === null) return;
    // With the button that closes it, which is beside the tab itself; also in a window that becomes narrower.
    const observer = new ResizeObserver(() =>
      bar.querySelector('[data-active="true"]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }),
    );
    observer.observe(bar); // which tells of the size now, too
    return () => observer.disconnect();
  }, [activeId]);

  if (open.length === 0) return null;
  return (
    <div
      ref={host}
      role="tablist"
      aria-label={split === null ? 'Open files' : isRight ? 'Open files, right half' : 'Open files, left half'}
      className={styles.bar}
      onWheel={(event) => {
        if (host.current && event.deltaX === 0) host.current.scrollLeft += event.deltaY;
      }}
    >
      {open.map((buffer, index) => {
        const isActive = buffer.id === activeId;
        const label = labels.get(buffer.id);
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: pointer extras; the tab inside has the keys
          <div
            key={buffer.id}
            role="presentation"
            className={styles.tab}
            data-active={isActive}
            draggable
            onDragStart={(event) => event.dataTransfer.setData('application/x-outpost-tab', buffer.id)}
            onDragOver={(event) =>
              event.dataTransfer.types.includes('application/x-outpost-tab') && event.preventDefault()
            }
            onDrop={(event) => {
              event.preventDefault();
              buffers.moveTab(event.dataTransfer.getData('application/x-outpost-tab'), index);
            }}
            onAuxClick={(event) => event.button === 1 && buffers.close(buffer.id)}
          >
            <button
              type="button"
              role="tab"
              id={tabId(buffer.id, isRight)}
              aria-selected={isActive}
              aria-controls={panelId}
              aria-label={buffer.isDirty ? `${buffer.title}, unsaved` : buffer.title}
              tabIndex={isActive ? 0 : -1}
              title={buffer.path ?? buffer.title}
              className={styles.button}
              onClick={({ detail: nClicks }) => {
                void buffers.activate(buffer.id).then(() => nClicks > 0 && onPicked());
              }}
              onKeyDown={(event) => {
                if (event.key === 'Delete') buffers.close(buffer.id);
                const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
                if (step === undefined) return;
                event.preventDefault();
                void buffers.activateNext(step).then(() => {
                  host.current?.querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
                });
              }}
            >
              <FileIcon path={buffer.path ?? buffer.title} />
              <span className={`${styles.name} ${buffer.disk === 'deleted' ? styles.deleted : ''}`}>{label?.name}</span>
              {label?.folder ? <span className={styles.folder}>{label.folder}</span> : null}
            </button>
            {/* For the pointer only: a tab list may hold nothing but tabs. The keyboard has Delete and Ctrl+W. */}
            <button
              type="button"
              tabIndex={-1}
              aria-hidden
              title="Close"
              className={styles.close}
              data-dirty={buffer.isDirty}
              onClick={() => buffers.close(buffer.id)}
            >
              <X size={14} aria-hidden className={styles.cross} />
              <span className={styles.dot} aria-hidden />
            </button>
          </div>
        );
      })}
    </div>
  );
}
