// What the engine is to have loaded: which model has which role, and everything that it has to know to load one.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { waysToLoad } from '../../common/device-fit.ts';
import { gpuKvBits } from '../../common/device-need.ts';
import { draftMemory, draftOf } from '../../common/draft-fit.ts';
import type { ModelEntry } from '../../common/model-contract.ts';
import { contextOf, type FitQuestion, kvBitsOf, type ModelFacts, predictMemory } from '../../common/model-facts.ts';
import {
  type Assignment,
  type Device,
  type DeviceBytes,
  fittingDeviceLayers,
  gpusOf,
  type ModelRole,
  type ModelSpec,
  mainMemory,
  modelRoles,
} from '../../common/role-contract.ts';
import type { Settings } from '../../common/settings.ts';
import { catalogId, catalogModelOf, defaultModel } from './catalog.ts';
import type { Library } from './library.ts';
import { RoleChoices, type Roles } from './roles.ts';

export interface AssignmentsOptions {
  /** Where the app keeps what it knows. */
  dataFolder: string;
  settings: () => Settings;
  /** The folder that is open. */
  root: () => string | null;
  library: Library;
  /** One that is there, with what it has free when no model is on it. */
  gpu: (id: string) => Device | undefined;
}

export class Assignments {
  readonly #options: AssignmentsOptions;
  readonly #library: Library;
  readonly #choices: RoleChoices;
  /** Of what models have read. */
  readonly #contexts: string;

  constructor(options: AssignmentsOptions) {
    this.#options = options;
    this.#library = options.library;
    this.#choices = new RoleChoices(join(options.dataFolder, 'model-roles.json'));
    this.#contexts = join(options.dataFolder, 'contexts');
    mkdirSync(this.#contexts, { recursive: true });
  }

  roles(): Roles {
    const { modelPath } = this.#options.settings();
    const own = (role: ModelRole) => {
      const model = catalogModelOf(role);
      return model ? catalogId(model) : null;
    };
    const chat = modelPath === null ? catalogId(defaultModel) : `file:${modelPath}`;
    return this.#choices.resolve(this.#options.root(), {
      chat,
      inline: own('inline'),
      draft: own('draft'),
      embedding: own('embedding'),
    });
  }

  /** Roles that the open folder has a choice of its own for. */
  rolesOfFolder(): ModelRole[] {
    return this.#choices.ofFolder(this.#options.root());
  }

  /** A role whose model is not known to the library is tried all the same. */
  current(): Assignment {
    const { modelMemoryMiB, modelIdleMinutes } = this.#options.settings();
    const roles = this.roles();
    const specOf = (role: ModelRole): ModelSpec | null => {
      const id = roles[role];
      if (id === null) return null;
      const model = this.#library.get(id);
      if (model) return model.state === 'missing' && role !== 'chat' ? null : this.specOf(model);
      return id.startsWith('file:') ? this.specOf({ id, path: id.slice('file:'.length) }) : null;
    };
    return {
      roles: Object.fromEntries(modelRoles.map((role) => [role, specOf(role)])) as Assignment['roles'],
      limitBytes: modelMemoryMiB * 2 ** 20,
      idleMs: modelIdleMinutes * 60_000,
      costFile: join(this.#options.dataFolder, 'pass-costs.json'),
    };
  }

  /** @param isEverywhere else in the open folder only; undefined as id takes the folder's own choice back */
  setRole(role: ModelRole, id: string | null | undefined, isEverywhere: boolean): void {
    if (typeof id === 'string') this.#library.mustGet(id);
    this.#choices.set(role, id, isEverywhere ? null : this.#options.root());
  }

  /** The chat's model from now on, in the folder that is open too; null for the default one. */
  chooseChat(id: string | null): void {
    this.#choices.set('chat', undefined, this.#options.root());
    this.#choices.set('chat', id ?? catalogId(defaultModel), null);
  }

  /** A model has another id, or none any more. */
  replace(id: string, by: string | undefined): void {
    this.#choices.replace(id, by);
  }

  specOf(model: Pick<ModelEntry, 'id' | 'path'> & Partial<ModelEntry>): ModelSpec {
    const { nThreads, nCtx, kvPreset: chosen } = this.#options.settings();
    const { facts = null, overrides, id, path, origin, name } = model;
    const device = overrides?.device ?? mainMemory;
    const gpuIds = gpusOf(device);
    const isOnGpu = gpuIds.length > 0;
    // Codes on a GPU have never run on one: f16 there, whatever is chosen for the processor.
    const ofProcessor = chosen === 'auto' ? (model.kvCheck?.chosen ?? 'exact') : chosen;
    const kvPreset = isOnGpu ? 'exact' : ofProcessor;
    const wanted = overrides?.nCtx ?? nCtx;
    const kvBits = isOnGpu ? gpuKvBits : kvBitsOf(kvPreset);
    const gpus = gpuIds.flatMap((gpuId) => this.#options.gpu(gpuId) ?? []);
    const areKnown = gpus.length === gpuIds.length;
    const isNamed = origin === 'default' || origin === 'bundled';
    const known = this.#library.get(id);
    const draft = known ? draftOf(known, this.#library.list(), this.roles()) : null;
    const memoryBytes = isOnGpu && areKnown ? gpus.reduce((sum, gpu) => sum + gpu.totalBytes, 0) : totalmem();
    const fitting = facts ? contextFor(facts, wanted, kvBits, memoryBytes) : wanted;
    const draftBytes = draft?.facts ? draftMemory(draft.facts, fitting) : 0;
    const deviceLayers = (gpuIds.length === 1 && overrides?.deviceLayers) || fittingDeviceLayers;
    const question = { nCtx: fitting, kvBits, draftBytes };
    return {
      id,
      modelPath: path,
      name: isNamed && name ? name : null,
      nThreads,
      device,
      deviceLayers,
      // How many layers a GPU has room for depends on it: it is to be the one that is asked for.
      nCtx: isOnGpu ? fitting : wanted,
      kvPreset,
      memory: facts && areKnown ? waysOf(gpus, facts, question, deviceLayers) : [],
      chatTemplate: overrides?.chatTemplate ?? null,
      draft: draft && { id: draft.id, modelPath: draft.path, name: draft.name, memoryBytes: draftBytes },
      contextFile: this.#contextFile(id),
    };
  }

  /** What a model has read is not to be kept. */
  forgetContext(id: string): void {
    rmSync(this.#contextFile(id), { force: true });
  }

  forgetContexts(): void {
    for (const name of readdirSync(this.#contexts)) rmSync(join(this.#contexts, name), { force: true });
  }

  /** Where the engine keeps what a model has read. */
  #contextFile(id: string): string {
    const name = createHash('sha256').update(id).digest('hex').slice(0, 24);
    return join(this.#contexts, `${name}.kv`);
  }
}

const contextFor = (facts: ModelFacts, wanted: number, kvBits: number, memoryBytes: number) =>
  contextOf(facts.nCtxTrain, (facts.kvElementsPerToken * kvBits) / 8, wanted, memoryBytes);

function waysOf(
  gpus: readonly Device[],
  facts: ModelFacts,
  question: FitQuestion,
  deviceLayers: number,
): DeviceBytes[] {
  if (gpus.length === 0) return [{ [mainMemory]: predictMemory(facts, question).total }];
  return waysToLoad(facts, question, gpus, deviceLayers === fittingDeviceLayers ? undefined : deviceLayers);
}
