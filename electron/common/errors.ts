// The errors that cross a process boundary. Three kinds, as in VS Code: cancelled (silent), the user's
// situation (a code below, with a sentence for the user), and a bug of ours (`INTERNAL`).
import { oc } from '@orpc/contract';
import { z } from 'zod';

/** `hint` says what the user can do; `detail` is for the expandable part of a message. */
const errorDataSchema = z.object({ hint: z.string().optional(), detail: z.string().optional() });
export type AppErrorData = z.infer<typeof errorDataSchema>;

const data = { data: errorDataSchema };

/** Every expected failure by code. `message` is a full sentence that names the thing. */
export const appErrors = {
  NO_WORKSPACE: data,
  OUTSIDE_WORKSPACE: data,
  FILE_NOT_FOUND: data,
  FILE_EXISTS: data,
  FILE_IS_DIRECTORY: data,
  FILE_TOO_LARGE: data,
  FILE_NOT_TEXT: data,
  /** The file's encoding has no such character. */
  FILE_ENCODING: data,
  FILE_READ_ONLY: data,
  FILE_CHANGED_ON_DISK: data,
  PERMISSION_DENIED: data,
  DISK_FULL: data,
  IO_ERROR: data,
  ENGINE_NOT_READY: data,
  MODEL_NOT_FOUND: data,
  MODEL_INVALID: data,
  MODEL_UNSUPPORTED: data,
  OUT_OF_MEMORY: data,
  /** A GPU failed for good, as far as the engine's process goes: another one is started in its place. */
  DEVICE_LOST: data,
  /** A GPU that is to compute is not there, or cannot be used now. */
  DEVICE_UNAVAILABLE: data,
  CONTEXT_FULL: data,
  TEMPLATE_FAILED: data,
  NOT_FOUND: data,
  SEARCH_INVALID: data,
  TERMINAL_FAILED: data,
  GIT_FAILED: data,
  NETWORK_OFF: data,
  /** The other end cannot be reached, breaks off, or answers nonsense; trying again may help. */
  NETWORK_FAILED: data,
  /** The hub wants a token, or the one it got may not have the file. */
  HUB_GATED: data,
  /** What arrived is not what was promised. Nothing of it is used. */
  DOWNLOAD_MISMATCH: data,
  INTERNAL: data,
} as const;

export type AppErrorCode = keyof typeof appErrors;

/** An error as it is shown, stored in a status, or sent inside a stream. */
export const errorInfoSchema = z.object({
  code: z.enum(Object.keys(appErrors) as [AppErrorCode, ...AppErrorCode[]]),
  message: z.string(),
  hint: z.string().optional(),
  detail: z.string().optional(),
});
export type ErrorInfo = z.infer<typeof errorInfoSchema>;

/** The root of every procedure in the contracts. */
export const procedure = oc.errors(appErrors);
