// Rows of a settings form: a label, a hint, and a control that is named by the label.
import { Switch as RadixSwitch, ToggleGroup } from 'radix-ui';
import { createContext, type ReactNode, useContext, useId, useState } from 'react';
import { useEditedText } from '../lib/edited-text.ts';
import styles from './field.module.css';

interface FieldProps {
  label: string;
  hint?: string | undefined;
  error?: string | null;
  isStacked?: boolean;
  children: (ids: { id: string; hintId: string }) => ReactNode;
}

/** Words that the fields below are searched for: one that lacks any of them in its label and hint is not drawn. */
export const FieldFilter = createContext('');

export function Field({ label, hint, error, isStacked = false, children }: FieldProps) {
  const id = useId();
  const hintId = `${id}-hint`;
  const words = useContext(FieldFilter).toLowerCase().split(/\s+/);
  const text = `${label} ${hint ?? ''}`.toLowerCase();
  if (!words.every((word) => text.includes(word))) return null;
  return (
    <div data-field className={`${styles.row} ${isStacked ? styles.stacked : ''}`}>
      <div>
        <label id={`${id}-label`} htmlFor={id} className={styles.label}>
          {label}
        </label>
        {hint ? (
          <p id={hintId} className={styles.hint}>
            {hint}
          </p>
        ) : null}
      </div>
      {children({ id, hintId })}
      {error ? (
        <p role="alert" className={styles.error}>
          {error}
        </p>
      ) : null}
    </div>
  );
}

interface NumberFieldProps {
  label: string;
  hint?: string;
  value: number;
  min: number;
  max: number;
  step: number;
  onChange: (value: number) => void;
}

/** Commits on Enter and on leaving; a value out of range is refused with the range, and nothing changes. */
export function NumberField({ label, hint, value, min, max, step, onChange }: NumberFieldProps) {
  const { text, isNews, type, tell } = useEditedText(String(value));
  const [error, setError] = useState<string | null>(null);

  const commit = () => {
    const next = Number(text);
    const isStep = step < 1 || Number.isInteger(next);
    if (text.trim() === '' || !Number.isFinite(next) || next < min || next > max || !isStep) {
      setError(`${label}: enter a ${step < 1 ? 'number' : 'whole number'} from ${min} to ${max}.`);
      return;
    }
    setError(null);
    if (!isNews(String(next))) return;
    tell(String(next));
    onChange(next);
  };

  return (
    <Field label={label} hint={hint} error={error}>
      {({ id, hintId }) => (
        <input
          id={id}
          aria-describedby={hint ? hintId : undefined}
          aria-invalid={error !== null}
          className={`${styles.input} ${styles.number}`}
          type="number"
          min={min}
          max={max}
          step={step}
          value={text}
          onChange={(event) => type(event.target.value)}
          onBlur={commit}
          onKeyDown={(event) => event.key === 'Enter' && commit()}
        />
      )}
    </Field>
  );
}

interface SwitchFieldProps {
  label: string;
  hint?: string;
  isOn: boolean;
  onChange: (isOn: boolean) => void;
}

export function SwitchField({ label, hint, isOn, onChange }: SwitchFieldProps) {
  return (
    <Field label={label} hint={hint}>
      {({ id, hintId }) => (
        <RadixSwitch.Root
          id={id}
          aria-describedby={hint ? hintId : undefined}
          className={styles.switch}
          checked={isOn}
          onCheckedChange={onChange}
        >
          <RadixSwitch.Thumb className={styles.thumb} />
        </RadixSwitch.Root>
      )}
    </Field>
  );
}

interface ChoiceFieldProps<T extends string> {
  label: string;
  hint?: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}

/** Longer names, all together, would leave no room for the label beside them. */
const kMostCharsBeside = 40;

export function ChoiceField<T extends string>({ label, hint, value, options, onChange }: ChoiceFieldProps<T>) {
  const nChars = options.reduce((n, option) => n + option.label.length, 0);
  return (
    <Field label={label} hint={hint} isStacked={nChars > kMostCharsBeside}>
      {({ id, hintId }) => (
        <ToggleGroup.Root
          id={id}
          aria-label={label}
          aria-describedby={hint ? hintId : undefined}
          type="single"
          className={styles.segments}
          value={value}
          onValueChange={(next) => {
            const chosen = options.find((option) => option.value === next);
            if (chosen) onChange(chosen.value);
          }}
        >
          {options.map((option) => (
            <ToggleGroup.Item key={option.value} value={option.value} className={styles.segment}>
              {option.label}
            </ToggleGroup.Item>
          ))}
        </ToggleGroup.Root>
      )}
    </Field>
  );
}

interface TextAreaFieldProps {
  label: string;
  hint?: string;
  value: string;
  maxLength: number;
  onChange: (value: string) => void;
}

/** Commits on leaving. */
export function TextAreaField({ label, hint, value, maxLength, onChange }: TextAreaFieldProps) {
  const { text, isNews, type, tell } = useEditedText(value);
  const commit = () => {
    if (!isNews(text)) return;
    tell(text);
    onChange(text);
  };
  return (
    <Field label={label} hint={hint} isStacked>
      {({ id, hintId }) => (
        <textarea
          id={id}
          aria-describedby={hint ? hintId : undefined}
          className={`${styles.input} ${styles.area}`}
          maxLength={maxLength}
          value={text}
          onChange={(event) => type(event.target.value)}
          onBlur={commit}
        />
      )}
    </Field>
  );
}

/** One line. Commits on Enter and on leaving; an empty one is put back. */
export function TextField({ label, hint, value, maxLength, onChange }: TextAreaFieldProps) {
  const { text, isNews, type, tell, putBack } = useEditedText(value);
  const commit = () => {
    const next = text.trim();
    if (next === '') return putBack();
    if (!isNews(next)) return;
    tell(next);
    onChange(next);
  };
  return (
    <Field label={label} hint={hint} isStacked>
      {({ id, hintId }) => (
        <input
          id={id}
          aria-describedby={hint ? hintId : undefined}
          className={styles.input}
          maxLength={maxLength}
          value={text}
          onChange={(event) => type(event.target.value)}
          onBlur={commit}
          onKeyDown={(event) => event.key === 'Enter' && commit()}
        />
      )}
    </Field>
  );
}
