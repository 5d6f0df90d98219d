// States of the app worth looking at.
import type { StoredMessage } from '../../electron/common/app-contract.ts';
import type { DownloadView } from '../../electron/common/model-contract.ts';
import { settingsSchema } from '../../electron/common/settings.ts';
import { appError } from './app-error.ts';
import { createFakeApi, type FakeApi } from './fake-api.ts';
import { kFakeLoaded, kFakeModel } from './fake-engine.ts';
import { fakeFacts, fakeGpu, fakeModel } from './fake-models.ts';

const kFiles: Record<string, string> = {
  'README.md': '# Orbit\n\nA tiny orbital mechanics library.\n\n- `src/` the library\n- `tests/` its tests\n',
  'package.json':
    '{\n  "name": "orbit",\n  "version": "0.1.0",\n  "type": "module",\n  "scripts": { "test": "vitest" }\n}\n',
  '.gitignore': 'node_modules\nbuild\n',
  'src/kepler.ts': `// Kepler's equation, solved by Newton's method.
import { norm, type Vec3 } from './vec3.ts';

export interface Orbit {
  /** Semi-major axis, metres. */
  a: number;
  eccentricity: number;
}

const kMaxSteps = 32;
const kTolerance = 1e-12;

/** Eccentric anomaly for a mean anomaly, both in radians. */
export function eccentricAnomaly(meanAnomaly: number, eccentricity: number): number {
  if (eccentricity < 0 || eccentricity >= 1) {
    throw new RangeError(\`eccentricity must be in [0, 1), got \${eccentricity}\`);
  }
  let e = eccentricity < 0.8 ? meanAnomaly : Math.PI;
  for (let step = 0; step < kMaxSteps; step++) {
    const delta = (e - eccentricity * Math.sin(e) - meanAnomaly) / (1 - eccentricity * Math.cos(e));
    e -= delta;
    if (Math.abs(delta) < kTolerance) return e;
  }
  return e;
}

export function speed(velocity: Vec3): number {
  return norm(velocity);
}

`,
  'src/vec3.ts':
    'export type Vec3 = readonly [number, number, number];\n\nexport function norm([x, y, z]: Vec3): number {\n  return Math.hypot(x, y, z);\n}\n',
  'src/propagate.py':
    'import math\n\n\ndef mean_motion(a: float, mu: float = 3.986004418e14) -> float:\n    """Radians per second."""\n    return math.sqrt(mu / a**3)\n',
  'src/native/integrator.cpp':
    '#include <cmath>\n#include <vector>\n\n// Velocity Verlet, one step.\nvoid step(std::vector<double>& r, std::vector<double>& v, double dt) {\n  for (size_t i = 0; i < r.size(); ++i) r[i] += v[i] * dt;\n}\n',
  'tests/kepler.test.ts': "import { expect, it } from 'vitest';\n",
  'style/app.css': 'body {\n  margin: 0;\n}\n',
  'node_modules/vitest/index.js': '',
};

const kReply = `Newton's method converges quadratically here, but the start value matters for **high eccentricity**.

### What changes

1. Start at \`π\` when \`e ≥ 0.8\`, otherwise at the mean anomaly.
2. Stop when the *correction* is below a tolerance, not the residual.

\`\`\`ts
const delta = (e - ecc * Math.sin(e) - mean) / (1 - ecc * Math.cos(e));
e -= delta;
if (Math.abs(delta) < 1e-12) return e; // about machine precision
\`\`\`

| e | steps |
| --- | ---: |
| 0.1 | 3 |
| 0.9 | 6 |

> The derivative is never zero for \`e < 1\`, so the division is safe.

See [Kepler's equation](https://en.wikipedia.org/wiki/Kepler%27s_equation) for the background.
`;

function message(role: StoredMessage['role'], content: string, more: Partial<StoredMessage> = {}): StoredMessage {
  const stats = {
    nPrompt: 420,
    nReused: 312,
    nDecoded: 186,
    nCtx: 2048,
    queueMs: 1,
    prefillMs: 1240,
    decodeMs: 7840,
    ttftMs: 1262,
  };
  const isReply = role === 'assistant';
  return {
    id: crypto.randomUUID(),
    role,
    content,
    status: 'complete',
    error: null,
    stats: isReply ? stats : null,
    reason: isReply ? 'end_of_text' : null,
    modelName: isReply ? 'TinyLlama 1.1B Chat' : null,
    createdAtMs: Date.now(),
    ...more,
  };
}

/** An app with a folder, open files and a few conversations. */
function furnished(messages: StoredMessage[]): FakeApi {
  const fake = createFakeApi(kFiles);
  const titles = ['Why does Newton need a start value?', 'Explain velocity Verlet', 'Write a test for norm()'];
  titles.forEach((title, i) => {
    const atMs = Date.now() - i * 5 * 3_600_000;
    fake.stored.conversations.set(`c${i}`, { id: `c${i}`, title, createdAtMs: atMs, leafId: null, updatedAtMs: atMs });
  });
  fake.stored.messages.set('c0', messages);
  fake.stored.session = {
    tabs: [
      { path: 'src/kepler.ts', backupId: null },
      { path: 'README.md', backupId: null },
      { path: 'src/propagate.py', backupId: null },
    ],
    activeTab: 0,
    expandedDirectories: ['src'],
    layout: {},
    conversationId: 'c0',
  };
  fake.engine.reply = kReply;
  fake.engine.stepMs = 40;
  fake.engine.completion = 'export function period(orbit: Orbit, mu: number): number {';
  return fake;
}

const kQuestion = 'Why does the Newton iteration need a different start value for high eccentricity?';

const kDownloads: DownloadView[] = (['running', 'running', 'queued', 'paused', 'failed'] as const).map((state, i) => ({
  id: `d${i}`,
  title:
    ['qwen2.5-coder-7b-q4_k_m', 'starcoder2-3b-q8_0', 'gemma-3-4b-q4_0', 'phi-4-mini-q4_k', 'mistral-7b-q5_k'][i] ?? '',
  state,
  step: i === 1 ? 'verifying' : 'downloading',
  nDone: 1.9e9,
  nTotal: 4.7e9,
  bytesPerSecond: state === 'running' ? 23e6 : 0,
  secondsLeft: state === 'running' ? 121 : null,
  error:
    state === 'failed'
      ? {
          code: 'NETWORK_FAILED',
          message: 'hub.example could not be reached, or broke off 6 times in a row.',
          hint: 'Check the connection, then go on: what has arrived is kept.',
        }
      : null,
}));

/** A library with a few models, and a hub that finds some. */
function withModels(): FakeApi {
  const fake = createFakeApi(kFiles);
  const coder = fakeModel({
    id: 'file:/models/qwen.gguf',
    name: 'Qwen2.5 Coder 1.5B',
    path: '/home/you/.config/Outpost/models/lab--qwen/qwen2.5-coder-1.5b-q4_k_m.gguf',
    origin: 'downloaded',
    bytes: 986_000_000,
    facts: { ...fakeFacts, architecture: 'qwen2', fileType: 'q4_K', nCtxTrain: 32_768, hasFim: true },
    source: { url: 'https://hub.example/x', sha256: null, repo: 'lab/qwen', license: 'apache-2.0' },
    benchmark: null,
    selfTest: null,
  });
  fake.models.state.models.push(coder);
  fake.models.hub = ['lab/Qwen2.5-Coder-7B-GGUF', 'lab/Qwen2.5-Coder-1.5B-GGUF', 'forge/gated-coder-GGUF'].map(
    (repo, i) => ({
      repo,
      nDownloads: 120_000 / (i + 1),
      nLikes: 10,
      isGated: i === 2,
      license: 'apache-2.0',
      updatedAt: null,
    }),
  );
  fake.models.files = ['q4_k_m', 'q8_0'].map((type, i) => ({
    path: `qwen2.5-coder-7b-${type}.gguf`,
    parts: [{ path: `qwen2.5-coder-7b-${type}.gguf`, bytes: 4.7e9 * (i + 1), sha256: 'ab'.repeat(32) }],
    bytes: 4.7e9 * (i + 1),
    isHere: false,
  }));
  fake.models.facts = {
    ...fakeFacts,
    nCtxTrain: 131_072,
    packedBytes: 4.7e9,
    kvElementsPerToken: 28_672,
    readPerToken: { q4_K: 4.4e9 },
  };
  return fake;
}

const kRefusingGpu = {
  ...fakeGpu,
  id: 'cuda:1',
  name: 'An old GPU',
  totalBytes: 0,
  freeBytes: 0,
  reason: 'The driver of cuda:1 (An old GPU) is made for CUDA 11.8, and this program needs 12.4 or newer.',
};

export const scenes: Record<string, () => FakeApi> = {
  chat: () => furnished([message('user', kQuestion), message('assistant', kReply)]),
  noFolder: () => createFakeApi({}, { workspace: null }),
  noFile: () => createFakeApi(kFiles),
  models: () => withModels(),
  modelsGpu: () => {
    const fake = withModels();
    const gib = 2 ** 30;
    const rooms = { totalBytes: 8 * gib, freeBytes: 0.6 * gib };
    fake.models.state.memory.gpus = [{ ...fakeGpu, ...rooms }];
    return fake;
  },
  modelsSharedGpu: () => {
    const fake = withModels();
    const { totalBytes, freeBytes } = fake.models.state.memory;
    const rooms = { totalBytes: 0.75 * totalBytes, freeBytes: Math.min(freeBytes, 0.7 * totalBytes) };
    fake.models.state.memory.gpus = [{ ...fakeGpu, id: 'metal:0', name: 'Apple M2', ...rooms, sharesMemory: true }];
    return fake;
  },
  modelsTwoGpus: () => {
    const fake = withModels();
    const rooms = { totalBytes: 2 ** 30, freeBytes: 0.75 * 2 ** 30 };
    fake.models.state.memory.gpus = ['cuda:0', 'cuda:1'].map((id) => ({ ...fakeGpu, id, ...rooms }));
    return fake;
  },
  /** The second is there, and its driver is too old. */
  modelsRefusingGpu: () => {
    const fake = withModels();
    fake.models.state.memory.gpus = [fakeGpu, kRefusingGpu];
    return fake;
  },
  /** Of a model that is set to it, and that was tried to be loaded; of the other one nobody knows more than that. */
  modelsMissingGpu: () => {
    const fake = withModels();
    const reason = 'cuda:0 (A GPU) refuses this program: out of memory.';
    fake.models.state.memory.gpus = [{ ...fakeGpu, freeBytes: 0, reason }];
    fake.models.state.models = fake.models.state.models.map((model) => ({
      ...model,
      overrides: { sampler: {}, device: 'cuda:0' },
    }));
    const error = {
      code: 'DEVICE_UNAVAILABLE' as const,
      message: `The device cuda:0 cannot be used: ${reason}`,
      hint: 'Make it available and try again, or have the processor or another GPU compute the model.',
    };
    const gone = { memory: null, shares: [], decoding: null, cache: null };
    fake.engine.models = [{ ...kFakeLoaded, ...gone, state: 'failed', error }];
    fake.engine.setStatus({ state: 'failed', modelPath: kFakeModel.path, error });
    return fake;
  },
  modelsDownloading: () => {
    const fake = withModels();
    fake.models.state.downloads = kDownloads;
    return fake;
  },
  modelsDamaged: () => {
    const fake = withModels();
    const problem = {
      code: 'DOWNLOAD_MISMATCH' as const,
      message: 'qwen2.5-coder-1.5b-q4_k_m.gguf is damaged: its hash is not the one it should have.',
      hint: 'Repair it: only the damaged parts are fetched again.',
    };
    fake.models.state.models = fake.models.state.models.map((model) =>
      model.origin === 'downloaded' ? { ...model, state: 'damaged' as const, problem, verifiedAtMs: null } : model,
    );
    return fake;
  },
  modelsVerifying: () => {
    const fake = withModels();
    fake.models.state.models = fake.models.state.models.map((model) => ({
      ...model,
      job: { kind: 'verify' as const, progress: 0.4 },
    }));
    return fake;
  },
  modelsOffline: () => {
    const fake = withModels();
    fake.models.hubError = appError(
      'NETWORK_FAILED',
      'hub.example could not be reached.',
      'Check the connection and the address of the hub in the settings.',
    );
    return fake;
  },
  modelsSearching: () => {
    const fake = withModels();
    fake.models.isHubSlow = true;
    return fake;
  },
  loading: () => {
    const fake = createFakeApi(kFiles);
    fake.engine.loading(0.42);
    return fake;
  },
  /** In a conversation that was there before. */
  loadingAgain: () => {
    const fake = furnished([message('user', kQuestion), message('assistant', 'It converges **quadratically**.')]);
    if (fake.stored.session) fake.stored.session.tabs = [];
    fake.engine.loading(0.42);
    return fake;
  },
  firstStepsLoading: () => {
    const fake = createFakeApi({}, { workspace: null, settings: settingsSchema.parse({}) });
    fake.engine.loading(0.42);
    return fake;
  },
  modelFailed: () => {
    const fake = createFakeApi(kFiles);
    fake.engine.setStatus({
      state: 'failed',
      modelPath: '/models/broken.gguf',
      error: {
        code: 'MODEL_INVALID',
        message: 'broken.gguf is not a usable model: the tensor index ends after 12 of 201 tensors.',
        hint: 'The file is probably cut off. Download it again, or choose another file.',
        detail: 'gguf: offset 1048576: expected 201 tensor infos, got 12',
      },
    });
    return fake;
  },
  restarting: () => {
    const fake = furnished([
      message('user', kQuestion),
      message('assistant', 'Newton’s method converges quadratically', {
        status: 'failed',
        reason: 'error',
        stats: null,
        error: {
          code: 'ENGINE_NOT_READY',
          message: 'The engine stopped while it was answering.',
          hint: 'It is started again. What it wrote so far is kept.',
        },
      }),
    ]);
    setTimeout(() => {
      const state = { state: 'restarting', reason: 'The engine process was killed (SIGKILL).', attempt: 1 } as const;
      fake.events.push({ type: 'process', process: 'engine', state });
    }, 500);
    return fake;
  },
  badFiles: () => {
    const fake = furnished([]);
    fake.workspace.put('data.bin', '', { readError: 'FILE_NOT_TEXT' });
    fake.workspace.put('locked.txt', 'You cannot save here.\n', { isReadOnly: true });
    fake.workspace.writeError = 'DISK_FULL';
    return fake;
  },
  failedReply: () => {
    const fake = furnished([]);
    fake.engine.failure = appError(
      'OUT_OF_MEMORY',
      'There is not enough memory for this conversation.',
      'Lower the context in the settings.',
    );
    return fake;
  },
};
