import { describe, expect, it } from 'vitest';
import type { StoredMessage } from '../../../electron/common/app-contract.ts';
import { attach, kLongestAttachment, withAttachments } from './attachments.ts';
import { alternatives, newestLeaf, pathTo, withParents } from './branches.ts';
import { fileName, toJson, toMarkdown } from './export.ts';

const message = (id: string, parentId?: string | null): StoredMessage => ({
  id,
  ...(parentId === undefined ? {} : { parentId }),
  role: /^q/.test(id) ? 'user' : 'assistant',
  content: id,
  status: 'complete',
  error: null,
  stats: null,
  reason: null,
  modelName: null,
  createdAtMs: 0,
});
const ids = (messages: readonly StoredMessage[]) => messages.map(({ id }) => id).join(' ');

//  q1 ─ a1 ┬ q2 ─ a2
//          └ q3 ┬ a3
//               └ a4
const tree = [
  message('q1', null),
  message('a1', 'q1'),
  message('q2', 'a1'),
  message('a2', 'q2'),
  message('q3', 'a1'),
  message('a3', 'q3'),
  message('a4', 'q3'),
];

describe('branches', () => {
  it('show the path to a leaf, or to what came last', () => {
    expect(ids(pathTo(tree, 'a2'))).toBe('q1 a1 q2 a2');
    expect(ids(pathTo(tree, null))).toBe('q1 a1 q3 a4');
    expect(ids(pathTo(tree, 'gone'))).toBe('q1 a1 q3 a4');
    expect(pathTo([], 'a')).toEqual([]);
  });

  it('know what stands in the place of a message, and where its branch ends', () => {
    expect(alternatives(tree).get('q2')).toEqual(['q2', 'q3']);
    expect(alternatives(tree).get('a4')).toEqual(['a3', 'a4']);
    expect(alternatives(tree).has('q1')).toBe(false);
    expect(newestLeaf(tree, 'q2')).toBe('a2');
    expect(newestLeaf(tree, 'q3')).toBe('a4');
    expect(newestLeaf(tree, 'q1')).toBe('a4');
    expect(newestLeaf(tree, 'a3')).toBe('a3');
  });

  it('are one chain for messages from before there were branches', () => {
    expect(ids(pathTo(withParents(['q1', 'a1', 'q2'].map((id) => message(id))), null))).toBe('q1 a1 q2');
  });

  it('come to an end whatever the data says', () => {
    expect(ids(pathTo([message('a', 'b'), message('b', 'a')], 'a'))).toBe('b a');
    expect(ids(pathTo([message('a', 'gone')], null))).toBe('a');
  });
});

it('exports what is shown for people and everything for programs', () => {
  const conversation = { id: 'c', title: 'A\nB', createdAtMs: 1, updatedAtMs: 2, leafId: 'a2' };
  const attached = { ...message('q1', null), attachments: [attach('file', 'a.ts', 'x')] };
  expect(toMarkdown(conversation, [attached, message('a1', 'q1')])).toBe(
    '# A B\n\n## You\n\n*Attached: a.ts*\n\nq1\n\n## Assistant\n\na1\n',
  );
  expect(JSON.parse(toJson(conversation, tree))).toEqual({
    format: 'outpost-conversation',
    version: 1,
    ...conversation,
    messages: tree,
  });
  expect(fileName('../a: "b"?\n', 'md')).toBe('a b.md');
  expect(fileName('...', 'json')).toBe('conversation.json');
});

it('puts attachments before the question, in fences that their text cannot end', () => {
  const text = withAttachments('Why?', [attach('file', 'a.md', 'x\n````\ny\n'), attach('selection', 'b.ts:1-2', 'z')]);
  expect(text).toBe('File a.md:\n`````\nx\n````\ny\n`````\n\nSelection of b.ts:1-2:\n```\nz\n```\n\nWhy?');
  expect(withAttachments('Why?')).toBe('Why?');
  const long = attach('file', 'big', 'x'.repeat(kLongestAttachment + 1));
  expect(long.text).toHaveLength(kLongestAttachment);
  expect(long.label).toBe('big (start)');
});
