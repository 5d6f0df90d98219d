import { describe, expect, it } from 'vitest';
import { loginError, proxyError, proxyOfEnvironment } from './proxy.ts';

describe('the proxy of the environment', () => {
  it('is there only where a variable names one', () => {
    expect(proxyOfEnvironment({})).toBeNull();
    expect(proxyOfEnvironment({ HTTP_PROXY: '', NO_PROXY: 'example.com' })).toBeNull();
    expect(proxyOfEnvironment({ HTTPS_PROXY: 'ftp://proxy.example' })).toBeNull();
    expect(proxyOfEnvironment({ HTTPS_PROXY: 'http://' })).toBeNull();
  });

  it('is one for each kind of address, with its scheme and port; small letters come first', () => {
    const rulesOf = (environment: NodeJS.ProcessEnv) => proxyOfEnvironment(environment)?.rules;
    expect(rulesOf({ HTTP_PROXY: 'proxy.example' })).toBe('http=http://proxy.example:80');
    expect(rulesOf({ HTTP_PROXY: 'http://a:1', http_proxy: 'http://b:2' })).toBe('http=http://b:2');
    expect(rulesOf({ HTTPS_PROXY: 'https://a.example', ALL_PROXY: 'socks5h://b' })).toBe(
      'http=socks5://b:1080;https=https://a.example:443',
    );
    expect(rulesOf({ all_proxy: 'http://[::1]:3128/' })).toBe('http=http://[::1]:3128;https=http://[::1]:3128');
  });

  it('has the name and the password of its address, with the characters that cannot stand there', () => {
    const { rules, logins } = proxyOfEnvironment({ HTTPS_PROXY: 'http://an%40na:p%3Aw@proxy.example:3128' }) ?? {};
    expect(rules).toBe('https=http://proxy.example:3128');
    expect(logins).toEqual(new Map([['proxy.example:3128', { name: 'an@na', password: 'p:w' }]]));
  });

  it('is not for the hosts of NO_PROXY and what is below them', () => {
    const bypassOf = (NO_PROXY: string) => proxyOfEnvironment({ HTTP_PROXY: 'a', NO_PROXY })?.bypass;
    expect(bypassOf('example.com, .intern,*.lan:8080')).toBe(
      'example.com,*.example.com,intern,*.intern,lan:8080,*.lan:8080',
    );
    expect(bypassOf('10.0.0.0/8 192.168.1.1:80,[fe80::1],*')).toBe('10.0.0.0/8,192.168.1.1:80,[fe80::1],*');
  });
});

it('a failure says which proxy, what it did, which host was meant, and what to do', () => {
  const url = 'https://hub.example/a?token=1';
  const failed = proxyError('net::ERR_PROXY_CONNECTION_FAILED', url, 'PROXY 10.0.0.1:3128; DIRECT');
  expect(failed?.message).toBe('The proxy 10.0.0.1:3128 could not be reached, so hub.example was not asked.');
  expect(failed?.hint).toContain('settings of the system');
  const script = proxyError('net::ERR_MANDATORY_PROXY_CONFIGURATION_FAILED', url, 'DIRECT');
  expect(script?.message).toContain('The proxy is set by a script');
  expect(proxyError('net::ERR_NAME_NOT_RESOLVED', url, 'PROXY 10.0.0.1:3128')).toBeNull();
  expect(loginError('10.0.0.1:3128', url, false).message).toContain('wants a name and a password');
  expect(loginError('10.0.0.1:3128', url, true).hint).toContain('name:password@host');
});
