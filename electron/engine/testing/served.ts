// The engine process's service on an addon that the test plays, called as the window and main call it.
import { onTestFinished, vi } from 'vitest';
import {
  type ChatRequest,
  type CompleteRequest,
  engineContract,
  engineControlContract,
  type GenerateEvent,
} from '../../common/engine-contract.ts';
import type { Assignment, ModelSpec } from '../../common/role-contract.ts';
import { settingsSchema } from '../../common/settings.ts';
import { connect } from '../../testing/connect.ts';
import { EngineService } from '../engine-service.ts';
import type { NativeModelInfo } from '../native.d.ts';
import { FakeAddon } from './fake-addon.ts';
import { tinyLlama } from './templates.ts';

export const { sampler } = settingsSchema.parse({});
export const file: ModelSpec = {
  id: 'file:/models/fake.gguf',
  modelPath: '/models/fake.gguf',
  name: null,
  nThreads: 3,
  device: 'cpu',
  deviceLayers: 0,
  nCtx: 0,
  kvPreset: 'exact',
  memory: [],
  chatTemplate: null,
  draft: null,
  contextFile: null,
};
export const other = (name: string): ModelSpec => ({ ...file, id: `file:/${name}.gguf`, modelPath: `/${name}.gguf` });
export const noRoles = { chat: null, inline: null, draft: null, embedding: null };
export const assigned = (roles: Partial<Assignment['roles']>): Assignment => ({
  roles: { ...noRoles, ...roles },
  limitBytes: 0,
  idleMs: 0,
});
export const chatRequest = (content = 'Hi'): ChatRequest => ({
  messages: [{ role: 'user', content }],
  sampler,
  seed: 7,
});
export const completeRequest = (more: Partial<CompleteRequest> = {}): CompleteRequest => ({
  path: 'a.ts',
  languageId: 'typescript',
  prefix: 'const x =',
  suffix: '',
  repository: '',
  files: [],
  mode: 'line',
  maxTokens: 32,
  isWarmUp: false,
  ...more,
});

export function served() {
  const addon = new FakeAddon();
  const service = new EngineService(addon);
  const { client } = connect(engineContract, service.router());
  const { client: control } = connect(engineControlContract, service.controlRouter());
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  return { addon, service, client, control, log };
}

export async function ready(info: Partial<NativeModelInfo> = {}, nCtx = 0) {
  const all = served();
  const loading = all.service.assign(assigned({ chat: { ...file, nCtx } }));
  const engine = all.addon.lastLoad.succeed({ chatTemplate: tinyLlama, ...info });
  await loading;
  return { ...all, engine };
}

export async function collect(stream: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}
