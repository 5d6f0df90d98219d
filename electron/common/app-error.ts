// Making the errors of errors.ts. Shared by every process that serves a contract.
import { ORPCError } from '@orpc/client';
import type { AppErrorCode, AppErrorData, ErrorInfo } from './errors.ts';

export type AppError = ORPCError<AppErrorCode, AppErrorData>;

/**
 * @param message a full sentence that names the thing
 * @param data what the user can do about it, and details for the curious
 */
export function appError(code: AppErrorCode, message: string, data: AppErrorData = {}, cause?: unknown): AppError {
  return new ORPCError(code, { defined: true, message, data, cause });
}

export function fromErrorInfo({ code, message, hint, detail }: ErrorInfo): AppError {
  return appError(code, message, { ...(hint ? { hint } : {}), ...(detail ? { detail } : {}) });
}
