// A hub for tests: an HTTP server on this machine with ranges, redirects and tokens, which misbehaves as it is told.
// It speaks the part of the public interface of model hubs that Outpost uses, and that of a package registry.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What to do with one request for bytes. */
export type Fault =
  | 'none'
  /** Ends the connection after a part of the body. */
  | 'drop'
  /** Sends a part of the body and then nothing. */
  | 'stall'
  /** Never answers. */
  | 'silent'
  /** Says a shorter length, and sends it. */
  | 'short'
  /** Sends more than was asked for. */
  | 'long'
  /** One byte is another. */
  | 'wrongByte'
  /** The right number of bytes from another place, and says so. */
  | 'wrongRange'
  /** The right number of bytes from another place, without saying so. */
  | 'lyingRange'
  | 'tooMany'
  | 'broken'
  | 'notSatisfiable'
  /** Ignores the range. */
  | 'whole'
  | 'refuse';

export interface HubFile {
  repo: string;
  path: string;
  bytes: Uint8Array;
  /** What the listing says; the true one if not given. */
  sha256?: string;
}

export interface HubRequest {
  url: string;
  range: string | null;
  authorization: string | null;
}

interface Options {
  /** Chooses the fault of each request for bytes. */
  fault?: (request: HubRequest, n: number) => Fault;
  hasRanges?: boolean;
  hasEtags?: boolean;
  /** Repositories that need this token. */
  gated?: { repo: string; token: string };
  /** Files are on another port, as with content networks. */
  redirects?: boolean;
  /** The name of the host of that port. */
  storageHost?: string;
  bytesPerSecond?: number;
  /** Searches get no answer. */
  isSilent?: boolean;
}

export class TestHub {
  readonly files: HubFile[] = [];
  packages: { name: string; version: string; archive: Buffer }[] = [];
  /** Needed for packages. */
  packageToken: string | null = null;
  readonly requests: HubRequest[] = [];
  /** Bytes of bodies that were sent. */
  nBytesSent = 0;
  options: Options;
  #server: Server;
  #storage: Server;
  #nContent = 0;

  private constructor(options: Options) {
    this.options = options;
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#storage = createServer((request, response) => this.#content(request, response));
  }

  static async start(options: Options = {}): Promise<TestHub> {
    const hub = new TestHub(options);
    for (const server of [hub.#server, hub.#storage]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return hub;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  fileUrl(repo: string, path: string): string {
    return `${this.url}/${repo}/resolve/main/${path}`;
  }

  async stop(): Promise<void> {
    for (const server of [this.#server, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const path = decodeURIComponent(url.pathname);
    if (path === '/api/models') {
      if (this.options.isSilent) return;
      this.#search(url.searchParams.get('search') ?? '', response);
      return;
    }
    const described = this.packages.find(({ name, version }) => path === `/${name}/${version}`);
    if (described) {
      if (!this.#isPackageAllowed(request)) return void response.writeHead(401).end();
      const { name, version, archive } = described;
      const integrity = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
      json(response, { dist: { tarball: `${this.url}${tarballPath(name, version)}`, integrity } });
      return;
    }
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/main$/.exec(path);
    if (tree?.[1]) {
      this.#tree(tree[1], request, response);
      return;
    }
    if (this.options.redirects && path.includes('/resolve/')) {
      if (!this.#isAllowed(path, request)) return void response.writeHead(401).end();
      const { storageHost = '127.0.0.1' } = this.options;
      const storage = `http://${storageHost}:${(this.#storage.address() as AddressInfo).port}${request.url}`;
      response.writeHead(302, { location: storage }).end();
      return;
    }
    this.#content(request, response);
  }

  #search(text: string, response: ServerResponse): void {
    const repos = [...new Set(this.files.map(({ repo }) => repo))].filter((repo) =>
      repo.toLowerCase().includes(text.toLowerCase()),
    );
    json(
      response,
      repos.map((id, i) => ({
        id,
        downloads: 1000 - i,
        likes: 10,
        gated: this.options.gated?.repo === id ? 'auto' : false,
        tags: ['gguf', 'license:mit'],
        lastModified: '2026-01-02T03:04:05.000Z',
      })),
    );
  }

  #tree(repo: string, request: IncomingMessage, response: ServerResponse): void {
    if (!this.#isAllowed(repo, request)) return void response.writeHead(401).end();
    json(
      response,
      this.files
        .filter((file) => file.repo === repo)
        .map(({ path, bytes, sha256 }) => ({
          type: 'file',
          path,
          size: bytes.length,
          lfs: { oid: sha256 ?? createHash('sha256').update(bytes).digest('hex'), size: bytes.length },
        })),
    );
  }

  #isAllowed(path: string, { headers }: IncomingMessage): boolean {
    const { gated } = this.options;
    return !gated || !path.includes(gated.repo) || headers.authorization === `Bearer ${gated.token}`;
  }

  #isPackageAllowed({ headers }: IncomingMessage): boolean {
    return this.packageToken === null || headers.authorization === `Bearer ${this.packageToken}`;
  }

  #content(request: IncomingMessage, response: ServerResponse): void {
    const { hasRanges = true, hasEtags = true, redirects = false } = this.options;
    const path = decodeURIComponent(new URL(request.url ?? '/', this.url).pathname);
    const asked: HubRequest = {
      url: path,
      range: request.headers.range ?? null,
      authorization: request.headers.authorization ?? null,
    };
    this.requests.push(asked);
    const bytes = this.#bytesOf(path);
    if (!bytes) return void response.writeHead(404).end();
    if (path.endsWith('.tgz') && !this.#isPackageAllowed(request)) return void response.writeHead(401).end();
    if (!redirects && !this.#isAllowed(path, request)) return void response.writeHead(401).end();
    const fault = this.options.fault?.(asked, this.#nContent++) ?? 'none';
    if (fault === 'silent') return;
    if (fault === 'refuse') return void request.socket.destroy();
    if (fault === 'tooMany') return void response.writeHead(429, { 'retry-after': '0' }).end('slow down');
    if (fault === 'broken') return void response.writeHead(500).end('broken');
    if (fault === 'notSatisfiable') {
      return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    }

    const total = bytes.length;
    const range = hasRanges && fault !== 'whole' ? /^bytes=(\d+)-(\d+)$/.exec(asked.range ?? '') : null;
    const start = range ? Number(range[1]) : 0;
    const end = range ? Math.min(Number(range[2]) + 1, total) : total;
    if (start >= total) return void response.writeHead(416).end();
    const isElsewhere = fault === 'wrongRange' || fault === 'lyingRange';
    const from = isElsewhere ? (start + 1) % Math.max(1, total - (end - start)) : start;
    let body = Buffer.from(bytes.subarray(from, from + (end - start)));
    if (fault === 'wrongByte') body[Math.floor(body.length / 2)] = (body[Math.floor(body.length / 2)] ?? 0) ^ 0x40;
    if (fault === 'long') body = Buffer.concat([body, Buffer.from('more than that')]);
    if (fault === 'short') body = body.subarray(0, Math.floor(body.length / 2));
    const said = fault === 'wrongRange' ? from : start;
    response.writeHead(range ? 206 : 200, {
      'content-length': String(body.length),
      ...(hasEtags ? { etag: `"${createHash('sha1').update(bytes).digest('hex')}"` } : {}),
      ...(range ? { 'content-range': `bytes ${said}-${said + (end - start) - 1}/${total}` } : {}),
    });
    void this.#send(response, body, fault);
  }

  #bytesOf(path: string): Uint8Array | undefined {
    const file = this.files.find((candidate) => path === `/${candidate.repo}/resolve/main/${candidate.path}`);
    return file?.bytes ?? this.packages.find(({ name, version }) => path === tarballPath(name, version))?.archive;
  }

  async #send(response: ServerResponse, body: Buffer, fault: Fault): Promise<void> {
    const { bytesPerSecond = 0 } = this.options;
    const stop = fault === 'drop' || fault === 'stall' ? Math.floor(body.length * 0.6) : body.length;
    const step = bytesPerSecond > 0 ? Math.max(1, Math.floor(bytesPerSecond / 50)) : 1 << 16;
    for (let at = 0; at < stop && !response.destroyed; at += step) {
      const chunk = body.subarray(at, Math.min(at + step, stop));
      this.nBytesSent += chunk.length;
      response.write(chunk);
      if (bytesPerSecond > 0)
        await new Promise((resolve) => setTimeout(resolve, (1000 * chunk.length) / bytesPerSecond));
    }
    if (fault === 'stall') return;
    // After what was written has left: the other end shall have some of it.
    if (fault === 'drop') setTimeout(() => response.destroy(), 5);
    else response.end();
  }
}

const tarballPath = (name: string, version: string) => `/${name}/-/${name}-${version}.tgz`;

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
