// The model that guesses ahead for another: those that fit are offered, and of the others it says why they do not.
import { draftFit, draftOf } from '../../../electron/common/draft-fit.ts';
import type { ModelEntry, ModelsState } from '../../../electron/common/model-contract.ts';
import { Field } from '../../ui/field.tsx';
import styles from './draft-choice.module.css';
import type { LibraryStore } from './library-store.ts';

interface DraftChoiceProps {
  models: LibraryStore;
  model: ModelEntry;
  library: ModelsState;
}

const automatic = 'automatic';
const none = 'none';

export function DraftChoice({ models, model, library }: DraftChoiceProps) {
  const { id, overrides } = model;
  const others = library.models.filter((other) => other.id !== id);
  const fits = others.map((other) => ({ ...other, fit: draftFit(model, other) }));
  const usual = draftOf({ ...model, overrides: { sampler: {} } }, library.models, library.roles);
  const { draftId } = overrides;
  const choose = (value: string) => {
    const { draftId: _, ...rest } = overrides;
    const chosen = value === automatic ? {} : { draftId: value === none ? null : value };
    void models.run((app) => app.update({ id, overrides: { ...rest, ...chosen } }));
  };
  const misfits = fits.filter(({ fit }) => fit.kind === 'none');
  return (
    <div className={styles.choice}>
      <Field label="Draft model" hint="Guesses ahead; this model checks. Replies are the same, and come sooner.">
        {({ id: fieldId, hintId }) => (
          <select
            id={fieldId}
            aria-describedby={hintId}
            className={styles.select}
            value={draftId === undefined ? automatic : (draftId ?? none)}
            onChange={(event) => choose(event.target.value)}
          >
            <option value={automatic}>Automatic: {usual?.name ?? 'none of its vocabulary'}</option>
            <option value={none}>None</option>
            {fits.map((other) =>
              other.fit.kind === 'none' ? null : (
                <option key={other.id} value={other.id}>
                  {other.name}
                  {other.fit.kind === 'sameText' ? ', another vocabulary' : ''}
                </option>
              ),
            )}
          </select>
        )}
      </Field>
      {misfits.length > 0 ? (
        <details>
          <summary>Why not the others</summary>
          <ul className={styles.reasons}>
            {misfits.map(({ id: otherId, name, fit }) => (
              <li key={otherId}>
                {name}: {fit.reason}
              </li>
            ))}
          </ul>
        </details>
      ) : null}
    </div>
  );
}
