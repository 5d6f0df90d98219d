// What of the settings a model has of its own, each with a way back, and notes.
import type { ModelEntry } from '../../../electron/common/model-contract.ts';
import { Button } from '../../ui/button.tsx';
import { TextAreaField } from '../../ui/field.tsx';
import type { LibraryStore } from './library-store.ts';
import styles from './model-overrides.module.css';
import { OptionalNumberField } from './optional-number-field.tsx';

const samplerFields = [
  { key: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05 },
  { key: 'topK', label: 'Top k', min: 0, max: 1000, step: 1 },
  { key: 'topP', label: 'Top p', min: 0.01, max: 1, step: 0.01 },
  { key: 'minP', label: 'Min p', min: 0, max: 1, step: 0.01 },
  { key: 'repeatPenalty', label: 'Repeat penalty', min: 1, max: 2, step: 0.05 },
  { key: 'maxTokens', label: 'Longest reply, tokens', min: 1, max: 32_768, step: 1 },
] as const;

export function ModelOverrides({ models, model }: { models: LibraryStore; model: ModelEntry }) {
  const { id, overrides, notes } = model;
  const change = (next: Partial<ModelEntry['overrides']>) =>
    void models.run((app) => app.update({ id, overrides: withoutAbsent({ ...overrides, ...next }) }));
  const isChanged =
    Object.values(overrides.sampler).some((value) => value !== undefined) ||
    overrides.nCtx !== undefined ||
    overrides.chatTemplate !== undefined;
  return (
    <details className={styles.details}>
      <summary>Settings of this model{isChanged ? ' (changed)' : ''}</summary>
      <p className={styles.hint}>Empty fields take what the settings say.</p>
      <div className={styles.fields}>
        {samplerFields.map(({ key, ...field }) => (
          <OptionalNumberField
            key={key}
            {...field}
            value={overrides.sampler[key]}
            onChange={(value) => change({ sampler: { ...overrides.sampler, [key]: value } })}
          />
        ))}
        <OptionalNumberField
          label="Context, tokens"
          min={0}
          max={model.facts?.nCtxTrain ?? 1_048_576}
          step={1}
          value={overrides.nCtx}
          onChange={(nCtx) => change({ nCtx })}
        />
      </div>
      <TextAreaField
        label="Chat template"
        hint="Jinja, in place of the one in the file. Empty takes the file's."
        value={overrides.chatTemplate ?? ''}
        maxLength={200_000}
        onChange={(text) => change({ chatTemplate: text.trim() === '' ? undefined : text })}
      />
      <TextAreaField
        label="Notes"
        value={notes}
        maxLength={10_000}
        onChange={(text) => void models.run((app) => app.update({ id, notes: text }))}
      />
      <Button disabled={!isChanged} onClick={() => change({ sampler: {}, nCtx: undefined, chatTemplate: undefined })}>
        Take Everything from the Settings
      </Button>
    </details>
  );
}

type Optional<T> = { [K in keyof T]: T[K] | undefined };

/** Fields that are undefined are left out: over the wire they would be something else. */
function withoutAbsent({ sampler, ...rest }: Optional<ModelEntry['overrides']>): ModelEntry['overrides'] {
  const present = (object: object) =>
    Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
  return { ...present(rest), sampler: present(sampler ?? {}) };
}
