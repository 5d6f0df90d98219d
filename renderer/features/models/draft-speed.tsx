// What guessing ahead is worth for a model that is loaded: the speed against one token at a time, and of each source of
// guesses how many were right. The engine counts since the model was loaded; the figures move while it answers.
import type { LoadedModel } from '../../../electron/common/role-contract.ts';
import { formatCount } from '../../lib/format.ts';
import styles from './draft-speed.module.css';

const sources = {
  edit: 'The text that is rewritten',
  suffix: 'Earlier text',
  model: 'Draft model',
  mtp: 'Its own head (MTP)',
  grammar: 'Grammar',
};
/** Of fewer tokens the ratio says nothing. */
const enough = 16;

export function DraftSpeed({ loaded: { decoding, draft } }: { loaded: LoadedModel }) {
  if (!decoding) return null;
  const { nDecoded, nPasses, decodeMs, plainTokenMs, drafts } = decoding;
  const speedUp = nDecoded < enough || plainTokenMs === 0 ? null : (nDecoded * plainTokenMs) / decodeMs;
  return (
    <section aria-label="Guessing ahead" className={styles.speed}>
      <p>
        {speedUp === null
          ? 'Too little was written yet to say what guessing ahead is worth.'
          : `${speedUp.toFixed(2)} times as fast as one token at a time: ${formatCount(nDecoded)} tokens in ${formatCount(nPasses)} passes.`}
        {draft ? ` ${draft.name} drafts${draft.problem ? ' not' : ''}.` : ''} {draft?.problem}
      </p>
      {nDecoded > 0 ? (
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">Guessed from</th>
              <th scope="col">Tokens</th>
              <th scope="col">Right</th>
            </tr>
          </thead>
          <tbody>
            {(Object.keys(sources) as (keyof typeof sources)[]).map((source) => {
              const { nDrafted, nAccepted } = drafts[source];
              if (source === 'mtp' && nDrafted === 0) return null; // few models have one
              return (
                <tr key={source}>
                  <th scope="row">{sources[source]}</th>
                  <td>{formatCount(nDrafted)}</td>
                  <td>{nDrafted === 0 ? '–' : `${Math.round((100 * nAccepted) / nDrafted)} %`}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      ) : null}
    </section>
  );
}
