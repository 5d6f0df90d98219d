// How few bits a model's keys and values may have, as its check found, and what each preset would change.
import { type KvCheck, passes } from '../../../electron/common/kv-check.ts';
import type { ModelEntry } from '../../../electron/common/model-contract.ts';
import { kvPresets } from '../../../electron/common/model-facts.ts';
import { Button } from '../../ui/button.tsx';
import type { LibraryStore } from './library-store.ts';
import styles from './self-test-view.module.css';

export function KvCheckView({ models, model }: { models: LibraryStore; model: ModelEntry }) {
  const { id, kvCheck, job, state } = model;
  return (
    <section aria-label="Memory of its context" className={styles.tests}>
      {kvCheck === null ? (
        <p className={styles.detail}>How few bits its context may have was not checked yet.</p>
      ) : (
        <>
          <p>
            Its context is kept <strong>{nameOf(kvCheck.chosen)}</strong>
            {kvCheck.problem === null
              ? `: the smallest that changed little in ${kvCheck.nTokens} predictions over code${how(kvCheck.calibration)}.`
              : `. ${kvCheck.problem}`}
          </p>
          {kvCheck.results.length > 0 ? (
            <table className={styles.table}>
              <thead>
                <tr>
                  <th scope="col">Preset</th>
                  <th scope="col">Bits</th>
                  <th scope="col">Divergence</th>
                  <th scope="col">Other likeliest token</th>
                  <th scope="col">Perplexity</th>
                  <th scope="col">Passed</th>
                </tr>
              </thead>
              <tbody>
                {kvCheck.results.map((result) => (
                  <tr key={result.preset}>
                    <th scope="row">{nameOf(result.preset)}</th>
                    <td>{result.bits.toFixed(2)}</td>
                    <td>{result.meanKld.toFixed(4)}</td>
                    <td>{(100 * result.flips).toFixed(1)} %</td>
                    <td>{signed(100 * (result.perplexityRatio - 1))} %</td>
                    <td>{passes(result) ? 'Yes' : 'No'}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          ) : null}
        </>
      )}
      <div className={styles.actions}>
        <Button
          disabled={job !== null || state !== 'ready'}
          onClick={() => void models.run((app) => app.checkKv({ id }))}
        >
          {kvCheck ? 'Check Its Context Again' : 'Check Its Context'}
        </Button>
        {job?.kind === 'kvCheck' ? (
          <Button onClick={() => void models.run((app) => app.cancelJob({ id }))}>Stop the Check</Button>
        ) : null}
      </div>
    </section>
  );
}

const how = (calibration: KvCheck['calibration']) =>
  calibration === undefined
    ? ''
    : {
        kept: ', with the calibration that lay beside it',
        made: ', with a calibration that was made for it',
        none: ', without a calibration',
      }[calibration];
const nameOf = (preset: string) => kvPresets.find(({ id }) => id === preset)?.name ?? preset;
const signed = (percent: number) => `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(1)}`;
