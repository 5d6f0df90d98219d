// A proxy for tests: forwards plain HTTP and tunnels to hosts that only it knows, asks for a login, and writes down what
// passes.
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export class TestProxy {
  /** Ports of this machine by the names of hosts. */
  readonly hosts = new Map<string, number>();
  /** What was asked for with the right login: URLs, and "host:port" of tunnels. */
  readonly passed: string[] = [];
  /** "name:password"; null lets everybody pass. */
  login: string | null = null;
  readonly #server: Server;
  /** The server does not count them among its connections. */
  readonly #tunnels = new Set<Socket>();

  private constructor() {
    this.#server = createServer((request, response) => this.#forward(request, response));
    this.#server.on('connect', (request: IncomingMessage, socket: Socket) => this.#tunnel(request, socket));
  }

  static async start(): Promise<TestProxy> {
    const proxy = new TestProxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** "127.0.0.1:1234" */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    for (const socket of this.#tunnels) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #isAllowed({ headers }: IncomingMessage): boolean {
    const expected = this.login === null ? undefined : `Basic ${Buffer.from(this.login).toString('base64')}`;
    return expected === undefined || headers['proxy-authorization'] === expected;
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#isAllowed(request)) {
      response.writeHead(407, { 'proxy-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    const url = new URL(request.url ?? '', 'http://no-host');
    this.passed.push(url.href);
    const port = this.hosts.get(url.hostname);
    if (port === undefined) return void response.writeHead(502).end();
    const { 'proxy-authorization': _login, ...headers } = request.headers;
    const path = `${url.pathname}${url.search}`;
    const onward = httpRequest({ host: '127.0.0.1', port, path, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  #tunnel(request: IncomingMessage, socket: Socket): void {
    this.#tunnels.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#tunnels.delete(socket));
    if (!this.#isAllowed(request)) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\n\r\n');
      return;
    }
    this.passed.push(request.url ?? '');
    const port = this.hosts.get((request.url ?? '').split(':')[0] ?? '');
    if (port === undefined) return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
  }
}
