// Searching the open folder: what is looked for, and what is found. Positions count UTF-16 units from 0, as JavaScript's
// strings do; lines count from 1.
import { z } from 'zod';

/** Globs as in .gitignore; one that starts with "!" would turn the meaning around and is refused. */
const globSchema = z
  .string()
  .min(1)
  .max(500)
  .regex(/^[^!\0]/);

export const searchQuerySchema = z.object({
  pattern: z
    .string()
    .min(1)
    .max(2000)
    .regex(/^[^\0\r\n]*$/),
  isRegex: z.boolean(),
  isCaseSensitive: z.boolean(),
  isWholeWord: z.boolean(),
  include: z.array(globSchema).max(50),
  exclude: z.array(globSchema).max(50),
  /** Also what .gitignore and our own list leave out. */
  withIgnored: z.boolean(),
  /** With a replacement every match says what it becomes; `$1` stands for a group of a regular expression. */
  replacement: z
    .string()
    .max(10_000)
    .regex(/^[^\0]*$/)
    .nullable(),
});
export type SearchQuery = z.infer<typeof searchQuerySchema>;

export const searchMatchSchema = z.object({
  line: z.int(),
  start: z.int(),
  end: z.int(),
  /** What was found, to recognise it before it is replaced. */
  text: z.string(),
  replacement: z.string().nullable(),
  /** The line around the match, shortened; the match starts at `previewStart` in it. */
  preview: z.string(),
  previewStart: z.int(),
});
export type SearchMatch = z.infer<typeof searchMatchSchema>;

export const fileMatchesSchema = z.object({ path: z.string(), matches: z.array(searchMatchSchema) });
export type FileMatches = z.infer<typeof fileMatchesSchema>;

export const searchEventSchema = z.discriminatedUnion('type', [
  /** Every file comes once. */
  z.object({ type: z.literal('files'), files: z.array(fileMatchesSchema) }),
  z.object({ type: z.literal('done'), isTruncated: z.boolean() }),
]);
export type SearchEvent = z.infer<typeof searchEventSchema>;
