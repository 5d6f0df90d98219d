import { ORPCError } from '@orpc/client';
import { expect, it } from 'vitest';
import { isAbort, toErrorInfo } from './error-info.ts';

it('keeps the sentence and the hint of a known error', () => {
  const error = new ORPCError('DISK_FULL', { message: 'The disk is full.', data: { hint: 'Free some space.' } });
  expect(toErrorInfo(error)).toEqual({ code: 'DISK_FULL', message: 'The disk is full.', hint: 'Free some space.' });
});

it('turns everything else into a bug of ours, with the details kept', () => {
  expect(toErrorInfo(new TypeError('x is undefined'))).toMatchObject({
    code: 'INTERNAL',
    detail: expect.stringContaining('x is undefined'),
  });
  expect(toErrorInfo(new ORPCError('toString'))).toMatchObject({ code: 'INTERNAL' });
  expect(toErrorInfo('text')).toMatchObject({ code: 'INTERNAL', detail: 'text' });
});

it('knows an abort by its name', () => {
  expect(isAbort(new DOMException('stop', 'AbortError'))).toBe(true);
  expect(isAbort(new Error('stop'))).toBe(false);
});
