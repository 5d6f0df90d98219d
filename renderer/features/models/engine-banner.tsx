// Across the top while the engine is away: what happened and what goes on. The rest of the window keeps working.
import { useStore } from 'zustand';
import { Button } from '../../ui/button.tsx';
import { Notice } from '../../ui/notice.tsx';
import styles from './engine-banner.module.css';
import type { ModelStore } from './model-store.ts';

export function EngineBanner({ models }: { models: ModelStore }) {
  const process = useStore(models.store, (state) => state.process);
  if (process.state !== 'restarting' && process.state !== 'failed') return null;
  return (
    <div role="alert" className={styles.banner}>
      {process.state === 'restarting' ? (
        <Notice
          kind="warning"
          message={process.reason}
          hint="It is being started again. Files and conversations are not affected."
        />
      ) : (
        <Notice
          kind="error"
          message={process.reason}
          hint={`The engine ${process.cause === 'device' ? 'lost its GPU' : 'stopped'} too often and was not started again. Editing works as before.`}
          actions={
            <>
              <Button onClick={() => void models.restartEngine()}>Start the Engine</Button>
              {process.cause === 'device' ? (
                <Button onClick={() => void models.leaveGpus()}>Use the Processor</Button>
              ) : null}
            </>
          }
        />
      )}
    </div>
  );
}
