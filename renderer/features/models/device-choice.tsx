// What computes a model: the processor, or GPUs, and how many layers of it. Shown only where there is a choice, or where one
// was made: also when the GPU is gone, the processor can take its place.
import { useId } from 'react';
import type { ModelEntry } from '../../../electron/common/model-contract.ts';
import { type Device, gpusOf, mainMemory } from '../../../electron/common/role-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { Field } from '../../ui/field.tsx';
import { Notice } from '../../ui/notice.tsx';
import { deviceProblem, gpuChoices, namesOfDevice, refusingGpus } from './device-names.ts';
import styles from './draft-choice.module.css';
import type { LibraryStore } from './library-store.ts';
import { OptionalNumberField } from './optional-number-field.tsx';

interface DeviceChoiceProps {
  models: LibraryStore;
  model: ModelEntry;
  /** Those that there are. */
  gpus: readonly Device[];
  /** The model's error says already what is wrong with its GPU. */
  isExplained: boolean;
}

export function DeviceChoice({ models, model, gpus, isExplained }: DeviceChoiceProps) {
  const { facts, overrides } = model;
  const { device = mainMemory, deviceLayers } = overrides;
  const problem = deviceProblem(device, gpus);
  const choices = gpuChoices(gpus);
  // Of what is chosen itself the notice below tells.
  const refusing = refusingGpus(gpus).filter(({ id }) => !gpusOf(device).includes(id));
  const reasonsId = useId();
  return (
    <div className={styles.choice}>
      <Field
        label="Computes on"
        hint="A GPU takes as many layers as it has room for, and the processor the others. No other device takes the place of one that is chosen."
      >
        {({ id, hintId }) => (
          <select
            id={id}
            aria-describedby={refusing.length > 0 ? `${hintId} ${reasonsId}` : hintId}
            className={styles.select}
            value={device}
            onChange={({ target: { value } }) => void setDevice(models, model, value)}
          >
            <option value={mainMemory}>The processor</option>
            {device === mainMemory || choices.some((choice) => choice.id === device) ? null : (
              <option value={device}>
                {namesOfDevice(device, gpus)}
                {problem ? ', which cannot be used now' : ''}
              </option>
            )}
            {choices.map(({ id: gpu, name, freeBytes, totalBytes }) => (
              <option key={gpu} value={gpu}>
                {name}, {formatBytes(freeBytes)} of {formatBytes(totalBytes)} free
              </option>
            ))}
            {refusing.map(({ id: gpu, name }) => (
              <option key={gpu} value={gpu} disabled>
                {name}, which cannot be used now
              </option>
            ))}
          </select>
        )}
      </Field>
      {refusing.length > 0 ? (
        <ul id={reasonsId} className={styles.refusing}>
          {refusing.map(({ id, name, reason }) => (
            <li key={id}>
              {name} cannot be used now: {reason}
            </li>
          ))}
        </ul>
      ) : null}
      {problem && !isExplained ? (
        <div role="status">
          <Notice
            kind="warning"
            message={problem.message}
            hint={problem.hint}
            actions={<ProcessorButton models={models} model={model} />}
          />
        </div>
      ) : null}
      {gpusOf(device).length === 1 ? (
        <div className={styles.layers}>
          <OptionalNumberField
            label="Layers on the GPU"
            placeholder="as many as fit"
            min={1}
            max={facts?.layers.length ?? 4096}
            step={1}
            value={deviceLayers}
            onChange={(n) => void setDevice(models, model, device, n)}
          />
        </div>
      ) : null}
    </div>
  );
}

/** For a model whose GPU has no room, or cannot be used. */
export function ProcessorButton({ models, model }: Pick<DeviceChoiceProps, 'models' | 'model'>) {
  return <Button onClick={() => void setDevice(models, model, mainMemory)}>Use the Processor</Button>;
}

function setDevice(
  models: LibraryStore,
  { id, overrides }: ModelEntry,
  device: string,
  nLayers?: number,
): Promise<void> {
  const { device: _, deviceLayers: __, ...rest } = overrides;
  const own = device === mainMemory ? {} : { device, ...(nLayers === undefined ? {} : { deviceLayers: nLayers }) };
  return models.run((app) => app.update({ id, overrides: { ...rest, ...own } }));
}
