// The access token for gated models: a field beside the search, and a button that leads to it from messages about them.
import { KeyRound } from 'lucide-react';
import { useState } from 'react';
import { useStore } from 'zustand';
import type { ErrorInfo } from '../../../electron/common/errors.ts';
import { Button } from '../../ui/button.tsx';
import styles from './find-panel.module.css';
import type { LibraryStore } from './library-store.ts';

export function TokenField({ models, hasToken }: { models: LibraryStore; hasToken: boolean }) {
  const isShown = useStore(models.store, (state) => state.isTokenShown);
  const [token, setToken] = useState('');
  const save = (value: string | null) => {
    void models.run((app) => app.setToken({ token: value }));
    setToken('');
    models.showToken(false);
  };
  if (!isShown) {
    return (
      <Button onClick={() => models.showToken(true)}>
        <KeyRound size={14} aria-hidden />
        {hasToken ? 'Token Is Set' : 'Access Token…'}
      </Button>
    );
  }
  return (
    <>
      <input
        type="password"
        aria-label="Access token for gated models"
        placeholder="Access token"
        className={styles.input}
        value={token}
        maxLength={1000}
        // biome-ignore lint/a11y/noAutofocus: the user just asked for it
        autoFocus
        onChange={(event) => setToken(event.target.value)}
      />
      <Button disabled={token.trim() === ''} onClick={() => save(token.trim())}>
        Keep
      </Button>
      {hasToken ? <Button onClick={() => save(null)}>Forget</Button> : null}
      <Button kind="quiet" onClick={() => models.showToken(false)}>
        Cancel
      </Button>
    </>
  );
}

/** Nothing where a token would not help. */
export function TokenButton({ models, error }: { models: LibraryStore; error: ErrorInfo }) {
  if (error.code !== 'HUB_GATED') return null;
  return <Button onClick={() => models.showToken(true)}>Give an Access Token…</Button>;
}
