import { expect, it, vi } from 'vitest';
import { NetworkLedger } from './network-ledger.ts';

function opened(isAllowed: boolean) {
  const onConnection = vi.fn();
  return { ledger: new NetworkLedger({ isAllowed: () => isAllowed, onConnection, nowMs: () => 5 }), onConnection };
}

it('keeps what was blocked, without anything that may be secret', () => {
  const { ledger, onConnection } = opened(true);
  ledger.blocked('window', 'https://user:word@example.com/path?token=1');
  expect(ledger.connections).toEqual([
    { id: 1, atMs: 5, from: 'window', target: 'https://example.com', purpose: expect.any(String), isAllowed: false },
  ]);
  expect(onConnection).toHaveBeenCalledWith(ledger.connections[0]);
});

it('lets through what the user asks for, while the network is on', () => {
  const { ledger } = opened(true);
  ledger.ask('A link', 'https://example.com/a');
  expect(ledger.connections).toMatchObject([{ target: 'https://example.com', purpose: 'A link', isAllowed: true }]);
});

it('refuses everything while the network is off, and keeps that, too', () => {
  const { ledger } = opened(false);
  expect(() => ledger.ask('A link', 'https://example.com/a')).toThrow(
    expect.objectContaining({ code: 'NETWORK_OFF', message: expect.stringContaining('example.com') }),
  );
  expect(ledger.connections).toMatchObject([{ isAllowed: false }]);
});

it('keeps the newest attempts of one that tries without end', () => {
  const { ledger } = opened(true);
  for (let i = 0; i < 2000; i++) ledger.blocked('engine', `host:${i}`);
  expect(ledger.connections).toHaveLength(500);
  expect(ledger.connections.at(-1)?.target).toBe('host:1999');
});
