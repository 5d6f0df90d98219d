// What is in memory, by model and by what it is for, against what this machine has: the main memory, and each GPU's, with
// what its sensors say.
import { useEffect } from 'react';
import { useStore } from 'zustand';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import { type DeviceSensors, isUsable } from '../../../electron/common/role-contract.ts';
import { formatBytes, formatCount } from '../../lib/format.ts';
import { nameOfGpu } from './device-names.ts';
import type { LibraryStore } from './library-store.ts';
import styles from './memory-bar.module.css';
import { memoryKinds as kinds, type MemoryParts, memoryParts } from './memory-parts.ts';

const kindNames = { weights: 'Weights', kv: 'Context (KV cache)', other: 'Working memory', draft: 'Draft models' };

export function MemoryBar({ models, library }: { models: LibraryStore; library: ModelsState }) {
  const loaded = useStore(models.store, (state) => state.loaded);
  const { totalBytes, freeBytes, gpus: all } = library.memory;
  const gpus = all.filter(isUsable);
  const hasGpus = gpus.length > 0;
  const sharing = gpus.filter(({ sharesMemory }) => sharesMemory);
  const main = memoryParts(loaded, ['cpu', ...sharing.map(({ id }) => id)]);
  useEffect(() => {
    if (!hasGpus) return;
    const timer = setInterval(() => models.lookAtGpus(), lookMs);
    return () => clearInterval(timer);
  }, [models, hasGpus]);
  return (
    <div className={styles.memory}>
      <Bar name={null} sensors={null} parts={main} totalBytes={totalBytes} freeBytes={freeBytes} />
      {gpus.map((gpu) => (
        <Bar
          key={gpu.id}
          name={nameOfGpu(gpu, all)}
          sensors={gpu.sensors}
          parts={memoryParts(loaded, [gpu.id])}
          totalBytes={gpu.totalBytes}
          freeBytes={gpu.freeBytes}
        />
      ))}
    </div>
  );
}

/** While the bar is shown, GPUs are asked so often. */
const lookMs = 2000;

const isHot = ({ temperatureC, slowdownC }: DeviceSensors) =>
  temperatureC !== null && slowdownC !== null && temperatureC >= slowdownC;

/** "71 °C, 213 of 350 W, 1,755 MHz, 83 % busy", as far as there are sensors. */
function sensorsText(sensors: DeviceSensors): string {
  const { temperatureC, powerWatts, powerLimitWatts, clockMhz, busy } = sensors;
  const limit = powerLimitWatts === null ? '' : ` of ${formatCount(powerLimitWatts)}`;
  return [
    temperatureC === null ? null : `${formatCount(temperatureC)} °C${isHot(sensors) ? ', slowed down by heat' : ''}`,
    powerWatts === null ? null : `${formatCount(powerWatts)}${limit} W`,
    clockMhz === null ? null : `${formatCount(clockMhz)} MHz`,
    busy === null ? null : `${formatCount(busy * 100)} % busy`,
  ]
    .filter(Boolean)
    .join(', ');
}

interface BarProps {
  /** Of a GPU; null for the main memory. */
  name: string | null;
  sensors: DeviceSensors | null;
  parts: MemoryParts;
  totalBytes: number;
  freeBytes: number;
}

function Bar({ name, sensors, parts, totalBytes, freeBytes }: BarProps) {
  const ours = kinds.reduce((n, kind) => n + parts[kind], 0);
  const others = Math.max(0, totalBytes - freeBytes - ours);
  const width = (bytes: number) => ({ width: `${(bytes / totalBytes) * 100}%` });
  const label = `${name ?? 'Memory'}: models take ${formatBytes(ours)}, ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free`;
  const shown = name === null ? kinds : kinds.filter((kind) => parts[kind] > 0);
  return (
    <div className={styles.place}>
      <div role="img" aria-label={label} className={styles.bar}>
        {kinds.map((kind) => (
          <span key={kind} className={styles[kind]} style={width(parts[kind])} />
        ))}
        <span className={styles.others} style={width(others)} />
      </div>
      <ul className={styles.legend}>
        {name === null ? null : <li>{name}</li>}
        {shown.map((kind) => (
          <li key={kind}>
            <span className={`${styles.key} ${styles[kind]}`} aria-hidden />
            {kindNames[kind]} {formatBytes(parts[kind])}
          </li>
        ))}
        <li>
          <span className={`${styles.key} ${styles.others}`} aria-hidden />
          Everything else {formatBytes(others)}
        </li>
        {sensors ? <li className={isHot(sensors) ? styles.hot : undefined}>{sensorsText(sensors)}</li> : null}
        <li>
          {formatBytes(freeBytes)} free of {formatBytes(totalBytes)}
        </li>
      </ul>
    </div>
  );
}
