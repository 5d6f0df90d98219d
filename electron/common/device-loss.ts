// A GPU that failed and does not recover in the engine's process. Its models compute nothing any more there: main starts
// another process in its place.
import { z } from 'zod';
import { toErrorInfo } from './error-info.ts';

/** engine process → main, on `process.parentPort`. `message` is the engine's own sentence. */
export const deviceLossSchema = z.object({ type: z.literal('device-lost'), message: z.string() });
export type DeviceLoss = z.infer<typeof deviceLossSchema>;

/** @returns what hears of every failure, and tells of the first one that is the loss of a device */
export function watchForDeviceLoss(tell: (loss: DeviceLoss) => void): (failure: unknown) => void {
  let isTold = false;
  return (failure) => {
    const { code, message } = toErrorInfo(failure);
    if (isTold || code !== 'DEVICE_LOST') return;
    isTold = true;
    tell({ type: 'device-lost', message });
  };
}
