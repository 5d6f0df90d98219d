// What the workspace process serves: files of the one open folder. Every path is relative to the root, with
// "/" as the separator and "" for the root itself; the process resolves it and refuses what leaves the root.
import { eventIterator } from '@orpc/contract';
import { z } from 'zod';
import { partChars } from './context-part.ts';
import { procedure } from './errors.ts';
import { gitContract } from './git-contract.ts';
import { searchEventSchema, searchQuerySchema } from './search-contract.ts';

export const relativePathSchema = z.string().max(4096);

/** How the bytes of a file are text. A file keeps its own. */
export const encodingSchema = z.enum(['utf8', 'utf8bom', 'utf16le', 'utf16be', 'windows1252']);

export const entrySchema = z.object({
  name: z.string(),
  path: relativePathSchema,
  kind: z.enum(['file', 'directory']),
  /** Hidden by default rules (.git, node_modules, build output): shown dimmed. */
  ignored: z.boolean(),
});
export type Entry = z.infer<typeof entrySchema>;

/** Identifies the content on disk: a write is refused if it no longer matches. Opaque to the renderer. */
export const versionSchema = z.string().max(200);

export const fileSchema = z.object({
  path: relativePathSchema,
  /** Without a byte order mark; line endings as they are. */
  text: z.string(),
  encoding: encodingSchema,
  eol: z.enum(['lf', 'crlf', 'mixed', 'none']),
  isReadOnly: z.boolean(),
  version: versionSchema,
});
export type WorkspaceFile = z.infer<typeof fileSchema>;

export const workspaceEventSchema = z.discriminatedUnion('type', [
  /** Directories whose listing changed, and files whose content may have. */
  z.object({
    type: z.literal('changed'),
    directories: z.array(relativePathSchema),
    files: z.array(relativePathSchema),
  }),
  z.object({ type: z.literal('rootGone') }),
  z.object({ type: z.literal('rootBack') }),
]);
export type WorkspaceEvent = z.infer<typeof workspaceEventSchema>;

/** Twice what the editor opens: a message that is longer is none of a user's. */
const longestText = 64 * 1024 * 1024;

const onPath = z.object({ path: relativePathSchema });

export const workspaceContract = {
  /** Directories first, then files, each by name. @throws FILE_NOT_FOUND, PERMISSION_DENIED, OUTSIDE_WORKSPACE */
  list: procedure.input(onPath).output(z.array(entrySchema)),
  /** @throws FILE_NOT_FOUND, FILE_TOO_LARGE, FILE_NOT_TEXT, FILE_IS_DIRECTORY, PERMISSION_DENIED, OUTSIDE_WORKSPACE */
  read: procedure.input(onPath).output(fileSchema),
  /**
   * Writes atomically. `version` is what was read, or null to create a new file; `overwrite` skips the check.
   * @throws FILE_CHANGED_ON_DISK, FILE_EXISTS, FILE_READ_ONLY, DISK_FULL, PERMISSION_DENIED, OUTSIDE_WORKSPACE
   */
  write: procedure
    .input(
      z.object({
        path: relativePathSchema,
        text: z.string().max(longestText),
        encoding: fileSchema.shape.encoding,
        version: versionSchema.nullable(),
        overwrite: z.boolean().default(false),
      }),
    )
    .output(z.object({ version: versionSchema })),
  createDirectory: procedure.input(onPath).output(z.object({})),
  /** Never replaces an existing file. */
  rename: procedure.input(z.object({ from: relativePathSchema, to: relativePathSchema })).output(z.object({})),
  /**
   * Moves a file or folder to the system's trash. `id` brings it back as long as the process lives.
   * @throws FILE_NOT_FOUND, PERMISSION_DENIED, IO_ERROR, OUTSIDE_WORKSPACE
   */
  trash: procedure.input(onPath).output(z.object({ id: z.string() })),
  /** Moves what was trashed back to where it was. @throws NOT_FOUND, FILE_EXISTS */
  restore: procedure.input(z.object({ id: z.string().max(64) })).output(z.object({ path: relativePathSchema })),
  /** Paths of files below a folder, for quick open the root, ignored folders left out; `truncated` past the limit. */
  findFiles: procedure
    .input(z.object({ limit: z.int().min(1).max(100_000), below: relativePathSchema.default('') }))
    .output(z.object({ paths: z.array(relativePathSchema), truncated: z.boolean() })),
  /**
   * The part of another file of the same language, of those near by, that looks most like `text`, which is where somebody
   * is writing in `path`; null if none does. @throws OUTSIDE_WORKSPACE
   */
  similar: procedure
    .input(z.object({ path: relativePathSchema, text: z.string().max(10_000) }))
    .output(z.object({ part: z.object({ path: relativePathSchema, text: z.string().max(partChars) }).nullable() })),
  /** Matches while they are found, until the call is aborted. @throws SEARCH_INVALID */
  search: procedure.input(searchQuerySchema).output(eventIterator(searchEventSchema)),
  git: gitContract,
  /** Debounced changes below the root, until the call is aborted. */
  watch: procedure.output(eventIterator(workspaceEventSchema)),
};

export const workspaceControlContract = {
  /** Sets the root; null closes the folder. Only main may. @throws FILE_NOT_FOUND, PERMISSION_DENIED */
  setRoot: procedure.input(z.object({ root: z.string().nullable() })).output(z.object({})),
};
