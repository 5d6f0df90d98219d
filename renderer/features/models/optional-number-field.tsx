// A number that may be absent: an empty field. Commits on Enter and on leaving; a value out of range is refused.
import { useId, useState } from 'react';
import { useEditedText } from '../../lib/edited-text.ts';
import styles from './optional-number-field.module.css';

interface OptionalNumberFieldProps {
  label: string;
  value: number | undefined;
  min: number;
  max: number;
  step: number;
  /** What an empty field stands for. */
  placeholder?: string;
  onChange: (value: number | undefined) => void;
}

export function OptionalNumberField({
  label,
  value,
  min,
  max,
  step,
  placeholder = 'as in the settings',
  onChange,
}: OptionalNumberFieldProps) {
  const id = useId();
  const { text, isNews, type, tell } = useEditedText(textOf(value));
  const [isWrong, setIsWrong] = useState(false);
  const commit = () => {
    const next = text.trim() === '' ? undefined : Number(text);
    const isRight =
      next === undefined ||
      (Number.isFinite(next) && next >= min && next <= max && (step < 1 || Number.isInteger(next)));
    setIsWrong(!isRight);
    if (!isRight || !isNews(textOf(next))) return;
    tell(textOf(next));
    onChange(next);
  };
  return (
    <div className={styles.field}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="number"
        className={styles.input}
        min={min}
        max={max}
        step={step}
        placeholder={placeholder}
        aria-invalid={isWrong}
        aria-describedby={isWrong ? `${id}-error` : undefined}
        value={text}
        onChange={(event) => type(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
      {isWrong ? (
        <p id={`${id}-error`} role="alert" className={styles.error}>
          From {min} to {max}.
        </p>
      ) : null}
    </div>
  );
}

function textOf(value: number | undefined): string {
  return value === undefined ? '' : String(value);
}
