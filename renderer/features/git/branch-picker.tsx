// Goes to another branch, or begins one with the name that is typed.
import { GitBranch, Plus } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import { useStore } from 'zustand';
import { Picker, type PickerItem } from '../../ui/picker.tsx';
import type { GitStore } from './git-store.ts';

const kNew = 'new:';

export function BranchPicker({ git, onClose }: { git: GitStore; onClose: () => void }) {
  const current = useStore(git.store, ({ status }) => (status?.state === 'repository' ? status.branch : null));
  const [names, setNames] = useState<readonly string[]>([]);
  const [query, setQuery] = useState('');
  useEffect(() => {
    void git.branches().then(setNames, () => setNames([]));
  }, [git]);
  const items = useMemo<PickerItem[]>(() => {
    const wanted = query.trim();
    const existing = names.map((name) => ({
      id: name,
      text: name,
      icon: <GitBranch size={14} aria-hidden />,
      ...(name === current ? { description: 'is shown', isDisabled: true } : {}),
    }));
    if (wanted === '' || names.includes(wanted)) return existing;
    const created = {
      id: `${kNew}${wanted}`,
      text: wanted,
      description: 'new branch',
      icon: <Plus size={14} aria-hidden />,
    };
    return [...existing, created];
  }, [names, current, query]);
  return (
    <Picker
      label="Switch branch"
      placeholder="A branch, or the name of a new one"
      items={items}
      emptyText="No branch matches."
      query={query}
      onQuery={setQuery}
      onPick={(id) => void git.switchTo(id.startsWith(kNew) ? id.slice(kNew.length) : id, id.startsWith(kNew))}
      onClose={onClose}
    />
  );
}
