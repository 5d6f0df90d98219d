// What a hub offers: over the public HTTP interface of model hubs, or in a folder, which may be a mirror, a disk of the
// network or a USB stick. Whatever comes from there is untrusted: it is checked, cut to size, and never used as a path.
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { appError } from '../../common/app-error.ts';
import type { HubFile, HubModel } from '../../common/model-contract.ts';
import { asDiskError } from './disk-errors.ts';
import { getFollowing, type HttpGet, readBody, tryLater } from './http.ts';

export type Listed = Omit<HubFile, 'isHere'>;

export interface Hub {
  search(text: string, signal: AbortSignal): Promise<HubModel[]>;
  files(repo: string, signal: AbortSignal): Promise<Listed[]>;
  fileUrl(repo: string, path: string): string;
}

/** "owner/name", as hubs write it; nothing that could leave the way to it. */
export const repoPattern = /^(?!.*\.\.)[\w.-]{1,100}\/[\w.-]{1,100}$/;
export const filePathPattern = /^(?!.*(?:^|\/)\.\.(?:\/|$))[\w.\- +()/]{1,300}\.gguf$/i;

const mostListBytes = 16 << 20;
const mostFound = 40;
const splitPattern = /-(\d{5})-of-(\d{5})\.gguf$/i;

export class HttpHub implements Hub {
  readonly #url: string;
  readonly #get: HttpGet;
  readonly #token: () => string | null;

  constructor(url: string, get: HttpGet, token: () => string | null) {
    this.#url = url.replace(/\/+$/, '');
    this.#get = get;
    this.#token = token;
  }

  async search(text: string, signal: AbortSignal): Promise<HubModel[]> {
    const query = new URLSearchParams({ search: text, filter: 'gguf', sort: 'downloads', limit: String(mostFound) });
    const found = await this.#json(`/api/models?${query}`, z.array(z.unknown()), signal);
    return found.flatMap((item) => {
      const parsed = foundSchema.safeParse(item);
      if (!parsed.success || !repoPattern.test(parsed.data.id)) return [];
      const { id, downloads, likes, gated, tags, lastModified } = parsed.data;
      const license = tags.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null;
      const updatedAt = lastModified ?? null;
      return [{ repo: id, nDownloads: downloads, nLikes: likes, isGated: gated !== false, license, updatedAt }];
    });
  }

  async files(repo: string, signal: AbortSignal): Promise<Listed[]> {
    const list = await this.#json(`/api/models/${repo}/tree/main?recursive=true`, z.array(z.unknown()), signal);
    return joinParts(
      list.flatMap((item) => {
        const parsed = treeSchema.safeParse(item);
        if (!parsed.success || parsed.data.type !== 'file' || !filePathPattern.test(parsed.data.path)) return [];
        const { path, size, lfs } = parsed.data;
        const sha256 = lfs && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : null;
        return [{ path, bytes: lfs?.size ?? size, sha256 }];
      }),
    );
  }

  fileUrl(repo: string, path: string): string {
    return `${this.#url}/${repo}/resolve/main/${path.split('/').map(encodeURIComponent).join('/')}`;
  }

  async #json<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const url = `${this.#url}${path}`;
    const { host } = new URL(url);
    const request = { url, headers: { accept: 'application/json' }, token: this.#token(), signal };
    const { response } = await getFollowing(this.#get, request);
    if (response.status === 401 || response.status === 403) {
      response.cancel();
      throw appError('HUB_GATED', `${host} does not show this model${this.#token() ? ' for your token' : ''}.`, {
        hint: 'Accept the terms of the model on its page, then give Outpost an access token.',
      });
    }
    if (response.status !== 200) {
      response.cancel();
      throw appError('NETWORK_FAILED', `${host} answered with status ${response.status}.`, tryLater);
    }
    const text = (await readBody(response, mostListBytes, `The answer of ${host}`)).toString('utf8');
    try {
      return schema.parse(JSON.parse(text));
    } catch (error) {
      throw appError('NETWORK_FAILED', `${host} does not answer as a model hub does.`, {
        hint: 'Check the address of the hub in the settings.',
        detail: (error as Error).message.slice(0, 500),
      });
    }
  }
}

const foundSchema = z.object({
  id: z.string(),
  downloads: z.number().catch(0),
  likes: z.number().catch(0),
  gated: z.union([z.boolean(), z.string()]).catch(false),
  tags: z.array(z.string()).catch([]),
  lastModified: z.string().max(40).optional().catch(undefined),
});
const treeSchema = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number().min(0),
  lfs: z.object({ oid: z.string(), size: z.number().min(0) }).optional(),
});

/** A folder as a hub: `owner/name/file.gguf` or just files; hashes from files beside them ("file.gguf.sha256"). */
export class FolderHub implements Hub {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async search(text: string): Promise<HubModel[]> {
    const wanted = text.toLowerCase();
    const found = new Map<string, HubModel>();
    for (const { repo } of await this.#walk()) {
      if (!repo.toLowerCase().includes(wanted)) continue;
      found.set(repo, { repo, nDownloads: 0, nLikes: 0, isGated: false, license: null, updatedAt: null });
    }
    return [...found.values()].slice(0, mostFound);
  }

  async files(repo: string): Promise<Listed[]> {
    const own = (await this.#walk()).filter((file) => file.repo === repo);
    return joinParts(
      await Promise.all(
        own.map(async ({ path, full }) => {
          const hash = await readFile(`${full}.sha256`, 'utf8').catch(() => '');
          return {
            path,
            bytes: (await stat(full)).size,
            sha256: /^[0-9a-f]{64}/i.exec(hash)?.[0].toLowerCase() ?? null,
          };
        }),
      ),
    );
  }

  fileUrl(repo: string, path: string): string {
    return pathToFileURL(join(this.#root, ...(repo === looseFiles ? [] : repo.split('/')), ...path.split('/'))).href;
  }

  async #walk(): Promise<{ repo: string; path: string; full: string }[]> {
    const names = await readdir(this.#root, { recursive: true }).catch((error: unknown) => {
      throw asDiskError(error, this.#root);
    });
    return names
      .map((name) => name.split(sep).join('/'))
      .filter((name) => filePathPattern.test(name))
      .map((name) => {
        const pieces = name.split('/');
        const repo = pieces.length > 2 ? pieces.slice(0, 2).join('/') : looseFiles;
        return { repo, path: pieces.length > 2 ? pieces.slice(2).join('/') : name, full: join(this.#root, name) };
      });
  }
}

/** The repository of what lies in no folder of its own. */
const looseFiles = 'folder/files';

/** Parts of one model become one; an incomplete set is left out. */
function joinParts(files: { path: string; bytes: number; sha256: string | null }[]): Listed[] {
  const groups = new Map<string, typeof files>();
  for (const file of files) {
    const key = file.path.replace(splitPattern, '-of-$2');
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  return [...groups.values()].flatMap((parts) => {
    parts.sort((a, b) => (a.path < b.path ? -1 : 1));
    const [first] = parts;
    if (!first) return [];
    const count = Number(splitPattern.exec(first.path)?.[2] ?? 1);
    if (parts.length !== count) return [];
    return [{ path: first.path, parts, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) }];
  });
}

/** Reads files of this machine as if they were remote, so that a folder passes the same checks as a server. */
export const fileGet: HttpGet = async ({ url, headers, signal }) => {
  const path = fileURLToPath(url);
  const { open } = await import('node:fs/promises');
  const file = await open(path, 'r').catch((error: unknown) => {
    throw asDiskError(error, path);
  });
  const { size } = await file.stat();
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = Math.min(range ? Number(range[2]) : size - 1, size - 1);
  const isPossible = start <= end;
  const fields: Record<string, string> = range
    ? { 'content-range': `bytes ${start}-${end}/${size}` }
    : { 'content-length': String(size) };
  return {
    status: isPossible ? (range ? 206 : 200) : 416,
    header: (name) => fields[name] ?? null,
    body: (async function* () {
      try {
        const buffer = Buffer.alloc(1 << 18);
        for (let at = start; at <= end; ) {
          signal.throwIfAborted();
          const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end + 1 - at), at);
          if (bytesRead === 0) return;
          at += bytesRead;
          yield Buffer.from(buffer.subarray(0, bytesRead));
        }
      } finally {
        await file.close();
      }
    })(),
    cancel: () => void file.close().catch(() => {}),
  };
};

/** The name that a file of a repository gets on disk. */
export function fileNameOf(path: string): string {
  return basename(path).replaceAll(/[^\w.\- +()]/g, '_');
}
