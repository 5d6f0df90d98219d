import { expect, it } from 'vitest';
import type { AppEvent } from '../common/app-contract.ts';
import { AppEvents } from './app-events.ts';

const notice = { code: 'IO_ERROR', message: 'The settings were not valid.' } as const;
const command = (id: string): AppEvent => ({ type: 'command', command: id });

it('keeps notices from before there was a window for the first one, once', async () => {
  const events = new AppEvents();
  events.notice(notice);
  const first = events.subscribe(undefined, [command('first')]);
  expect((await first.next()).value).toEqual(command('first'));
  expect((await first.next()).value).toEqual({ type: 'notice', notice });
  const second = events.subscribe(undefined, []);
  events.push(command('later'));
  expect((await second.next()).value).toEqual(command('later'));
});

it('keeps a folder that the user started the app with before there was a window', async () => {
  const events = new AppEvents();
  events.openRequest('/other');
  expect((await events.subscribe(undefined, []).next()).value).toEqual({ type: 'openRequest', root: '/other' });
});

it('is heard from the moment a window subscribes, and not after it left', async () => {
  const events = new AppEvents();
  expect(events.isHeard).toBe(false);
  const leaving = new AbortController();
  const stream = events.subscribe(leaving.signal, []);
  expect(events.isHeard).toBe(true);
  events.notice(notice);
  expect((await stream.next()).value).toEqual({ type: 'notice', notice });
  leaving.abort();
  expect(events.isHeard).toBe(false);
  events.notice(notice); // the next window shows it
  expect((await events.subscribe(undefined, []).next()).value).toEqual({ type: 'notice', notice });
});
