// Loads the addon. This is the only process that does.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ORPCError } from '@orpc/client';
import { type AppError, appError } from '../common/app-error.ts';
import type { AppErrorCode } from '../common/errors.ts';
import type { NativeAddon, NativeErrorCode } from './native.d.ts';

/** The addon lies beside the bundle of this process. */
export function loadAddon(): NativeAddon {
  return createRequire(import.meta.url)(join(import.meta.dirname, 'outpost_engine.node')) as NativeAddon;
}

const chooseAnother = 'Choose another model file, or use the default model.';

/** What the engine's errors mean to the user. The message itself comes from the engine and names the thing. */
const situations: Record<Exclude<NativeErrorCode, 'cancelled'>, { code: AppErrorCode; hint?: string }> = {
  file_not_found: { code: 'MODEL_NOT_FOUND', hint: chooseAnother },
  file_unreadable: { code: 'MODEL_NOT_FOUND', hint: 'Check the permissions of the file, or choose another one.' },
  model_invalid: { code: 'MODEL_INVALID', hint: `Download the file again: it is damaged. ${chooseAnother}` },
  model_unsupported: { code: 'MODEL_UNSUPPORTED', hint: chooseAnother },
  context_full: { code: 'CONTEXT_FULL', hint: 'Shorten the message, or start a new conversation.' },
  out_of_memory: { code: 'OUT_OF_MEMORY', hint: 'Close other programs, choose a smaller model or a shorter context.' },
  device_lost: { code: 'DEVICE_LOST', hint: 'The engine is being started again. Ask again when it is ready.' },
  invalid_argument: { code: 'INTERNAL' },
  internal: { code: 'INTERNAL' },
};

export function isNativeError(error: unknown): error is Error & { code: NativeErrorCode } {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'cancelled' || (typeof code === 'string' && Object.hasOwn(situations, code));
}

/** An engine's error as the contract knows it; an abort if the caller asked for it; anything else as it is. */
export function fromNativeError(error: unknown): unknown {
  if (error instanceof ORPCError || !isNativeError(error)) return error;
  if (error.code === 'cancelled') return new DOMException('The request was cancelled.', 'AbortError');
  const { code, hint } = situations[error.code];
  return appError(code, error.message, hint === undefined ? {} : { hint }, error) satisfies AppError;
}
