// What computes a model: the processor, or one of the GPUs, and how many layers of it. Shown only where there is a choice, or
// where one was made: also when the GPU is gone, the processor can take its place.
import type { ModelEntry } from '../../../electron/common/model-contract.ts';
import type { Device } from '../../../electron/common/role-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Field } from '../../ui/field.tsx';
import styles from './draft-choice.module.css';
import type { LibraryStore } from './library-store.ts';
import { OptionalNumberField } from './optional-number-field.tsx';

interface DeviceChoiceProps {
  models: LibraryStore;
  model: ModelEntry;
  gpus: readonly Device[];
}

const cpu = 'cpu';

export function DeviceChoice({ models, model: { id, overrides, facts }, gpus }: DeviceChoiceProps) {
  const { device, deviceLayers, ...rest } = overrides;
  const set = (own: Pick<ModelEntry['overrides'], 'device' | 'deviceLayers'>) =>
    void models.run((app) => app.update({ id, overrides: { ...rest, ...own } }));
  return (
    <div className={styles.choice}>
      <Field
        label="Computes on"
        hint="A GPU takes as many layers as it has room for, and the processor the others. No other device takes the place of one that is chosen."
      >
        {({ id: fieldId, hintId }) => (
          <select
            id={fieldId}
            aria-describedby={hintId}
            className={styles.select}
            value={device ?? cpu}
            onChange={({ target: { value } }) => set(value === cpu ? {} : { device: value })}
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
      {device === undefined ? null : (
        <div className={styles.layers}>
          <OptionalNumberField
            label="Layers on the GPU"
            placeholder="as many as fit"
            min={1}
            max={facts?.layers.length ?? 4096}
            step={1}
            value={deviceLayers}
            onChange={(n) => set(n === undefined ? { device } : { device, deviceLayers: n })}
          />
        </div>
      )}
    </div>
  );
}
