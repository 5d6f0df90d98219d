// What is in a model's KV cache: how much it remembers, in how little, and how often that saved work.
import type { CacheFacts } from '../../../electron/common/role-contract.ts';
import { formatBytes, formatCount } from '../../lib/format.ts';

const presetNames = { exact: 'Exact', safe: 'Safe', compact: 'Compact', max: 'Max' };

export function CacheLine({ cache, usedBytes }: { cache: CacheFacts; usedBytes: number }) {
  const { preset, nPages, nTokens, f16Bytes, mhaBytes, nPrompt, nReused } = cache;
  if (nTokens === 0 && nPrompt === 0) return null;
  const times = (bytes: number) => `${(bytes / Math.max(1, usedBytes)).toFixed(1)} times`;
  const comparison = [
    ...(preset === 'exact' ? [] : [`${times(f16Bytes)} less than in 16 bits`]),
    ...(mhaBytes > f16Bytes ? [`${times(mhaBytes)} less than with a head of keys for each head`] : []),
  ].join(', ');
  return (
    <p>
      Context ({presetNames[preset]}): {formatCount(nTokens)} tokens in {formatBytes(usedBytes)} and{' '}
      {formatCount(nPages)} pages{nTokens > 0 && comparison !== '' ? `, ${comparison}` : ''}.
      {nPrompt > 0
        ? ` Of ${formatCount(nPrompt)} tokens that it was asked to read, ${Math.round((100 * nReused) / nPrompt)} % were there already.`
        : ''}
    </p>
  );
}
