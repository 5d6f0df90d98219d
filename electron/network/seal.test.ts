import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../testing/temporary-folder.ts';

/** Runs code in a process of its own, because a seal is for ever. @returns what it printed, as JSON */
function inSealedProcess(code: string): unknown {
  const seal = join(import.meta.dirname, 'seal.ts');
  const script = `
    import { sealNetwork } from ${JSON.stringify(seal)};
    import net from 'node:net'; import tls from 'node:tls'; import http from 'node:http'; import dns from 'node:dns';
    import dgram from 'node:dgram';
    const attempts = [];
    sealNetwork((target) => attempts.push(target));
    const outcome = (run) => new Promise((resolve) => {
      try { run(resolve); } catch (error) { resolve('threw ' + error.constructor.name); }
    });
    ${code}`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

it('refuses every way to a server, and the server sees nothing', async () => {
  let nConnections = 0;
  const server = createServer((socket) => {
    nConnections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const result = inSealedProcess(`
    const port = ${port};
    const results = [];
    const failed = (make) => outcome((done) => make().on('error', (e) => done(e.code)).on('connect', () => done('open')));
    results.push(await failed(() => net.connect(port, '127.0.0.1')));
    results.push(await failed(() => net.connect({ port, host: '127.0.0.1' })));
    results.push(await failed(() => new net.Socket().connect(port)));
    results.push(await failed(() => tls.connect({ port, host: '127.0.0.1' })));
    results.push(await failed(() => http.get({ port, host: '127.0.0.1' })));
    results.push(await fetch('http://127.0.0.1:' + port).then(() => 'open', (e) => e.cause?.code));
    results.push(await outcome((done) => { const s = dgram.createSocket('udp4'); s.send('x', port, '127.0.0.1', () => done('sent')); }));
    results.push(await outcome((done) => dns.lookup('example.com', (e) => done(e.code))));
    results.push(await dns.promises.resolve4('example.com').catch((e) => e.code));
    const { lookup } = await import('node:dns');
    results.push(await outcome((done) => lookup('example.org', (e) => done(e.code))));
    console.log(JSON.stringify({ results, attempts })); process.exit();`);
  server.close();
  expect(result).toEqual({
    results: [...Array(6).fill('ENETUNREACH'), 'threw NetworkSealedError', ...Array(3).fill('ENETUNREACH')],
    attempts: [
      `127.0.0.1:${port}`,
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `127.0.0.1:${port}`,
      `127.0.0.1:${port}`,
      `127.0.0.1:${port}`,
      'a datagram socket',
      'example.com',
      'example.com',
      'example.org',
    ],
  });
  expect(nConnections).toBe(0);
});

it.skipIf(process.platform === 'win32')('leaves sockets of this machine alone', () => {
  const path = join(temporaryFolder(), 'pipe');
  const result = inSealedProcess(`
    const server = net.createServer((socket) => socket.end('hello')).listen(${JSON.stringify(path)}, () => {
      net.connect(${JSON.stringify(path)}).on('data', (data) => {
        console.log(JSON.stringify({ data: String(data), attempts })); process.exit();
      });
    });`);
  expect(result).toEqual({ data: 'hello', attempts: [] });
});
