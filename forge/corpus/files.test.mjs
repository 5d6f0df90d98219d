import { expect, it } from 'vitest';
import { dropReason, languageOf } from './files.mjs';

const code = 'export function add(a: number, b: number): number {\n  return a + b;\n}\n'.repeat(3);

it('knows languages by names, and leaves out what others wrote or a build did', () => {
  expect(languageOf('src/a.tsx')).toBe('typescript');
  expect(languageOf('src/a.d.ts')).toBe(null);
  expect(languageOf('vendor/a.go')).toBe(null);
  expect(languageOf('dist/a.js')).toBe(null);
  expect(languageOf('a.min.js')).toBe(null);
  expect(languageOf('package-lock.json')).toBe(null);
  expect(languageOf('docs/guide.md')).toBe('markdown');
  expect(languageOf('logo.png')).toBe(null);
});

it('drops what is generated, binary, under another licence or secret', () => {
  expect(dropReason('typescript', Buffer.from(code))).toBe(null);
  expect(dropReason('typescript', Buffer.from(`// @generated\n${code}`))).toBe('generated');
  expect(dropReason('typescript', Buffer.from(`${code}\0`))).toBe('generated');
  expect(dropReason('javascript', Buffer.from(`Object.defineProperty(exports, "__esModule", {});\n${code}`))).toBe(
    'generated',
  );
  expect(dropReason('typescript', Buffer.from(`// SPDX-License-Identifier: GPL-3.0\n${code}`))).toBe('licence');
  // Put together here: what looks like a key is one for those who scan this repository.
  expect(dropReason('typescript', Buffer.from(`${code}const k = '${'AKIA'}${'Z'.repeat(16)}';\n`))).toBe('secret');
  expect(dropReason('typescript', Buffer.from(`-----BEGIN RSA ${'PRIVATE'} KEY-----\n${code}`))).toBe('secret');
  expect(dropReason('typescript', Buffer.from(`password = '${'a1b2c3d4'.repeat(4)}'\n${code}`))).toBe('secret');
});

it('knows secrets by their form, and lets placeholders through', () => {
  const reasonOf = (/** @type {string} */ line) =>
    dropReason('python', Buffer.from(`${line}\n${'x = compute(1)\n'.repeat(5)}`));
  // Put together here, too.
  const random = 'aBcDeFg4'.repeat(5);
  for (const secret of [
    `-----BEGIN PGP ${'PRIVATE'} KEY BLOCK-----`,
    `SECRET_KEY = "${random}"`,
    `SECRET_KEY = 'django-insecure-${'z9*(k&'.repeat(6)}'`,
    `secretKey: "${random}"`,
    `aws_secret_access_key = "${random}"`,
    `"${'github'}_pat_${'AbcDefGhiJk6'.repeat(6)}"`,
    `"${'glpat'}-${'AbCdEfGhI5'.repeat(2)}"`,
  ])
    expect(reasonOf(secret), secret).toBe('secret');
  for (const placeholder of [
    '-----BEGIN PGP PUBLIC KEY BLOCK-----',
    'SECRET_KEY = "change-me"',
    'SECRET_KEY = os.environ["SECRET_KEY"]',
    'secret_access_key = "your-secret-access-key-goes-here"',
    'token: "$(TOKEN_2_OF_THE_ENVIRONMENT)"',
    'secret = "<your secret of 24 characters or more>"',
    '"github_pat_..."',
    '"glpat-xxxx"',
    'publicKey = "0x1a2b3c4d5e6f7a8b9c0d1e2f"',
  ])
    expect(reasonOf(placeholder), placeholder).toBe(null);
});
