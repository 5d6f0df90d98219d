import { expect, it } from 'vitest';
import {
  checkLayers,
  cppIncludes,
  emulatorViolation,
  layersForTests,
  typescriptImports,
  violation,
} from './layers.mjs';

const { typescriptLayers, cppLayers } = layersForTests;

it('finds a feature that imports another feature', () => {
  expect(violation(typescriptLayers, 'renderer/features/chat/a.ts', 'renderer/features/models/b.ts')).toContain(
    'renderer/features/chat may import',
  );
  expect(violation(typescriptLayers, 'renderer/features/chat/a.ts', 'renderer/features/chat/deep/b.ts')).toBeNull();
});

it('finds a renderer file that reaches into a process', () => {
  expect(violation(typescriptLayers, 'renderer/app/a.ts', 'electron/services/settings.ts')).not.toBeNull();
  expect(violation(typescriptLayers, 'renderer/app/a.ts', 'electron/common/settings.ts')).toBeNull();
});

it('finds native code that includes upwards', () => {
  expect(violation(cppLayers, 'native/core/a.h', 'native/model/llama.h')).not.toBeNull();
  expect(violation(cppLayers, 'native/runtime/a.h', 'native/model/llama.h')).toBeNull();
  expect(violation(cppLayers, 'native/binding/addon.cpp', 'native/runtime/request.h')).not.toBeNull();
});

it('finds a test of kernels that a GPU cannot run and whose name does not say so', () => {
  const faults = 'kernels/tests/emulator_faults.h';
  expect(emulatorViolation('kernels/tests/mma_test.cpp', faults)).toContain('built for a GPU');
  expect(emulatorViolation('kernels/tests/mma_test.cpp', 'kernels/emulator/simt.h')).toContain('built for a GPU');
  expect(emulatorViolation('kernels/tests/emulator_mma_test.cpp', faults)).toBeNull();
  expect(emulatorViolation('kernels/tests/mma_test.cpp', 'kernels/tests/operations.h')).toBeNull();
});

it('reads static and dynamic imports and includes', () => {
  const source = `import a from './x.ts';\nexport { b } from "../y.ts";\nawait import('./z.ts');\nimport 'react';`;
  expect(typescriptImports('renderer/app/main.ts', source)).toEqual([
    'renderer/app/x.ts',
    'renderer/y.ts',
    'renderer/app/z.ts',
  ]);
  expect(
    cppIncludes(
      '#include "core/a.h"\n#include <vector>\n#include "engine.h"',
      new Set(['native/core/a.h', 'native/include/engine.h']),
    ),
  ).toEqual(['native/core/a.h', 'native/include/engine.h']);
});

it('holds for the project', async () => {
  expect(await checkLayers()).toEqual([]);
});
