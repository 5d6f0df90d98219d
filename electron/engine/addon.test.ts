import { expect, it } from 'vitest';
import { appError } from '../common/app-error.ts';
import { fromNativeError, isNativeError } from './addon.ts';
import { nativeError } from './testing/fake-addon.ts';

it.each([
  ['file_not_found', 'MODEL_NOT_FOUND'],
  ['file_unreadable', 'MODEL_NOT_FOUND'],
  ['model_invalid', 'MODEL_INVALID'],
  ['model_unsupported', 'MODEL_UNSUPPORTED'],
  ['context_full', 'CONTEXT_FULL'],
  ['out_of_memory', 'OUT_OF_MEMORY'],
  ['device_lost', 'DEVICE_LOST'],
] as const)('says what to do about %s', (native, code) => {
  expect(fromNativeError(nativeError(native, 'It names the thing.'))).toMatchObject({
    code,
    message: 'It names the thing.',
    data: { hint: expect.stringMatching(/^[A-Z].*\.$/) },
  });
});

it.each(['invalid_argument', 'internal'] as const)('takes %s for a bug of ours', (native) => {
  expect(fromNativeError(nativeError(native))).toMatchObject({ code: 'INTERNAL' });
});

it('makes a cancelled request an abort', () => {
  expect(fromNativeError(nativeError('cancelled'))).toMatchObject({ name: 'AbortError' });
});

it('leaves everything else as it is', () => {
  const others = [new TypeError('x'), Object.assign(new Error('x'), { code: 'toString' }), appError('DISK_FULL', 'x')];
  for (const error of [...others, 'text', null, undefined, { code: 'internal' }]) {
    expect(fromNativeError(error)).toBe(error);
  }
  expect(isNativeError(Object.assign(new Error('x'), { code: 7 }))).toBe(false);
});
