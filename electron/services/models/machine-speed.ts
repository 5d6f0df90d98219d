// How fast this machine reads weights while it decodes: what predictions of tokens per second are made of. It starts
// from a guess; the engine measures the types that somebody asks about, and every measured reply makes it better.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { guessedGpuSpeed } from '../../common/device-fit.ts';
import {
  type DeviceSpeed,
  type MachineSpeed,
  type ModelFacts,
  machineSpeedSchema,
  secondsBesides,
  weightSeconds,
} from '../../common/model-facts.ts';
import type { MeasuredSpeeds } from '../../common/role-contract.ts';

/** Two channels of ordinary memory; wrong by a factor of two in either direction until something was measured. */
export const guess: MachineSpeed = {
  bytesPerSecond: {},
  other: 20e9,
  layer: null,
  overheadSeconds: 0.0005,
  gpus: {},
};
/** A model that reads less per token is slow for other reasons than memory: it says nothing about larger ones. */
const leastRead = 64 << 20;
/** Weight of the newest measurement. */
const learningRate = 0.4;

export class SpeedFile {
  readonly #path: string;
  #speed: MachineSpeed;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#speed = machineSpeedSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch {
      this.#speed = guess;
    }
  }

  get current(): MachineSpeed {
    return this.#speed;
  }

  /** What the engine measured, of types that were not known. @param key of a GPU; null for the processor */
  measured(measured: MeasuredSpeeds, key: string | null = null): void {
    const { gpus } = this.#speed;
    if (key === null) this.#set({ ...this.#speed, ...withMeasured(this.#speed, measured) });
    else this.#set({ ...this.#speed, gpus: { ...gpus, [key]: withMeasured(gpus[key] ?? guessedGpuSpeed, measured) } });
  }

  /** @param nPast positions that were in the context, in the middle of the reply */
  learn(facts: ModelFacts, tokensPerSecond: number, nPast: number): void {
    this.#set(learned(this.#speed, facts, tokensPerSecond, nPast));
  }

  #set(speed: MachineSpeed): void {
    this.#speed = speed;
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify(this.#speed));
      renameSync(`${this.#path}.new`, this.#path);
    } catch {} // it is learned again
  }
}

function withMeasured({ bytesPerSecond, other }: DeviceSpeed, { weights, layer }: MeasuredSpeeds): DeviceSpeed {
  const known = { ...weights, ...bytesPerSecond };
  const middle = Object.values(known).sort((a, b) => a - b)[Object.keys(known).length >> 1];
  return { bytesPerSecond: known, layer, other: middle ?? other };
}

/** Each type that a model has moves by as much as its part of the reading is. */
export function learned(speed: MachineSpeed, facts: ModelFacts, tokensPerSecond: number, nPast: number): MachineSpeed {
  const entries = Object.entries(facts.readPerToken);
  const total = entries.reduce((sum, [, bytes]) => sum + bytes, 0);
  if (total < leastRead) return speed;
  // A token in less time than its layers were said to take alone: something else ran when they were measured.
  const isDisturbed = facts.nLayer * (speed.layer?.secondsPerLayer ?? 0) > 0.5 / tokensPerSecond;
  if (isDisturbed) return learned({ ...speed, layer: null }, facts, tokensPerSecond, nPast);
  const seconds = 1 / tokensPerSecond - secondsBesides(facts, speed, nPast);
  if (!(seconds > 0)) return speed;
  const factor = weightSeconds(facts, speed) / seconds;
  const bytesPerSecond = { ...speed.bytesPerSecond };
  for (const [type, bytes] of entries) {
    const before = bytesPerSecond[type];
    // The first measurement of a type counts fully.
    const rate = before === undefined ? 1 : learningRate;
    bytesPerSecond[type] = (before ?? speed.other) * factor ** (rate * (bytes / total));
  }
  const isFirst = Object.keys(speed.bytesPerSecond).length === 0;
  return { ...speed, bytesPerSecond, other: isFirst ? speed.other * factor : speed.other };
}
