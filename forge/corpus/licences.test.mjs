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

it('reads the notice of a licence across the lines of a comment, and names of licences without one', () => {
  for (const no of [
    '/* This library is free software; you can redistribute it and/or\n * modify it under the terms of the GNU Lesser General\n * Public License as published by the Free Software Foundation; */',
    '# You can redistribute it under the terms of the GNU\n#    General Public License as published',
    '// This Source Code Form is subject to the terms of the Mozilla Public\r\n// License, v. 2.0.',
    ';; Eclipse Public\n;; License',
    '// Licensed under the GPLv3',
    '// AGPL-3.0-or-later',
    '// under the MPLv2',
    '# licensed under the LGPL version 2.1 or later. Parts were under the BSD license.',
    "license = 'LGPL',",
    '// dual licensed: MPL 2.0 or a commercial license',
    '/* MDN is licensed under [CC-BY-SA 2.5](https://creativecommons.org/licenses/by-sa/2.5/). */',
    '/* License: Creative Commons Attribution-ShareAlike 4.0 */',
    '<!-- CC BY-NC 4.0 -->',
  ])
    expect(hasPermissiveHeader(no), no).toBe(false);
});

it('keeps a file that may be had under a permissive licence instead, or that only speaks of another one', () => {
  for (const yes of [
    ' * @license MIT | GPL | Apache 2.0, see LICENSE.txt',
    '// Licensed under MIT or GPLv2, at your choice',
    '// Licensed under either of\n//  * GPL-3.0 or\n//  * the MIT license',
    '/* Dual licensed under the MIT and GPLv2 licenses. */',
    '# the BSD license. However, when used with the GPL version of PyQt the additional terms apply',
    '/* by-sa, mpl >= 2 and gpl */',
    '/* CC BY 4.0, CC0 */',
  ])
    expect(hasPermissiveHeader(yes), yes).toBe(true);
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
