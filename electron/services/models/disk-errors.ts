// What the file system says, as errors for the user.
import { ORPCError } from '@orpc/client';
import { appError } from '../../common/app-error.ts';

export function asDiskError(error: unknown, path: string): unknown {
  if (error instanceof ORPCError || !(error instanceof Error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  const detail = { detail: error.message };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return appError('DISK_FULL', `The disk is full: ${path} could not be written.`, {
        hint: 'Free some space, then go on: what has arrived is kept.',
        ...detail,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return appError('PERMISSION_DENIED', `${path} may not be written.`, {
        hint: 'Choose another folder for models, or change its permissions.',
        ...detail,
      });
    case 'ENOENT':
      return appError('FILE_NOT_FOUND', `${path} is not there.`, detail);
    case 'EIO':
    case 'EBADF':
    case 'EMFILE':
    case 'EXDEV':
    case 'ENOTDIR':
    case 'EISDIR':
      return appError('IO_ERROR', `${path} could not be read or written.`, detail);
    default:
      return error;
  }
}
