// Where models come from: the hub of the settings, which is a server or a folder, and the packages of the registry. Finds
// what is there, what it would need here, and what has to be fetched for it.
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { appError } from '../../common/app-error.ts';
import type { HubModel } from '../../common/model-contract.ts';
import type { ModelFacts } from '../../common/model-facts.ts';
import type { Settings } from '../../common/settings.ts';
import { type CatalogModel, catalogModels } from './catalog.ts';
import type { QueuedDownload } from './downloads.ts';
import { readGgufHeader } from './gguf-header.ts';
import { getFollowing, type HttpGet, readBody } from './http.ts';
import { FolderHub, fileGet, fileNameOf, HttpHub, type Hub, type Listed } from './hub.ts';
import { type ModelFile, splitModelFacts } from './model-facts.ts';
import { npmRegistry, type Registry, registryFiles } from './registry.ts';

export interface ModelSourcesOptions {
  settings: () => Settings;
  token: () => string | null;
  /** HTTP through the gate. `purpose` is for the list of connections. */
  http: (purpose: string) => HttpGet;
  /** Where downloads are to be. */
  folder: () => string;
  /** What npm is configured to. */
  registry?: () => Promise<Registry | null>;
  catalog?: readonly CatalogModel[];
}

const mostHeaderRequest = 8 << 20;
const forever = new AbortController().signal;

export class ModelSources {
  readonly #options: ModelSourcesOptions;
  #registry: Registry | null = null;

  constructor(options: ModelSourcesOptions) {
    this.#options = options;
  }

  search(text: string, signal: AbortSignal | undefined): Promise<HubModel[]> {
    return this.#hub('Searching for models.').search(text, signal ?? forever);
  }

  async files(repo: string, signal: AbortSignal | undefined): Promise<(Listed & { url: string })[]> {
    const hub = this.#hub(`Looking at the files of ${repo}.`);
    const files = await hub.files(repo, signal ?? forever);
    return files.map((file) => ({ ...file, url: hub.fileUrl(repo, file.path) }));
  }

  /** What a file would need here, from its head alone. */
  async remoteFacts(repo: string, path: string, signal: AbortSignal = forever): Promise<ModelFacts> {
    const hub = this.#hub(`Reading the head of a file of ${repo}.`);
    const file = (await hub.files(repo, signal)).find((candidate) => candidate.path === path);
    if (!file)
      throw appError('NOT_FOUND', `${repo} does not have this file any more.`, { hint: 'Search for it again.' });
    const get = this.get(`Reading the head of a file of ${repo}.`);
    const heads: ModelFile[] = [];
    for (const part of file.parts) {
      const url = hub.fileUrl(repo, part.path);
      const header = await readGgufHeader(async (offset, bytes) => {
        const wanted = Math.min(bytes, part.bytes - offset);
        if (wanted <= 0) return new Uint8Array();
        const chunks: Uint8Array[] = [];
        for (let at = 0; at < wanted; at += mostHeaderRequest) {
          const n = Math.min(mostHeaderRequest, wanted - at);
          const headers = { range: `bytes=${offset + at}-${offset + at + n - 1}`, 'accept-encoding': 'identity' };
          const { response } = await getFollowing(get, { url, headers, token: this.tokenFor(url), signal });
          if (response.status === 401 || response.status === 403) {
            response.cancel();
            throw appError('HUB_GATED', `${repo} is only for those who accepted its terms.`, {
              hint: 'Accept them on the model\u2019s page, then give Outpost an access token.',
            });
          }
          if (response.status !== 206) {
            response.cancel();
            throw appError('NETWORK_FAILED', `The head of ${basename(path)} could not be read alone.`, {
              hint: 'This hub sends whole files only; what it needs is seen after the download.',
            });
          }
          chunks.push(await readBody(response, n, 'A part of the file'));
        }
        return Buffer.concat(chunks);
      }, basename(part.path));
      heads.push({ header, bytes: part.bytes, what: basename(part.path) });
    }
    return splitModelFacts(heads);
  }

  /** What has to be fetched for a file of a hub. */
  async fromHub(repo: string, path: string): Promise<QueuedDownload> {
    const hub = this.#hub(`Looking at the files of ${repo}.`);
    const file = (await hub.files(repo, forever)).find((candidate) => candidate.path === path);
    if (!file)
      throw appError('NOT_FOUND', `${repo} does not have this file any more.`, { hint: 'Search for it again.' });
    const url = hub.fileUrl(repo, path);
    const folder = repo.replace('/', '--').replaceAll(/[^\w.-]/g, '_');
    return {
      id: idOf(url),
      title: fileNameOf(path).replace(/\.gguf$/i, ''),
      folder: this.#options.folder(),
      files: file.parts.map((part) => ({
        url: hub.fileUrl(repo, part.path),
        name: `${folder}/${fileNameOf(part.path)}`,
        bytes: part.bytes,
        hash: part.sha256 === null ? null : { algorithm: 'sha256', hex: part.sha256 },
      })),
      source: { url, sha256: file.parts.length === 1 ? (file.parts[0]?.sha256 ?? null) : null, repo, license: null },
      assemble: null,
      isPaused: false,
    };
  }

  async fromCatalog(id: string): Promise<QueuedDownload> {
    const model = (this.#options.catalog ?? catalogModels).find((candidate) => candidate.id === id);
    if (!model) throw appError('NOT_FOUND', 'The catalog does not have this model any more.');
    if (model.hub) {
      const queued = await this.fromHub(model.hub.repo, model.hub.path);
      const { sha256 } = queued.source;
      if (model.sha256 !== null && sha256 !== null && sha256 !== model.sha256) {
        throw appError('DOWNLOAD_MISMATCH', `The hub lists another file as ${model.name} than Outpost knows.`, {
          hint: 'Search for it on the hub to take it all the same.',
          detail: `expected ${model.sha256}\ngot ${sha256}`,
        });
      }
      const hash = model.sha256 === null ? null : { algorithm: 'sha256' as const, hex: model.sha256 };
      return {
        ...queued,
        title: model.name,
        files: queued.files.map((file) => ({ ...file, hash: file.hash ?? hash })),
        source: { ...queued.source, sha256: sha256 ?? model.sha256, license: model.license },
      };
    }
    if (model.sha256 === null) throw new Error(`${id} of the catalog has no hash.`);
    await this.findRegistry();
    const files = await registryFiles(model, this.#registry, this.get(`Looking for ${model.name}.`), forever);
    return {
      id: idOf(`catalog:${id}`),
      title: model.name,
      folder: this.#options.folder(),
      files,
      source: { url: '', sha256: model.sha256, repo: null, license: model.license },
      assemble: {
        name: model.file,
        bytes: model.bytes,
        sha256: model.sha256,
        entries: (model.parts ?? []).map(({ entry }) => entry),
      },
      isPaused: false,
    };
  }

  #hub(purpose: string): Hub {
    const url = this.#options.settings().hubUrl;
    if (/^https?:\/\//.test(url)) return new HttpHub(url, this.get(purpose), () => this.#options.token());
    return new FolderHub(url);
  }

  get(purpose: string): HttpGet {
    const http = this.#options.http(purpose);
    return (request) => (request.url.startsWith('file:') ? fileGet(request) : http(request));
  }

  /** Before downloads of an earlier session go on: the registry's token is nowhere but in npm's configuration. */
  async findRegistry(): Promise<void> {
    this.#registry = await (this.#options.registry ?? npmRegistry)();
  }

  /** A token is for the hub or the registry that it came with, and for nobody else. */
  tokenFor(url: string): string | null {
    if (url.startsWith('file:')) return null;
    const isAt = (address: string) => URL.canParse(address) && new URL(address).origin === new URL(url).origin;
    if (isAt(this.#options.settings().hubUrl)) return this.#options.token();
    return this.#registry !== null && isAt(this.#registry.url) ? this.#registry.token : null;
  }
}

/** The same download has the same id, so that asking twice does not fetch twice. */
export const idOf = (url: string) => createHash('sha256').update(url).digest('hex').slice(0, 16);
