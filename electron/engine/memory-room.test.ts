import { describe, expect, it } from 'vitest';
import { pinnable } from '../common/role-contract.ts';
import { decideRoom, type Resident } from './memory-room.ts';

const minuteMs = 60_000;
const now = 60 * minuteMs;
const resident = (heldBytes: Resident['heldBytes'], more: Partial<Resident> = {}): Resident => ({
  heldBytes,
  nActive: 0,
  lastUsedMs: 0,
  isPinned: false,
  ...more,
});
/** Two layers on the GPU, or one and more beside the processor. */
const ways = [
  { cpu: 1, 'cuda:0': 6 },
  { cpu: 4, 'cuda:0': 3 },
];
const decide = (residents: Resident[], room: Resident['heldBytes'], of: readonly Resident['heldBytes'][] = ways) =>
  decideRoom(of, residents, room, now);

describe('room for a model', () => {
  it('is there where every device has it, and nobody goes', () => {
    const idle = resident({ cpu: 5, 'cuda:0': 5 });
    expect(decide([idle], { cpu: 1, 'cuda:0': 6 })).toEqual({ do: 'load', way: ways[0] });
  });

  it('is the engine’s concern where nobody knows what it takes, or the device is not there', () => {
    const idle = resident({ cpu: 5, 'cuda:0': 5 });
    expect(decide([idle], { cpu: 0 }, [])).toEqual({ do: 'load', way: {} });
    expect(decide([idle], { cpu: 1 })).toEqual({ do: 'load', way: ways[0] });
  });

  it('is made by what has something of the device that lacks it, the longest idle first', () => {
    const elsewhere = resident({ cpu: 5, 'cuda:1': 5 }, { lastUsedMs: 1 });
    const older = resident({ cpu: 1, 'cuda:0': 4 }, { lastUsedMs: 2 });
    const newer = resident({ cpu: 1, 'cuda:0': 4 }, { lastUsedMs: 3 });
    expect(decide([newer, older, elsewhere], { cpu: 9, 'cuda:0': 1 })).toEqual({ do: 'unload', model: older });
    // Of the main memory all of them have some.
    const one = [{ cpu: 8 }];
    expect(decide([newer, older, elsewhere], { cpu: 4 }, one)).toEqual({ do: 'unload', model: elsewhere });
  });

  it('is made on a GPU alone where that is enough, whoever was used longest ago', () => {
    const onProcessor = resident({ cpu: 5 }, { lastUsedMs: 1 });
    const onGpu = resident({ cpu: 1, 'cuda:0': 4 }, { lastUsedMs: 2 });
    expect(decide([onProcessor, onGpu], { cpu: 3, 'cuda:0': 1 })).toEqual({ do: 'unload', model: onGpu });
    // Nobody goes for what would be lacking all the same.
    expect(decide([onProcessor], { cpu: 3, 'cuda:0': 1 })).toEqual({ do: 'load', way: ways[1] });
  });

  it('is waited for where a model computes, which is never ended, and a pinned one stays', () => {
    const busy = resident({ cpu: 1, 'cuda:0': 4 }, { nActive: 1 });
    const pinned = resident({ cpu: 1, 'cuda:0': 4 }, { isPinned: true });
    expect(decide([busy, pinned], { cpu: 9, 'cuda:0': 1 })).toEqual({ do: 'wait' });
    const beside = resident({ cpu: 1 }, { nActive: 1 });
    expect(decide([beside, pinned], { cpu: 9, 'cuda:0': 1 })).toEqual({ do: 'load', way: ways[1] });
  });

  it('for fewer layers is taken rather than waited for, or taken from a model that was used a moment ago', () => {
    const room = { cpu: 9, 'cuda:0': 3 };
    const busy = resident({ cpu: 1, 'cuda:0': 4 }, { nActive: 1 });
    const recent = resident({ cpu: 1, 'cuda:0': 4 }, { lastUsedMs: now - minuteMs });
    expect(decide([busy, recent], room)).toEqual({ do: 'load', way: ways[1] });
    const old = resident({ cpu: 1, 'cuda:0': 4 }, { lastUsedMs: now - 10 * minuteMs });
    expect(decide([busy, recent, old], room)).toEqual({ do: 'unload', model: old });
    // For more layers, if not for all of them.
    const three = [{ cpu: 1, 'cuda:0': 6, 'cuda:1': 6 }, { cpu: 1, 'cuda:0': 6 }, ...ways.slice(1)];
    expect(decide([recent, old], { ...room, 'cuda:1': 0 }, three)).toEqual({ do: 'unload', model: old });
    // Without room for any way it goes all the same.
    expect(decide([recent], { cpu: 9, 'cuda:0': 2 })).toEqual({ do: 'unload', model: recent });
  });

  it('is refused with the figures of the main memory, and of a GPU by the engine, which knows them better', () => {
    expect(decide([], { cpu: 3, 'cuda:0': 3 })).toEqual({ do: 'refuse', way: ways[1] });
    expect(decide([], { cpu: 0, 'cuda:0': 9 })).toEqual({ do: 'refuse', way: ways[0] });
    expect(decide([], { cpu: 9, 'cuda:0': 2 })).toEqual({ do: 'load', way: ways[1] });
  });

  it('to pin experts in is made by whatever is in the main memory, which has enough for them otherwise', () => {
    const slots = [{ cpu: 6, 'cuda:0': 3, [pinnable]: 8 }];
    const room = { cpu: 7, 'cuda:0': 3 };
    expect(decide([], { ...room, [pinnable]: 8 }, slots)).toEqual({ do: 'load', way: slots[0] });
    const idle = resident({ cpu: 1 });
    expect(decide([idle], { ...room, [pinnable]: 7 }, slots)).toEqual({ do: 'unload', model: idle });
    const busy = resident({ cpu: 1 }, { nActive: 1 });
    expect(decide([busy], { ...room, [pinnable]: 7 }, slots)).toEqual({ do: 'wait' });
    const elsewhere = resident({ 'cuda:0': 1 });
    expect(decide([elsewhere], { ...room, [pinnable]: 7 }, slots)).toEqual({ do: 'refuse', way: slots[0] });
  });

  it('counts once where a GPU shares the main memory: what it takes there is a part of all', () => {
    const whole = [{ cpu: 7, 'metal:0': 6 }];
    expect(decide([], { cpu: 8, 'metal:0': 6 }, whole)).toEqual({ do: 'load', way: whole[0] });
    expect(decide([], { cpu: 6.5, 'metal:0': 6 }, whole)).toEqual({ do: 'refuse', way: whole[0] });
    const onProcessor = resident({ cpu: 2 });
    expect(decide([onProcessor], { cpu: 6, 'metal:0': 6 }, whole)).toEqual({ do: 'unload', model: onProcessor });
  });
});
