// Type to filter, arrows to move, Enter to choose: the command palette and "Go to File" (ARIA combobox pattern).
import { Dialog as Radix } from 'radix-ui';
import { type ReactNode, useEffect, useId, useMemo, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { fuzzyFilter } from '../lib/fuzzy.ts';
import styles from './picker.module.css';
import { leaveToScrim, Scrim } from './scrim.tsx';
import { useReturnFocus } from './use-return-focus.ts';

export interface PickerItem {
  id: string;
  /** Matched and shown. */
  text: string;
  /** Shown after the text, not matched. */
  description?: string;
  icon?: ReactNode;
  end?: ReactNode;
  isDisabled?: boolean;
}

interface PickerProps {
  label: string;
  placeholder: string;
  items: readonly PickerItem[];
  /** Shown when nothing matches. */
  emptyText: string;
  /** The caller may hold what is typed, and say what of it filters the items. */
  query?: string;
  filter?: string;
  onQuery?: (query: string) => void;
  onPick: (id: string) => void;
  onClose: () => void;
}

const kMostShown = 100;

export function Picker({ label, placeholder, items, emptyText, onPick, onClose, ...held }: PickerProps) {
  const [own, setOwn] = useState('');
  const query = held.query ?? own;
  const filter = held.filter ?? query;
  const [activeIndex, setActiveIndex] = useState(0);
  const listId = useId();
  const list = useRef<HTMLDivElement>(null);
  const keepFocus = useReturnFocus();
  const found = useMemo(() => fuzzyFilter(filter, items, (item) => item.text, kMostShown), [filter, items]);

  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  });

  const pick = (index: number) => {
    const item = found[index]?.item;
    if (!item || item.isDisabled) return;
    // What is picked may move the focus: it comes after the picker has given it back, and before the next key, which would
    // go into the text of the file that was there before.
    flushSync(onClose);
    onPick(item.id);
  };

  return (
    <Radix.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Radix.Portal>
        <Scrim isClear onClose={onClose} />
        <Radix.Content
          className={styles.picker}
          onPointerDownOutside={leaveToScrim}
          aria-describedby={undefined}
          onOpenAutoFocus={focusAtEnd}
          onCloseAutoFocus={keepFocus}
        >
          <Radix.Title className="visually-hidden">{label}</Radix.Title>
          <input
            role="combobox"
            aria-label={label}
            aria-expanded="true"
            aria-controls={listId}
            aria-autocomplete="list"
            aria-activedescendant={found.length > 0 ? `${listId}-${activeIndex}` : undefined}
            className={styles.input}
            placeholder={placeholder}
            spellCheck={false}
            value={query}
            onChange={(event) => {
              setOwn(event.target.value);
              held.onQuery?.(event.target.value);
              setActiveIndex(0);
            }}
            onKeyDown={(event) => {
              const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
              if (step !== undefined && found.length > 0) {
                event.preventDefault();
                const next = activeIndex + step;
                setActiveIndex(
                  Math.abs(step) === 1
                    ? (next + found.length) % found.length
                    : Math.max(0, Math.min(found.length - 1, next)),
                );
              } else if (event.key === 'Enter') {
                event.preventDefault();
                pick(activeIndex);
              }
            }}
          />
          <div ref={list} id={listId} role="listbox" aria-label={label} className={styles.list}>
            {found.map(({ item, positions }, index) => (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the combobox input handles the keys
              <div
                key={item.id}
                id={`${listId}-${index}`}
                role="option"
                tabIndex={-1}
                aria-selected={index === activeIndex}
                aria-disabled={item.isDisabled ?? false}
                className={styles.item}
                onMouseMove={() => setActiveIndex(index)}
                onClick={() => pick(index)}
              >
                {item.icon}
                <span className={styles.text}>
                  <Marked text={item.text} positions={positions} />
                  {item.description ? <span className={styles.description}>{item.description}</span> : null}
                </span>
                {item.end}
              </div>
            ))}
          </div>
          {found.length === 0 ? (
            <p role="status" className={styles.empty}>
              {emptyText}
            </p>
          ) : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** Behind what is there already; by itself it would be selected, and the next key would replace it. */
function focusAtEnd(event: Event): void {
  event.preventDefault();
  const input = event.currentTarget instanceof HTMLElement ? event.currentTarget.querySelector('input') : null;
  input?.focus();
  input?.setSelectionRange(input.value.length, input.value.length);
}

/** The text with the matched letters marked, runs joined. */
function Marked({ text, positions }: { text: string; positions: readonly number[] }) {
  const parts: ReactNode[] = [];
  let at = 0;
  for (let i = 0; i < positions.length; ) {
    const start = positions[i] ?? 0;
    let end = start + 1;
    i += 1;
    while (positions[i] === end) {
      end += 1;
      i += 1;
    }
    parts.push(text.slice(at, start), <mark key={start}>{text.slice(start, end)}</mark>);
    at = end;
  }
  return (
    <>
      {parts}
      {text.slice(at)}
    </>
  );
}
