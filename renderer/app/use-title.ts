// The window's title: file, folder, app. The dot says that something is not saved.
import { useEffect } from 'react';
import { useStore } from 'zustand';
import type { AppModel } from './app-model.ts';

export function useTitle(model: AppModel): void {
  const folder = useStore(model.workspace, (state) => state.workspace?.name);
  const file = useStore(model.buffers.store, ({ activeId, buffers }) => {
    const active = activeId === null ? undefined : buffers[activeId];
    return active ? `${active.isDirty ? '● ' : ''}${active.title}` : undefined;
  });
  useEffect(() => {
    document.title = [file, folder, 'Outpost'].filter(Boolean).join(' – ');
  }, [file, folder]);
}
