// The embedded default model: how it is called, and where it is.
import { join } from 'node:path';
import { z } from 'zod';
import catalog from '../../resources/models.json' with { type: 'json' };

const catalogSchema = z.object({
  default: z.string(),
  models: z.array(z.object({ id: z.string(), name: z.string(), file: z.string() })),
});

const { default: defaultId, models } = catalogSchema.parse(catalog);
const entry = models.find(({ id }) => id === defaultId);
if (!entry) throw new Error('resources/models.json names a default model that it does not list.');

export const defaultModelName = entry.name;
const file = entry.file;

/** Setup says where it assembled the model; an installed app carries it in its resources. */
export function defaultModelPath(): string {
  return process.env.OUTPOST_DEFAULT_MODEL ?? join(process.resourcesPath, 'models', file);
}
