import { numberFilters } from './filters-number.ts';
import { selectFilters } from './filters-select.ts';
import { sequenceFilters } from './filters-sequence.ts';
import { textFilters } from './filters-text.ts';
import type { Builtin } from './runtime.ts';

export const filters: ReadonlyMap<string, Builtin> = new Map(
  Object.entries({ ...textFilters, ...sequenceFilters, ...selectFilters, ...numberFilters }),
);
