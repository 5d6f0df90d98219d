// The panel under the editor: a tab per terminal, and the screen of one.
import { Paperclip, Plus, X } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { useStore } from 'zustand';
import { Button, IconButton } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import styles from './terminal-panel.module.css';
import type { TerminalStore } from './terminal-store.ts';

interface TerminalPanelProps {
  terminals: TerminalStore;
  shortcut: readonly string[];
  /** Puts what the active terminal shows into the next question. */
  onAttach: () => void;
  onHide: () => void;
}

const kPanelId = 'terminal-panel';

export function TerminalPanel({ terminals, shortcut, onAttach, onHide }: TerminalPanelProps) {
  const { tabs, activeKey } = useStore(terminals.store);
  const hasScreen = tabs.some(({ key, hasScreen: has }) => key === activeKey && has);
  useEffect(() => {
    if (activeKey !== null) document.getElementById(`terminal-tab-${activeKey}`)?.scrollIntoView({ block: 'nearest' });
  }, [activeKey]);
  return (
    <div className={styles.panel}>
      <div className={styles.bar}>
        <div role="tablist" aria-label="Terminals" className={styles.tabs}>
          {tabs.map(({ key, title, state }, index) => (
            <button
              key={key}
              type="button"
              role="tab"
              id={`terminal-tab-${key}`}
              aria-selected={key === activeKey}
              aria-controls={kPanelId}
              tabIndex={key === activeKey ? 0 : -1}
              className={styles.tab}
              onClick={() => terminals.activate(key)}
              onKeyDown={(event) => {
                if (event.key === 'Delete') return terminals.close(key);
                const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
                const next = step === undefined ? undefined : tabs[(index + step + tabs.length) % tabs.length];
                if (next === undefined) return;
                terminals.activate(next.key);
                document.getElementById(`terminal-tab-${next.key}`)?.focus();
              }}
            >
              {index + 1}: {title}
              {state === 'ended' ? ' (ended)' : ''}
            </button>
          ))}
        </div>
        <IconButton label="Attach Output to the Chat" onClick={onAttach} disabled={activeKey === null}>
          <Paperclip size={14} aria-hidden />
        </IconButton>
        <IconButton label="New Terminal" onClick={() => terminals.add()}>
          <Plus size={14} aria-hidden />
        </IconButton>
        <IconButton
          label="End This Terminal"
          disabled={activeKey === null}
          onClick={() => activeKey !== null && terminals.close(activeKey)}
        >
          <X size={14} aria-hidden />
        </IconButton>
        <Button kind="quiet" onClick={onHide} title={shortcut.join('+')}>
          Hide
        </Button>
      </div>
      {activeKey === null ? (
        <EmptyState title="No terminal is open" text="A terminal runs your shell in the open folder.">
          <Button onClick={() => terminals.add()}>Open a Terminal</Button>
        </EmptyState>
      ) : (
        <ActiveScreen key={activeKey} terminals={terminals} activeKey={activeKey} hasScreen={hasScreen} />
      )}
    </div>
  );
}

interface ActiveScreenProps {
  terminals: TerminalStore;
  activeKey: number;
  hasScreen: boolean;
}

function ActiveScreen({ terminals, activeKey, hasScreen }: ActiveScreenProps) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!hasScreen) return;
    const screen = terminals.screen(activeKey);
    screen?.attach(host.current);
    screen?.focus();
    return () => screen?.attach(null);
  }, [terminals, activeKey, hasScreen]);
  return (
    <div
      id={kPanelId}
      role="tabpanel"
      aria-labelledby={`terminal-tab-${activeKey}`}
      ref={host}
      className={styles.screen}
    />
  );
}
