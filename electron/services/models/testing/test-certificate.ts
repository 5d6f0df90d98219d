// A certificate that signs itself, made when it is needed: no key lies in the repository.
import { createSign, generateKeyPairSync } from 'node:crypto';

/** An element of DER (X.690): tag, length, content. */
function der(tag: number, ...content: (Buffer | number[])[]): Buffer {
  const body = Buffer.concat(content.map((part) => Buffer.from(part)));
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}
const sequence = (...content: Buffer[]) => der(0x30, ...content);
const utcTime = (time: Date) => der(0x17, Buffer.from(`${time.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`));

const ecdsaWithSha256 = sequence(der(0x06, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
const commonName = der(0x06, [0x55, 0x04, 0x03]);
const subjectAltName = der(0x06, [0x55, 0x1d, 0x11]);

const pem = (what: string, bytes: Buffer) =>
  `-----BEGIN ${what}-----\n${(bytes.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${what}-----\n`;

/** Of a server of that name, good for an hour. RFC 5280 has the fields. */
export function selfSigned(host: string): { key: string; cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(host)))));
  const hourMs = 3_600_000;
  const validity = sequence(utcTime(new Date(Date.now() - hourMs)), utcTime(new Date(Date.now() + hourMs)));
  const names = der(0x04, sequence(der(0x82, Buffer.from(host))));
  const body = sequence(
    der(0xa0, der(0x02, [2])), // version 3
    der(0x02, [1]),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(sequence(subjectAltName, names))),
  );
  const signature = createSign('SHA256').update(body).sign(privateKey);
  const cert = pem('CERTIFICATE', sequence(body, ecdsaWithSha256, der(0x03, [0], signature)));
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert };
}
