// What computes a model: the processor, or one of the GPUs as a whole. Shown only where there is a choice.
import type { ModelEntry } from '../../../electron/common/model-contract.ts';
import type { Device } from '../../../electron/common/role-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Field } from '../../ui/field.tsx';
import styles from './draft-choice.module.css';
import type { LibraryStore } from './library-store.ts';

interface DeviceChoiceProps {
  models: LibraryStore;
  model: ModelEntry;
  gpus: readonly Device[];
}

const cpu = 'cpu';

export function DeviceChoice({ models, model: { id, overrides }, gpus }: DeviceChoiceProps) {
  const { device, ...rest } = overrides;
  const choose = (value: string) =>
    void models.run((app) => app.update({ id, overrides: value === cpu ? rest : { ...rest, device: value } }));
  return (
    <div className={styles.choice}>
      <Field label="Computes on" hint="No other takes its place: a GPU that cannot hold the model says so.">
        {({ id: fieldId, hintId }) => (
          <select
            id={fieldId}
            aria-describedby={hintId}
            className={styles.select}
            value={device ?? cpu}
            onChange={(event) => choose(event.target.value)}
          >
            <option value={cpu}>The processor</option>
            {device === undefined || gpus.some((gpu) => gpu.id === device) ? null : (
              <option value={device}>{device}, which is not there now</option>
            )}
            {gpus.map((gpu) => (
              <option key={gpu.id} value={gpu.id}>
                {gpu.name}, {formatBytes(gpu.freeBytes)} of {formatBytes(gpu.totalBytes)} free
              </option>
            ))}
          </select>
        )}
      </Field>
    </div>
  );
}
