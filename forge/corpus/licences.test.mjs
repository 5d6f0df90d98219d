import { expect, it } from 'vitest';
import { hasPermissiveHeader, isLicenceText, isPermissive, parseDebianCopyright } from './licences.mjs';

it('takes an expression if one of its choices is permissive as a whole', () => {
  for (const yes of [
    'MIT',
    'Apache-2.0 OR GPL-2.0',
    '(MIT OR Unlicense)',
    'Expat and BSD-3-clause',
    'Apache-2.0 with LLVM-exception',
    'MIT OR GPL-2.0 AND LGPL-2.1',
    'GPL-2 and LGPL-2.1, or Expat',
    '((MIT OR GPL-2.0) AND (BSD-3-Clause OR LGPL-2.1))',
    'MIT | GPL-3 | the Apache License',
  ])
    expect(isPermissive(yes), yes).toBe(true);
  for (const no of [
    '',
    'GPL-3.0',
    'MIT AND GPL-2.0',
    'LGPL-2.1+',
    'MPL-2.0',
    'CC-BY-SA-4.0',
    'SEE LICENSE IN LICENSE',
    'UNLICENSED',
    '(MIT OR GPL-2.0) AND LGPL-2.1',
    'Expat or GPL-2, and LGPL-2.1',
    'GPL-2, Expat or BSD-3-clause',
    'Apache-2.0 with Commons-Clause',
    'MIT AND (Apache-2.0 OR',
    'MIT) OR (GPL-2.0',
  ])
    expect(isPermissive(no), no).toBe(false);
});

it('reads the licence that a file names in its first lines', () => {
  expect(hasPermissiveHeader('// SPDX-License-Identifier: MIT\nint x;')).toBe(true);
  expect(hasPermissiveHeader('/* SPDX-License-Identifier: GPL-2.0-only */')).toBe(false);
  expect(hasPermissiveHeader('# under the terms of the GNU Lesser General Public License')).toBe(false);
  expect(hasPermissiveHeader('export const a = 1;')).toBe(true);
});

it("lets the last matching stanza of Debian's copyright file decide", () => {
  const licence = parseDebianCopyright(`Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: 2020 A
License: Expat

Files: src/gpl/*
 tools/one?.c
Copyright: 2021 B
License: GPL-2+
 This program is free software

License: Expat
 Permission is hereby granted
`);
  expect(licence?.('src/a.c')).toBe('Expat');
  expect(licence?.('src/gpl/deep/a.c')).toBe('GPL-2+');
  expect(licence?.('tools/one1.c')).toBe('GPL-2+');
  expect(licence?.('tools/one12.c')).toBe('Expat');
  expect(parseDebianCopyright('This package was debianized by A.')).toBe(null);
});

it('knows the text of a licence by its words', () => {
  expect(isLicenceText('MIT', 'Permission is hereby granted, free\n of charge, to any person')).toBe(true);
  expect(isLicenceText('MIT', 'Redistribution and use in source and binary forms')).toBe(false);
});
