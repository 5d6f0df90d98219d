import { MessageChannel } from 'node:worker_threads';
import { oc } from '@orpc/contract';
import type { MessagePortMain } from 'electron';
import { expect, it } from 'vitest';
import { controlClient } from './control-client.ts';

const contract = { ask: oc };
const aborted = { name: 'AbortError' };

/** Nobody ever answers. */
function unanswered() {
  const { port1, port2 } = new MessageChannel();
  // Node's port is Electron's in what the client needs of it.
  return { port: port1, other: port2, client: controlClient(port1 as unknown as MessagePortMain, contract) };
}

it('ends what waits for an answer when the process is gone', async () => {
  const { other, client } = unanswered();
  const asked = client.ask();
  other.close();
  await expect(asked).rejects.toMatchObject(aborted);
});

it('answers at once when the process is gone already: nobody else ever would', async () => {
  const { port, other, client } = unanswered();
  const closed = new Promise((resolve) => port.once('close', resolve));
  other.close();
  await closed;
  await expect(client.ask()).rejects.toMatchObject(aborted);
});
