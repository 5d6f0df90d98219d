import { beforeEach, expect, it, vi } from 'vitest';
import type { Attachment } from '../../electron/common/app-contract.ts';
import { FakeTexts } from '../testing/fake-texts.ts';
import { FakeWorkspace } from '../testing/fake-workspace.ts';
import type { AppModel } from './app-model.ts';
import { attachActive, attachPath } from './chat-actions.ts';

const source = 'const limit = 3;\n\nfunction check(value) {\n  return value < limit;\n}\n';

let attached: Attachment[];
let note: ReturnType<typeof vi.fn>;
let model: AppModel;
let texts: FakeTexts;
let gitState: 'repository' | 'none';
let committed: string | null;

beforeEach(() => {
  attached = [];
  note = vi.fn();
  gitState = 'none';
  committed = null;
  const workspace = new FakeWorkspace({ 'src/check.js': source, 'src/deep/b.js': '', 'README.md': '' });
  const git = { ...workspace.api.git, headText: async () => ({ text: committed }) };
  texts = new FakeTexts();
  texts.create('id', source, 'src/check.js');
  const buffer = { id: 'id', path: 'src/check.js', title: 'check.js', status: 'ready', languageId: 'javascript' };
  const selection = { text: 'value < limit', range: { startLine: 4, endLine: 4 } };
  model = {
    api: { workspace: { ...workspace.api, git } },
    attempt: (call: () => Promise<unknown>) => call(),
    buffers: { active: buffer },
    chatInput: { focus: () => {} },
    draft: { attach: (attachment: Attachment) => attached.push(attachment) },
    editor: { selection: () => selection },
    git: { store: { getState: () => ({ status: { state: gitState } }) } },
    notifications: { note },
    texts,
    ui: { getState: () => ({ cursor: { line: 4 } }), setState: () => {} },
  } as unknown as AppModel;
});

it('attaches the file, the selection with its lines, and the declaration around the cursor', async () => {
  for (const kind of ['file', 'selection', 'symbol'] as const) await attachActive(model, kind);
  expect(attached).toEqual([
    { kind: 'file', label: 'src/check.js', text: source },
    { kind: 'selection', label: 'src/check.js:4-4', text: 'value < limit' },
    { kind: 'symbol', label: 'check (src/check.js:3)', text: expect.stringContaining('return value < limit') },
  ]);
});

it('attaches a folder of which the first files of the whole folder tell nothing', async () => {
  const first = Array.from({ length: 20_000 }, (_, i) => [`a/${i}.txt`, ''] as const);
  const large = new FakeWorkspace({ ...Object.fromEntries(first), 'z/last.txt': '' });
  model = { ...model, api: { workspace: large.api } } as unknown as AppModel;
  await attachPath(model, 'z', true);
  expect(attached).toEqual([{ kind: 'folder', label: 'z', text: 'z/last.txt' }]);
});

it('attaches a folder as the list of what is in it', async () => {
  await attachPath(model, 'src', true);
  expect(attached).toEqual([{ kind: 'folder', label: 'src', text: 'src/check.js\nsrc/deep/b.js' }]);
});

it('attaches what changed since the last commit, or what is not saved where there is none', async () => {
  await attachActive(model, 'diff');
  expect(note).toHaveBeenCalledWith('check.js has no changes.');
  texts.edit('id', source.replace('3', '4'));
  await attachActive(model, 'diff');
  expect(attached.at(-1)?.text).toMatch(/^-const limit = 3;\n\+const limit = 4;$/m);
  gitState = 'repository';
  committed = source.replace('3', '1');
  await attachActive(model, 'diff');
  expect(attached.at(-1)?.text).toMatch(/^-const limit = 1;\n\+const limit = 4;$/m);
});
