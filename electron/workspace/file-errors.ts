// From the operating system's error numbers to sentences for the user.
import { ORPCError } from '@orpc/client';
import { appError } from '../common/app-error.ts';
import type { AppErrorCode, AppErrorData } from '../common/errors.ts';

const situations: Record<string, { code: AppErrorCode; says: string; hint: string }> = {
  ENOENT: { code: 'FILE_NOT_FOUND', says: 'does not exist', hint: 'It may have been moved, renamed or deleted.' },
  ENOTDIR: { code: 'FILE_NOT_FOUND', says: 'does not exist', hint: 'A part of its path is not a folder.' },
  EEXIST: { code: 'FILE_EXISTS', says: 'exists already', hint: 'Choose another name.' },
  EISDIR: { code: 'FILE_IS_DIRECTORY', says: 'is a folder', hint: 'Open a file inside of it.' },
  ENOTEMPTY: { code: 'FILE_EXISTS', says: 'exists already and is not empty', hint: 'Choose another name.' },
  EACCES: { code: 'PERMISSION_DENIED', says: 'is not accessible to you', hint: 'Check its permissions.' },
  EPERM: { code: 'PERMISSION_DENIED', says: 'is not accessible to you', hint: 'Check its permissions.' },
  EROFS: {
    code: 'FILE_READ_ONLY',
    says: 'is on a read-only file system',
    hint: 'Nothing can be changed there. A copy can be saved in another folder.',
  },
  ENOSPC: { code: 'DISK_FULL', says: 'does not fit: the disk is full', hint: 'Free some space and try again.' },
  EDQUOT: {
    code: 'DISK_FULL',
    says: 'does not fit: your disk quota is used up',
    hint: 'Free some space and try again.',
  },
  EFBIG: { code: 'DISK_FULL', says: 'is too large for this file system', hint: 'Save it on another disk.' },
  ELOOP: { code: 'FILE_NOT_FOUND', says: 'is a link that leads to itself', hint: 'Repair or delete the link.' },
  ENAMETOOLONG: { code: 'IO_ERROR', says: 'has a name that is too long', hint: 'Choose a shorter name.' },
};

/** @param action what failed, for errors without a sentence of their own: "read", "saved" */
export function toFileError(error: unknown, path: string, action: string): unknown {
  if (error instanceof ORPCError) return error;
  const { code: errno = '', message } = error as NodeJS.ErrnoException;
  const situation = situations[errno];
  const name = path === '' ? 'The folder' : path;
  const data: AppErrorData = { detail: message };
  if (situation === undefined) {
    return errno === '' ? error : appError('IO_ERROR', `${name} could not be ${action} (${errno}).`, data, error);
  }
  return appError(situation.code, `${name} ${situation.says}.`, { ...data, hint: situation.hint }, error);
}

/** Runs `body`; what the operating system refuses becomes one of our errors about `path`. */
export async function onFile<T>(path: string, action: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw toFileError(error, path, action);
  }
}
