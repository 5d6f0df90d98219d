import { expect, it } from 'vitest';
import { importedPaths } from './imports.ts';

const first = (path: string, text: string, languageId: string) =>
  importedPaths(path, text, languageId).map((alternatives) => alternatives[0]);

it('finds what a script imports from its own workspace', () => {
  const text = `import { a } from './a.ts';\nimport b, {\n  c,\n} from "../lib/b";\nimport 'react';\nconst d = require('./d');\nexport * from './a.ts';\n`;
  expect(first('src/x.ts', text, 'typescript')).toEqual(['src/a.ts', 'lib/b', 'src/d']);
  const [, b] = importedPaths('src/x.ts', text, 'typescript');
  expect(b).toContain('lib/b.ts');
  expect(b).toContain('lib/b/index.ts');
});

it('finds the source of an import that names what it is compiled to', () => {
  expect(importedPaths('a.ts', "import './b.js'", 'typescript')[0]).toContain('b.ts');
});

it('finds modules of Python, headers of C++ and modules of Rust', () => {
  expect(importedPaths('app/x.py', 'from .util import a\nfrom ..core.db import b\nimport app.y\n', 'python')).toEqual([
    ['app/util.py', 'app/util/__init__.py'],
    ['core/db.py', 'core/db/__init__.py'],
    ['app/y.py', 'app/y/__init__.py', 'app/app/y.py', 'app/app/y/__init__.py'],
  ]);
  expect(importedPaths('src/x.cpp', '#include "core/a.h"\n#include <vector>\n', 'cpp')).toEqual([
    ['src/core/a.h', 'core/a.h'],
  ]);
  expect(importedPaths('src/main.rs', 'mod queue;\n', 'rust')).toEqual([['src/queue.rs', 'src/queue/mod.rs']]);
});

it('never leaves the workspace, and knows when it knows nothing', () => {
  expect(importedPaths('a.ts', "import '../../etc/passwd'", 'typescript')).toEqual([]);
  expect(importedPaths('a.hs', 'import Data.List', 'haskell')).toEqual([]);
});
