// A GPU for tests of what the app makes of one.
import type { Device } from '../../../common/role-contract.ts';

export const aGpu: Device = {
  id: 'cuda:0',
  name: 'A GPU',
  totalBytes: 8e9,
  freeBytes: 7e9,
  sharesMemory: false,
  sensors: null,
};
