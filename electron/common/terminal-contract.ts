// What the terminal process serves: shells on pseudo-terminals. A shell runs for as long as the stream of its output is
// read. Everything that is typed here is the user's own command: it runs with the user's rights, network included.
import { eventIterator } from '@orpc/contract';
import { z } from 'zod';
import { procedure } from './errors.ts';

const id = z.int().min(1);
const size = { columns: z.int().min(2).max(1000), rows: z.int().min(1).max(1000) };

export const terminalEventSchema = z.discriminatedUnion('type', [
  /** First. `title` is the shell's name. */
  z.object({ type: z.literal('started'), id, title: z.string() }),
  z.object({ type: z.literal('output'), text: z.string() }),
  /** Last: the shell ended. */
  z.object({ type: z.literal('ended'), exitCode: z.int() }),
]);
export type TerminalEvent = z.infer<typeof terminalEventSchema>;

export const terminalContract = {
  /** Starts the user's shell in the open folder, or at home. Aborting the call ends it. @throws TERMINAL_FAILED */
  open: procedure.input(z.object(size)).output(eventIterator(terminalEventSchema)),
  /** Keys and pasted text. @throws NOT_FOUND for a shell that ended, as all below */
  write: procedure.input(z.object({ id, text: z.string().max(1_000_000) })).output(z.object({})),
  resize: procedure.input(z.object({ id, ...size })).output(z.object({})),
  /** So many characters of output are on the screen. A shell that is far ahead of its screen has to wait. */
  drawn: procedure.input(z.object({ id, nChars: z.int().min(0) })).output(z.object({})),
};

export const terminalControlContract = {
  /** Where shells start from now on; null is the user's home. Only main may. */
  setRoot: procedure.input(z.object({ root: z.string().nullable() })).output(z.object({})),
};
