import { describe, expect, it } from 'vitest';
import { readCheckpoint } from './stories-model.mjs';

/** Two layers with the element's place in the file as its value. @param {number} [nFloats] */
function checkpoint(nFloats = 900) {
  const file = Buffer.alloc(28 + 4 * nFloats);
  const sizes = [4, 6, 2, 2, 1, 5, 8]; // n_embd, n_ff, n_layer, n_head, n_head_kv, n_vocab, n_ctx
  for (const [i, size] of sizes.entries()) file.writeInt32LE(size, 4 * i);
  for (let i = 0; i < nFloats; ++i) file.writeFloatLE(i, 28 + 4 * i);
  return file;
}

describe('checkpoints of llama2.c', () => {
  it('are read kind by kind, and each kind layer by layer', () => {
    const { hp, tensors } = readCheckpoint(checkpoint());
    expect(hp).toMatchObject({ n_vocab: 5, n_embd: 4, n_layer: 2, n_head: 2, n_head_kv: 1, n_ff: 6, n_ctx: 8 });
    const places = Object.fromEntries(
      tensors.map(({ name, shape, bytes }) => [name, [shape.join('x'), Buffer.from(bytes).readFloatLE(0)]]),
    );
    // From the sizes: 20 of the embedding, then 4 and 4 of the first norms, 16 and 16 of the queries, and so on.
    expect(places['token_embd.weight']).toEqual(['5x4', 0]);
    expect(places['blk.1.attn_norm.weight']).toEqual(['4', 24]);
    expect(places['blk.0.attn_q.weight']).toEqual(['4x4', 28]);
    expect(places['blk.1.attn_k.weight']).toEqual(['2x4', 68]);
    expect(places['blk.0.attn_output.weight']).toEqual(['4x4', 92]);
    expect(places['blk.1.ffn_down.weight']).toEqual(['4x6', 204]);
    expect(places['output_norm.weight']).toEqual(['4', 276]);
    expect(tensors).toHaveLength(2 * 9 + 2);
  });

  it('that are cut off, or have an output of their own, are refused', () => {
    expect(() => readCheckpoint(checkpoint(100))).toThrow('ends inside of blk.0.attn_output.weight');
    const other = checkpoint();
    other.writeInt32LE(-5, 20);
    expect(() => readCheckpoint(other)).toThrow('whose output is its embedding');
  });
});
