// Which proxy is asked. The environment comes first, as with other tools that are started from a shell, on every system;
// where it says nothing, the system's settings count, which Chromium reads by itself. Connections to this machine pass no
// proxy.

/** A proxy of the environment, as Chromium wants to be told of it. */
export interface EnvironmentProxy {
  /** "http=proxy.example:3128;https=…" */
  rules: string;
  /** Hosts that are reached without it, separated by commas. */
  bypass: string;
  /** Name and password by the proxy's "host:port". */
  logins: ReadonlyMap<string, { name: string; password: string }>;
}

const schemes: Record<string, { scheme: string; port: number }> = {
  'http:': { scheme: 'http', port: 80 },
  'https:': { scheme: 'https', port: 443 },
  'socks:': { scheme: 'socks5', port: 1080 },
  'socks5:': { scheme: 'socks5', port: 1080 },
  'socks5h:': { scheme: 'socks5', port: 1080 },
  'socks4:': { scheme: 'socks4', port: 1080 },
};

/** @returns null if HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, in either case, name no proxy that can be understood */
export function proxyOfEnvironment(environment: NodeJS.ProcessEnv): EnvironmentProxy | null {
  const read = (name: string) => environment[name.toLowerCase()] || environment[name] || '';
  const all = parseProxy(read('ALL_PROXY'));
  const found = [
    ['http', parseProxy(read('HTTP_PROXY')) ?? all],
    ['https', parseProxy(read('HTTPS_PROXY')) ?? all],
  ] as const;
  const rules = found.flatMap(([target, proxy]) => (proxy ? [`${target}=${proxy.scheme}://${proxy.host}`] : []));
  if (rules.length === 0) return null;
  const logins = new Map(found.flatMap(([, proxy]) => (proxy?.login ? [[proxy.host, proxy.login] as const] : [])));
  return { rules: rules.join(';'), bypass: bypassRules(read('NO_PROXY')), logins };
}

/** "user:secret@proxy.example:3128", with or without a scheme. */
function parseProxy(text: string) {
  if (text.trim() === '') return null;
  const address = /^[a-z0-9]+:\/\//i.test(text) ? text.trim() : `http://${text.trim()}`;
  if (!URL.canParse(address)) return null;
  const { protocol, hostname, port, username, password } = new URL(address);
  const known = schemes[protocol];
  if (known === undefined || hostname === '') return null;
  const login = username === '' ? null : { name: decoded(username), password: decoded(password) };
  return { scheme: known.scheme, host: `${hostname}:${port || known.port}`, login };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a password with a "%" of its own
  }
}

/** A name in NO_PROXY stands for the hosts below it, too; Chromium wants to be told. */
function bypassRules(list: string): string {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .flatMap((entry) => {
      const name = entry.replace(/^\*?\./, '');
      const isAddress = /^\[|^[\d.]+(?:$|[:/])/.test(name) || name.split(':').length > 2;
      if (entry === '*' || isAddress) return [name];
      return [name, `*.${name}`];
    })
    .join(',');
}

/** What a proxy does instead of its work. */
const failures: Record<string, string> = {
  ERR_PROXY_CONNECTION_FAILED: 'could not be reached',
  ERR_SOCKS_CONNECTION_FAILED: 'could not be reached',
  ERR_TUNNEL_CONNECTION_FAILED: 'does not let Outpost through',
  ERR_SOCKS_CONNECTION_HOST_UNREACHABLE: 'does not get through',
  ERR_PROXY_AUTH_UNSUPPORTED: 'wants a kind of login that is not known',
  ERR_PROXY_CERTIFICATE_INVALID: 'has a certificate that is not trusted',
  ERR_MANDATORY_PROXY_CONFIGURATION_FAILED: 'is set by a script that could not be read',
};

const checkHint = 'Check the proxy in the settings of the system, or in HTTPS_PROXY, HTTP_PROXY and NO_PROXY.';
const loginHint = 'Start Outpost with HTTPS_PROXY and HTTP_PROXY as http://name:password@host:port.';

/** The connection failed at the proxy, not behind it. */
export class ProxyError extends Error {
  /** For the user. */
  readonly hint: string;

  /** @param proxy "host:port"; null if not even that is known */
  constructor(proxy: string | null, url: string, failure: string, hint = checkHint) {
    super(`The proxy${proxy === null ? '' : ` ${proxy}`} ${failure}, so ${new URL(url).host} was not asked.`);
    this.hint = hint;
  }
}

/** @param hasLogin it was given one */
export function loginError(proxy: string, url: string, hasLogin: boolean): ProxyError {
  const failure = hasLogin
    ? 'does not take the name and the password that it was given'
    : 'wants a name and a password';
  return new ProxyError(proxy, url, failure, loginHint);
}

/**
 * @param message of Chromium's network
 * @param resolved what it says of the way to the address: "PROXY proxy.example:3128; DIRECT"
 * @returns null if the message says nothing about a proxy
 */
export function proxyError(message: string, url: string, resolved: string): ProxyError | null {
  const failure = failures[/ERR_[A-Z_]+/.exec(message)?.[0] ?? ''];
  if (failure === undefined) return null;
  const proxy = /^\s*(?:PROXY|HTTPS|SOCKS[45]?)\s+([^\s;]+)/i.exec(resolved)?.[1] ?? null;
  return new ProxyError(proxy, url, failure);
}
