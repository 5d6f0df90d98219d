// What the engine process tells main of a lost GPU, wired as host.ts does.
import { expect, it, vi } from 'vitest';
import { watchForDeviceLoss } from '../common/device-loss.ts';
import { engineContract } from '../common/engine-contract.ts';
import { connect } from '../testing/connect.ts';
import { EngineService } from './engine-service.ts';
import { FakeAddon, nativeError } from './testing/fake-addon.ts';
import { assigned, chatRequest, collect, completeRequest, file } from './testing/served.ts';
import { tinyLlama } from './testing/templates.ts';

function watched() {
  const addon = new FakeAddon();
  const tell = vi.fn();
  const onFailure = watchForDeviceLoss(tell);
  const service = new EngineService(addon, { onLoadFailed: onFailure });
  const { client } = connect(engineContract, service.router(), onFailure);
  return { addon, service, client, tell };
}

it('tells main once, when a request ends with it, and the request says why it ended', async () => {
  const { addon, service, client, tell } = watched();
  const loading = service.assign(assigned({ chat: file }));
  const engine = addon.lastLoad.succeed({ chatTemplate: tinyLlama });
  await loading;
  const lost = { code: 'DEVICE_LOST', message: 'The GPU failed.' };
  const ended = [
    expect(collect(await client.chat(chatRequest()))).rejects.toMatchObject(lost),
    expect(client.complete(completeRequest())).rejects.toMatchObject(lost),
  ];
  for (const i of [0, 1]) (await engine.submitted(i)).done('error', nativeError('device_lost', 'The GPU failed.'));
  await Promise.all(ended);
  expect(tell.mock.calls).toEqual([[{ type: 'device-lost', message: 'The GPU failed.' }]]);
});

it('tells main when a model cannot be loaded for it', async () => {
  const { addon, service, tell } = watched();
  const loading = service.assign(assigned({ chat: file }));
  addon.lastLoad.fail(nativeError('device_lost', 'The GPU failed.'));
  expect(await loading).toMatchObject({ state: 'failed', error: { code: 'DEVICE_LOST' } });
  expect(tell.mock.calls).toEqual([[{ type: 'device-lost', message: 'The GPU failed.' }]]);
});

it('tells main of nothing else', async () => {
  const { addon, service, client, tell } = watched();
  const loading = service.assign(assigned({ chat: file }));
  addon.lastLoad.fail(nativeError('out_of_memory'));
  await loading;
  await expect(client.chat(chatRequest())).rejects.toMatchObject({ code: 'ENGINE_NOT_READY' });
  expect(tell).not.toHaveBeenCalled();
});
