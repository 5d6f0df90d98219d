// What a model does: in every folder, or otherwise in the one that is open.
import { useState } from 'react';
import type { ModelEntry, ModelsState } from '../../../electron/common/model-contract.ts';
import type { ModelRole } from '../../../electron/common/role-contract.ts';
import { Button } from '../../ui/button.tsx';
import type { LibraryStore } from './library-store.ts';
import styles from './model-roles.module.css';

interface ModelRolesProps {
  models: LibraryStore;
  model: ModelEntry;
  library: ModelsState;
  hasFolder: boolean;
}

const names: Record<ModelRole, string> = {
  chat: 'Chat',
  inline: 'Inline completion',
  draft: 'Draft for a larger model',
  embedding: 'Search by meaning',
};

export function ModelRoles({ models, model, library, hasFolder }: ModelRolesProps) {
  const [isFolderOnly, setIsFolderOnly] = useState(library.workspaceRoles.length > 0);
  const isEverywhere = !(hasFolder && isFolderOnly);
  return (
    <section aria-label="Roles" className={styles.roles}>
      <div className={styles.buttons}>
        {(['chat', 'inline', 'draft', 'embedding'] as const).map((role) => {
          const isMine = library.roles[role] === model.id;
          // Somebody has to answer in the chat; it is given to another, never to nobody.
          const isFixed = isMine && role === 'chat';
          return (
            <Button
              key={role}
              aria-pressed={isMine}
              className={isMine ? styles.mine : undefined}
              disabled={model.state !== 'ready' && !isMine}
              onClick={() => {
                if (!isFixed) void models.setRole(role, isMine ? null : model.id, isEverywhere);
              }}
            >
              {names[role]}
            </Button>
          );
        })}
      </div>
      {hasFolder ? (
        <div className={styles.scope}>
          <label>
            <input type="checkbox" checked={isFolderOnly} onChange={() => setIsFolderOnly(!isFolderOnly)} /> Only in
            this folder
          </label>
          {library.workspaceRoles.map((role) => (
            <Button key={role} kind="quiet" onClick={() => void models.setRole(role, undefined, false)}>
              {names[role]}: as everywhere
            </Button>
          ))}
        </div>
      ) : null}
    </section>
  );
}
