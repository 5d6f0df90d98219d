// What a model turned out to be able to do, and how fast it is: tried on arrival, and again on request.
import { CircleAlert, CircleCheck, CircleMinus } from 'lucide-react';
import type { ModelEntry } from '../../../electron/common/model-contract.ts';
import type { SelfTest } from '../../../electron/common/role-contract.ts';
import { formatRate } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import type { LibraryStore } from './library-store.ts';
import styles from './self-test-view.module.css';

const names: Record<keyof SelfTest, string> = {
  tokenizer: 'Vocabulary',
  template: 'Chat template',
  fim: 'Filling in',
  tools: 'Tool calls',
  generation: 'Computes',
};
const icons = { passed: CircleCheck, failed: CircleAlert, absent: CircleMinus };
const outcomes = { passed: 'works', failed: 'fails', absent: 'not there' };

export function SelfTestView({ models, model }: { models: LibraryStore; model: ModelEntry }) {
  const { id, selfTest, benchmark, job, state } = model;
  const isBusy = job !== null || state !== 'ready';
  return (
    <section aria-label="What it can do" className={styles.tests}>
      {selfTest ? (
        <ul className={styles.list}>
          {(Object.keys(names) as (keyof SelfTest)[]).map((name) => {
            const { outcome, detail } = selfTest[name];
            const Icon = icons[outcome];
            return (
              <li key={name} className={styles.test}>
                <Icon size={14} className={styles[outcome]} role="img" aria-label={outcomes[outcome]} />
                <span className={styles.name}>{names[name]}</span>
                <span className={styles.detail}>{detail}</span>
              </li>
            );
          })}
        </ul>
      ) : (
        <p className={styles.detail}>It was not tried out yet.</p>
      )}
      {benchmark ? (
        <p>
          Measured: {formatRate(benchmark.decodeTokensPerSecond)} while it writes,{' '}
          {formatRate(benchmark.prefillTokensPerSecond)} while it reads ({benchmark.nPrompt} and {benchmark.nDecoded}{' '}
          tokens).
        </p>
      ) : null}
      <div className={styles.actions}>
        <Button disabled={isBusy} onClick={() => void models.run((app) => app.test({ id }))}>
          {selfTest ? 'Try Out Again' : 'Try Out'}
        </Button>
        <Button disabled={isBusy} onClick={() => void models.run((app) => app.benchmark({ id }))}>
          Measure Its Speed
        </Button>
      </div>
    </section>
  );
}
