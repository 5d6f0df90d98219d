import { describe, expect, it } from 'vitest';
import { FakeEngine } from '../../testing/fake-engine.ts';
import { FakeWorkspace } from '../../testing/fake-workspace.ts';
import { MeaningStore, piecesOf } from './meaning-store.ts';

describe('search by meaning', () => {
  it('puts what is likest first, and reads again only what changed', async () => {
    const workspace = new FakeWorkspace({ 'b.txt': 'zebra\n', 'a.txt': 'apple\n', 'empty.txt': '' });
    const engine = new FakeEngine();
    const asked: string[][] = [];
    // A text points to where the first letter of its second line does.
    const embed: typeof engine.api.embed = async ({ texts }) => {
      asked.push(texts);
      const angle = (text: string) => (text.split('\n')[1] ?? text).charCodeAt(0) / 20;
      return { modelId: 'm', vectors: texts.map((text) => [Math.cos(angle(text)), Math.sin(angle(text))]) };
    };
    const meaning = new MeaningStore(workspace.api, { ...engine.api, embed });
    await meaning.search('zoo');
    expect(meaning.store.getState().hits).toMatchObject([
      { path: 'b.txt', line: 1, likeness: expect.closeTo(1) },
      { path: 'a.txt', line: 1 },
    ]);
    expect(meaning.store.getState().reading).toBeNull();
    expect(asked).toHaveLength(3);
    workspace.put('a.txt', 'anvil\n');
    await meaning.search('axe');
    expect(meaning.store.getState().hits?.[0]).toMatchObject({ path: 'a.txt', text: 'anvil\n' });
    expect(asked.slice(3)).toEqual([['axe'], ['a.txt\nanvil\n']]);
  });

  it('says that no model has the role', async () => {
    const engine = new FakeEngine();
    const embed = () => Promise.reject(new Error('No model has the role.'));
    const meaning = new MeaningStore(new FakeWorkspace({}).api, { ...engine.api, embed });
    await meaning.search('zoo');
    expect(meaning.store.getState()).toMatchObject({ hits: null, reading: null, error: {} });
    expect(meaning.store.getState().error).not.toBeNull();
  });

  it('cuts a file into pieces that overlap and cover it', () => {
    const text = Array.from({ length: 100 }, (_, i) => `line ${i + 1}`).join('\n');
    const pieces = piecesOf('a.ts', text);
    expect(pieces.map(({ line }) => line)).toEqual([1, 36, 71]);
    expect(pieces.at(-1)?.text.endsWith('line 100')).toBe(true);
    expect(pieces[1]?.text.startsWith('line 36')).toBe(true);
    expect(piecesOf('a.ts', '\n\n')).toEqual([]);
  });
});
