// Every setting as the JSON that main keeps on disk.
import { useState } from 'react';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import styles from './settings-dialog.module.css';
import { parseSettings } from './settings-json.ts';
import type { SettingsStore } from './settings-store.ts';

export function SettingsJsonDialog({ settings, onClose }: { settings: SettingsStore; onClose: () => void }) {
  const [text, setText] = useState(() => JSON.stringify(settings.current, null, 2));
  const [problem, setProblem] = useState<string | null>(null);
  const save = () => {
    const parsed = parseSettings(text);
    if ('problem' in parsed) return setProblem(parsed.problem);
    void settings.update(parsed.settings).then(onClose);
  };
  return (
    <Dialog
      title="Settings as JSON"
      description="What you leave out goes back to its default."
      size="wide"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" onClick={save}>
            Save
          </Button>
        </>
      }
    >
      <textarea
        aria-label="Settings as JSON"
        aria-invalid={problem !== null}
        className={styles.json}
        spellCheck={false}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {problem ? (
        <p role="alert" className={styles.problem}>
          {problem}
        </p>
      ) : null}
    </Dialog>
  );
}
