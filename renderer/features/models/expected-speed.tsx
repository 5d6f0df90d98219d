// Tokens per second to expect, by what was measured on this machine. What was never measured here is measured now, if the
// engine has nothing else to do.
import { useEffect } from 'react';
import { useStore } from 'zustand';
import { predictSharedTokensPerSecond, speedOfGpu } from '../../../electron/common/device-fit.ts';
import type { ModelsState } from '../../../electron/common/model-contract.ts';
import type { DeviceSpeed, ModelFacts } from '../../../electron/common/model-facts.ts';
import type { Device } from '../../../electron/common/role-contract.ts';
import { formatRate } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import type { LibraryStore } from './library-store.ts';

/** A model that is being loaded is soon done, a reply too. */
const retryMs = 2000;

interface ExpectedSpeedProps {
  models: LibraryStore;
  facts: ModelFacts;
  library: ModelsState;
  nCtx: number;
  /** What computes some of the layers, in their order; the processor computes those before. */
  parts: readonly { gpu: Device; nLayers: number }[];
  /** Some experts have to be brought to a GPU first, nobody knows how often. */
  hasSlots: boolean;
}

export function ExpectedSpeed({ models, facts, library, nCtx, parts, hasSlots }: ExpectedSpeedProps) {
  const isMeasuring = useStore(models.store, (state) => state.isMeasuring);
  const { speed } = library;
  const types = Object.keys(facts.readPerToken);
  const isMeasured = ({ layer, bytesPerSecond }: DeviceSpeed) =>
    layer !== null && types.every((type) => bytesPerSecond[type] !== undefined);
  const usesProcessor = parts.reduce((n, { nLayers }) => n + nLayers, 0) < facts.layers.length || parts.length === 0;
  const unknown = [
    ...(usesProcessor && !isMeasured(speed) ? ['cpu'] : []),
    ...parts.filter(({ gpu }) => !isMeasured(speedOfGpu(speed, gpu))).map(({ gpu }) => gpu.id),
  ];
  const isKnown = unknown.length === 0;
  const key = types.join();
  const [device] = unknown;
  useEffect(() => {
    if (device === undefined) return;
    let isLeft = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const measure = async () => {
      const isBusy = await models.measureSpeeds(key.split(','), device);
      if (isBusy && !isLeft) timer = setTimeout(measure, retryMs);
    };
    void measure();
    return () => {
      isLeft = true;
      clearTimeout(timer);
    };
  }, [models, device, key]);
  const speeds = parts.map(({ gpu, nLayers }) => ({ speed: speedOfGpu(speed, gpu), nLayers }));
  const [first, last] = [0, nCtx].map((nPast) => formatRate(predictSharedTokensPerSecond(facts, speed, speeds, nPast)));
  const atTheEnd = first === last ? '' : `, ${last} at the end of the context`;
  return (
    <>
      <dt>Expected speed</dt>
      <dd>
        {!isKnown && isMeasuring ? (
          'measuring this machine…'
        ) : (
          <>
            {hasSlots ? 'at most' : 'about'} {first}
            {atTheEnd}
            {isKnown ? ', by what was measured on this machine' : ', a guess: '}
            {device === undefined ? null : (
              <Button kind="quiet" onClick={() => void models.measureSpeeds(types, device)}>
                Measure This Machine
              </Button>
            )}
          </>
        )}
      </dd>
    </>
  );
}
