// "Attach a File or Folder": every path of the open folder.
import { Folder } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import type { WorkspaceApi } from '../../../electron/common/api.ts';
import { toErrorInfo } from '../../../electron/common/error-info.ts';
import { ancestors, shownName } from '../../lib/paths.ts';
import { Picker } from '../../ui/picker.tsx';
import { FileIcon } from './file-icon.tsx';
import { kMostPaths, noPath } from './quick-open.tsx';

interface AttachPickerProps {
  workspace: WorkspaceApi;
  onPick: (path: string, isFolder: boolean) => void;
  onClose: () => void;
}

export function AttachPicker({ workspace, onPick, onClose }: AttachPickerProps) {
  const [found, setFound] = useState<{ paths: readonly string[]; truncated: boolean } | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    workspace.findFiles({ limit: kMostPaths }).then(setFound, (reason) => setError(toErrorInfo(reason).message));
  }, [workspace]);
  const items = useMemo(() => {
    const paths = found?.paths ?? [];
    const folders = [...new Set(paths.flatMap(ancestors))];
    return [
      ...paths.map((path) => ({ id: path, text: shownName(path), icon: <FileIcon path={path} /> })),
      ...folders.map((path) => ({
        id: `${path}/`,
        text: `${shownName(path)}/`,
        icon: <Folder size={14} aria-hidden />,
      })),
    ];
  }, [found]);
  return (
    <Picker
      label="Attach a file or folder"
      placeholder="Name or path of a file or folder"
      items={items}
      emptyText={error ?? noPath(found, 'Nothing matches.')}
      onPick={(id) => onPick(id.replace(/\/$/, ''), id.endsWith('/'))}
      onClose={onClose}
    />
  );
}
