import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { engineContract } from '../common/engine-contract.ts';
import type { Assignment, EngineEvent, ModelSpec } from '../common/role-contract.ts';
import { connect } from '../testing/connect.ts';
import { EngineService } from './engine-service.ts';
import { FakeAddon } from './testing/fake-addon.ts';
import { assigned, chatRequest, collect, completeRequest, file, other, ready, served } from './testing/served.ts';

describe('several models', () => {
  it('change roles while a reply goes on, which ends on its own model', async () => {
    const { addon, client, engine, service } = await ready();
    const reply = collect(await client.chat(chatRequest()));
    const running = await engine.submitted();
    const switching = service.assign(assigned({ chat: other('next') }));
    const next = addon.lastLoad.succeed();
    expect(await switching).toMatchObject({ state: 'ready', model: { path: '/next.gguf' } });
    expect(engine.isDisposed).toBe(false);
    running.sink.onText?.('to the end', 3);
    running.done('end_of_text');
    expect((await reply).map(({ type }) => type)).toEqual(['text', 'done']);
    expect(engine.isDisposed).toBe(true);
    expect(addon.loads[0]?.isDisposed).toBe(true);
    const second = collect(await client.chat(chatRequest()));
    (await next.submitted()).done('length');
    await second;
  });

  it('answer by role; without a model of its own a completion takes that of the chat', async () => {
    const { addon, client, engine, service } = await ready();
    const assigning = service.assign(assigned({ chat: file, inline: other('coder') }));
    const early = client.complete(completeRequest());
    (await engine.submitted()).done('length');
    await early;
    const coder = addon.lastLoad.succeed();
    await assigning;
    await vi.waitUntil(() => addon.loads.length === 2);
    const late = client.complete(completeRequest());
    (await coder.submitted()).done('length');
    await late;
    expect(engine.requests).toHaveLength(1);
  });

  /** A service that has `room` bytes, and models of 4 GB. */
  async function crowded(room: number) {
    const addon = new FakeAddon();
    let free = room;
    const size = 4e9;
    const service = new EngineService(addon, { freeBytes: () => free });
    const { client } = connect(engineContract, service.router());
    const spec = (name: string): ModelSpec => ({ ...other(name), memory: [{ cpu: size }] });
    const events: EngineEvent[] = [];
    const stream = await client.events();
    void (async () => {
      for await (const event of stream) events.push(event);
    })().catch(() => {});
    const load = async (roles: Partial<Assignment['roles']>) => {
      const n = addon.loads.length;
      const assigning = service.assign(assigned(roles));
      await vi.waitUntil(() => addon.loads.length > n);
      free -= size;
      const load = addon.lastLoad;
      const engine = load.succeed();
      const { dispose } = engine;
      engine.dispose = () => {
        free += size;
        dispose.call(engine);
      };
      await assigning;
      return engine;
    };
    const notices = () => events.filter(({ type }) => type === 'notice');
    return { addon, service, client, spec, load, notices };
  }

  it('make room: the one that was used longest ago goes, and comes back when it is asked', async () => {
    const { addon, client, spec, load, notices } = await crowded(5e9);
    const chat = await load({ chat: spec('chat') });
    await load({ chat: spec('chat'), inline: spec('coder') });
    expect(chat.isDisposed).toBe(true);
    await vi.waitUntil(() => notices().length === 1);
    expect(notices()).toMatchObject([{ message: 'Fake was unloaded to make room for coder.gguf.' }]);
    const reply = client.chat(chatRequest());
    await vi.waitUntil(() => addon.loads.length === 3);
    const again = addon.lastLoad.succeed();
    const events = collect(await reply);
    (await again.submitted()).done('length');
    expect((await events).at(-1)).toMatchObject({ type: 'done' });
  });

  it('wait for one that answers, and never end it', async () => {
    const { addon, client, service, spec, load } = await crowded(5e9);
    const chat = await load({ chat: spec('chat') });
    const reply = collect(await client.chat(chatRequest()));
    const running = await chat.submitted();
    const switching = service.assign(assigned({ chat: spec('next') }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([addon.loads.length, chat.isDisposed]).toEqual([1, false]);
    running.done('end_of_text');
    await reply;
    await vi.waitUntil(() => addon.loads.length === 2);
    addon.lastLoad.succeed();
    expect(await switching).toMatchObject({ state: 'ready' });
  });

  it('say what was needed and what is free if one does not fit at all', async () => {
    const { service, spec } = await crowded(1e9);
    expect(await service.assign(assigned({ chat: spec('huge') }))).toMatchObject({
      state: 'failed',
      error: {
        code: 'OUT_OF_MEMORY',
        message: 'huge.gguf needs 3.73 GiB of memory; the system can give 0.81 GiB.',
        hint: expect.stringContaining('shorter context'),
      },
    });
  });

  it('stay within the limit of the settings', async () => {
    const { service, spec } = await crowded(1e12);
    const status = await service.assign({ ...assigned({ chat: spec('huge') }), limitBytes: 1e9 });
    expect(status).toMatchObject({ state: 'failed', error: { message: expect.stringContaining('memory limit') } });
  });

  it('are unloaded on demand and when nobody asks, unless they are pinned or answer', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { addon, client, service } = served();
    const assigning = service.assign({ ...assigned({ chat: file }), idleMs: 60_000 });
    const engine = addon.lastLoad.succeed();
    await assigning;
    const reply = collect(await client.chat(chatRequest()));
    const running = await engine.submitted();
    await expect(client.unload({ id: file.id })).rejects.toMatchObject({ code: 'ENGINE_NOT_READY' });
    vi.advanceTimersByTime(120_000);
    expect(engine.isDisposed).toBe(false);
    running.done('length');
    await reply;
    await client.pin({ id: file.id, isPinned: true });
    vi.advanceTimersByTime(120_000);
    expect(engine.isDisposed).toBe(false);
    await client.pin({ id: file.id, isPinned: false });
    vi.advanceTimersByTime(2000);
    expect(engine.isDisposed).toBe(true);
    // Whoever asks does not notice but by the time it takes.
    const asked = client.countTokens({ messages: chatRequest().messages });
    await vi.waitUntil(() => addon.loads.length === 2);
    addon.lastLoad.succeed();
    expect(await asked).toMatchObject({ nCtx: 2048 });
  });
});
