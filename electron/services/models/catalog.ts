// The curated models of resources/models.json: the default one, those that come with the app, and those that can be had.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import catalog from '../../../resources/models.json' with { type: 'json' };
import type { CatalogEntry, ModelEntry } from '../../common/model-contract.ts';
import { type ModelRole, modelRoleSchema } from '../../common/role-contract.ts';

const partSchema = z.object({
  package: z.string(),
  version: z.string(),
  entry: z.string(),
  bytes: z.int(),
  sha256: z.string(),
});

const modelSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** What it is good for, in one sentence. */
  about: z.string(),
  file: z.string(),
  license: z.string(),
  /** Of a model of a hub without a hash: about. The hub's list is what counts. */
  bytes: z.int(),
  /** Null: as the hub says. */
  sha256: z.string().nullable(),
  roles: z.array(modelRoleSchema),
  /** The model of this catalog that drafts for it best. */
  draft: z.string().optional(),
  /** Carried by packages of the configured registry. */
  parts: z.array(partSchema).optional(),
  /** Below resources/models/; there or not, as the app was built. */
  bundled: z.string().optional(),
  /** In a repository of a hub. */
  hub: z.object({ repo: z.string(), path: z.string() }).optional(),
});
export type CatalogModel = z.infer<typeof modelSchema>;

const parsed = z
  .object({
    default: z.string(),
    /** The model of a role where the user chose none and the file is there. */
    roles: z.partialRecord(modelRoleSchema, z.string()),
    models: z.array(modelSchema),
  })
  .parse(catalog);

export const catalogModels: readonly CatalogModel[] = parsed.models;

const found = parsed.models.find(({ id }) => id === parsed.default);
if (!found) throw new Error('resources/models.json names a default model that it does not list.');
export const defaultModel: CatalogModel = found;

/** Where models that came with the app are: setup's clone has them in the source tree. */
function bundledFolders(): string[] {
  const installed = process.resourcesPath ? [join(process.resourcesPath, 'models')] : [];
  return [...installed, join(import.meta.dirname, '..', '..', 'resources', 'models')];
}

/** Setup says where it assembled the default model; an installed app carries it in its resources. */
export function defaultModelPath(): string {
  return process.env.OUTPOST_DEFAULT_MODEL ?? join(process.resourcesPath ?? '', 'models', defaultModel.file);
}

/** The file of a bundled model; null if this build carries none. */
export function bundledPath({ bundled }: CatalogModel): string | null {
  if (bundled === undefined) return null;
  return (
    bundledFolders()
      .map((folder) => join(folder, bundled))
      .find((path) => existsSync(path)) ?? null
  );
}

/** The bundled model that has a role unless the user says otherwise; null where it is not there. */
export function catalogModelOf(role: ModelRole): CatalogModel | null {
  const model = parsed.models.find(({ id }) => id === parsed.roles[role]);
  return model && (model === defaultModel || bundledPath(model) !== null) ? model : null;
}

export const catalogId = ({ id }: CatalogModel) => `catalog:${id}`;

/** What the window shows of it. */
export function catalogEntry(known: CatalogModel, models: readonly ModelEntry[]): CatalogEntry {
  const { id, name, about, license, bytes, roles } = known;
  const isIt = ({ id, source }: ModelEntry) =>
    id === catalogId(known) ||
    isFromHub(known, source?.url) ||
    (known.sha256 !== null && source?.sha256 === known.sha256);
  return {
    id,
    name,
    about,
    license,
    bytes,
    roles,
    draft: catalogModels.find(({ id }) => id === known.draft)?.name ?? null,
    isHere: models.some((model) => model.state === 'ready' && isIt(model)),
  };
}

/** Whether a file came from where the catalog says that this model is. */
function isFromHub({ hub }: CatalogModel, url: string | undefined): boolean {
  return hub !== undefined && (url?.endsWith(`/${hub.repo}/resolve/main/${hub.path}`) ?? false);
}
