// The ledger of connections: every attempt of the app to use the network, whether it was allowed or not.
import { z } from 'zod';

export const connectionSchema = z.object({
  id: z.int(),
  atMs: z.number(),
  /** Which process tried. */
  from: z.enum(['window', 'main', 'engine', 'workspace', 'terminal']),
  /** What for, in words for the user. */
  purpose: z.string(),
  /** "host:port" or the origin of an address; never a whole address, which may hold secrets. */
  target: z.string(),
  isAllowed: z.boolean(),
});
export type Connection = z.infer<typeof connectionSchema>;

/** utility process → main, on `process.parentPort`: it tried to use the network. */
export const networkAttemptSchema = z.object({ type: z.literal('network-attempt'), target: z.string() });
export type NetworkAttempt = z.infer<typeof networkAttemptSchema>;
