// From whatever a call threw to the three kinds of errors.ts: cancelled, the user's situation, a bug.
import { type AppErrorCode, appErrors, type ErrorInfo } from './errors.ts';

/** The caller cancelled, or the connection closed under the call. Silent if the caller asked for it. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

export function isAppErrorCode(code: unknown): code is AppErrorCode {
  return typeof code === 'string' && Object.hasOwn(appErrors, code);
}

/** What to show for an error: a known code keeps its sentence and hint, anything else is a bug of ours. */
export function toErrorInfo(error: unknown): ErrorInfo {
  if (!(error instanceof Error))
    return { code: 'INTERNAL', message: 'Something unexpected went wrong.', detail: String(error) };
  const { code, data } = error as Error & { code?: unknown; data?: unknown };
  if (!isAppErrorCode(code)) {
    return { code: 'INTERNAL', message: 'Something unexpected went wrong.', detail: error.stack ?? error.message };
  }
  const { hint, detail } = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>;
  return {
    code,
    message: error.message,
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof detail === 'string' ? { detail } : {}),
  };
}
