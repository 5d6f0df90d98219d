// Version control of the open folder, through the git program of the system.
import { z } from 'zod';
import { procedure } from './errors.ts';

const path = z.string().min(1).max(4096);
const nothing = z.object({});

export const gitChangeSchema = z.enum(['added', 'modified', 'deleted', 'renamed', 'untracked', 'conflicted']);
export type GitChange = z.infer<typeof gitChangeSchema>;

export const gitFileSchema = z.object({
  path,
  /** What the next commit has of it; null for nothing. */
  staged: gitChangeSchema.nullable(),
  /** What it has not. */
  unstaged: gitChangeSchema.nullable(),
});
export type GitFile = z.infer<typeof gitFileSchema>;

export const gitStatusSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('noGit') }),
  z.object({ state: z.literal('noRepository') }),
  z.object({
    state: z.literal('repository'),
    /** Null while HEAD is detached. */
    branch: z.string().nullable(),
    hasCommit: z.boolean(),
    ahead: z.int(),
    behind: z.int(),
    files: z.array(gitFileSchema),
    isTruncated: z.boolean(),
    /** Hooks, filters and signing programs that the repository itself names. They run only where the user allows it. */
    programs: z.array(z.string()),
  }),
]);
export type GitStatus = z.infer<typeof gitStatusSchema>;

/** Whether the repository's own programs may run in this call: the user said so. */
const mayRunPrograms = z.boolean();
const onPaths = z.object({ paths: z.array(path).min(1).max(10_000), mayRunPrograms });
const branch = z.string().min(1).max(250);

/** Everything below throws GIT_FAILED with what git said. */
export const gitContract = {
  status: procedure.output(gitStatusSchema),
  /** Null: everything in the open folder, also what a list of changed files is too short for. */
  stage: procedure.input(onPaths.extend({ paths: onPaths.shape.paths.nullable() })).output(nothing),
  unstage: procedure.input(onPaths).output(nothing),
  /** Puts files back to what is staged, or committed. What they held goes to the system's trash first. */
  discard: procedure.input(onPaths).output(nothing),
  commit: procedure.input(z.object({ message: z.string().min(1).max(50_000), mayRunPrograms })).output(nothing),
  branches: procedure.output(z.array(branch)),
  /** Unsaved files on disk stay; git refuses where they would be lost. */
  switchBranch: procedure.input(z.object({ name: branch, isNew: z.boolean(), mayRunPrograms })).output(nothing),
  /** A file as the last commit has it; null if that has no such text. */
  headText: procedure.input(z.object({ path })).output(z.object({ text: z.string().nullable() })),
};
