// "Go to File": every file of the folder, found by letters of its path.
import { useEffect, useMemo, useState } from 'react';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import { Picker } from '../../ui/picker.tsx';
import { FileIcon } from './file-icon.tsx';

interface QuickOpenProps {
  workspace: WorkspaceApi;
  onOpen: (path: string) => void;
  onClose: () => void;
}

/** Paths that are matched; a monorepo of this size still answers within a frame or two. */
const kMostPaths = 20_000;

export function QuickOpen({ workspace, onOpen, onClose }: QuickOpenProps) {
  const [paths, setPaths] = useState<readonly string[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    workspace.findFiles({ limit: kMostPaths }).then(
      (found) => setPaths(found.paths),
      (reason) => setError(toErrorInfo(reason).message),
    );
  }, [workspace]);
  const items = useMemo(
    () => (paths ?? []).map((path) => ({ id: path, text: path, icon: <FileIcon path={path} /> })),
    [paths],
  );
  return (
    <Picker
      label="Go to file"
      placeholder="Name or path of a file"
      items={items}
      emptyText={error ?? (paths === null ? 'Reading the folder…' : 'No file matches.')}
      onPick={onOpen}
      onClose={onClose}
    />
  );
}
