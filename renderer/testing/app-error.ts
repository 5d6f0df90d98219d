// An error as it comes over a port.
import { ORPCError } from '@orpc/client';
import type { AppErrorCode } from '../../electron/common/errors.ts';

export function appError(code: AppErrorCode, message: string, hint?: string): ORPCError<string, unknown> {
  return new ORPCError(code, { message, data: hint === undefined ? {} : { hint }, defined: true });
}
