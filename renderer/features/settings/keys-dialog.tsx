// Every command with its key, and a way to give it another.
import { useState } from 'react';
import { useStore } from 'zustand';
import { acceleratorOf, shortcutKeys } from '../../lib/shortcut.ts';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { Keys } from '../../ui/keys.tsx';
import { type Bindable, bind, keyOf } from './key-bindings.ts';
import styles from './settings-dialog.module.css';
import type { SettingsStore } from './settings-store.ts';

interface KeysDialogProps {
  commands: readonly Bindable[];
  settings: SettingsStore;
  isMac: boolean;
  onClose: () => void;
}

export function KeysDialog({ commands, settings, isMac, onClose }: KeysDialogProps) {
  const keys = useStore(settings.store, (values) => values.keys);
  const [query, setQuery] = useState('');
  const [recording, setRecording] = useState<string | null>(null);
  const [note, setNote] = useState('');
  const change = (id: string, accelerator: string | null) => {
    const { keys: next, lost } = bind(commands, keys, id, accelerator);
    setNote(lost ? `“${lost.title}” had this key and has none now.` : '');
    setRecording(null);
    void settings.update({ keys: next });
  };
  const words = query.toLowerCase().split(/\s+/);
  const shown = commands.filter((command) => {
    const text = `${command.title} ${keyOf(command, keys) ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <Dialog
      title="Keyboard Shortcuts"
      description="Choose Change, then press the new keys. Escape keeps the old ones, Backspace takes them away."
      size="wide"
      onClose={onClose}
    >
      <div className={styles.bar}>
        <input
          type="search"
          autoFocus
          aria-label="Search commands and keys"
          placeholder="Search commands and keys"
          className={styles.search}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
      </div>
      <p role="status" className={styles.note}>
        {note}
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long list scrolls, also by keyboard */}
      <ul className={styles.commands} tabIndex={0} aria-label="Commands">
        {shown.map((command) => {
          const accelerator = keyOf(command, keys);
          const isRecording = recording === command.id;
          return (
            <li key={command.id} className={styles.command}>
              <span className={styles.commandTitle}>{command.title}</span>
              {accelerator === null ? null : <Keys keys={shortcutKeys(accelerator, isMac)} />}
              <Button
                aria-label={isRecording ? `Press keys for ${command.title}` : `Change the keys of ${command.title}`}
                onClick={() => setRecording(command.id)}
                onBlur={() => setRecording(null)}
                onKeyDown={(event) => {
                  if (!isRecording || event.key === 'Tab') return;
                  event.preventDefault();
                  event.stopPropagation();
                  if (event.key === 'Escape') return setRecording(null);
                  if (event.key === 'Backspace') return change(command.id, null);
                  const pressed = acceleratorOf(event.nativeEvent, isMac);
                  if (pressed !== null) change(command.id, pressed);
                }}
              >
                {isRecording ? 'Press keys…' : 'Change'}
              </Button>
              <Button
                aria-label={`Reset the keys of ${command.title}`}
                disabled={keys[command.id] === undefined}
                onClick={() => change(command.id, command.usual)}
              >
                Reset
              </Button>
            </li>
          );
        })}
      </ul>
    </Dialog>
  );
}
