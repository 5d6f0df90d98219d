// How far something is (0 to 1), and a sign that something goes on.
import { LoaderCircle } from 'lucide-react';
import styles from './progress.module.css';

interface ProgressBarProps {
  label: string;
  value: number;
  /** A meter of something that runs out shows a warning colour near its end. */
  isHigh?: boolean;
  role?: 'progressbar' | 'meter';
}

export function ProgressBar({ label, value, isHigh = false, role = 'progressbar' }: ProgressBarProps) {
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: both roles take a name and a value
    <div
      role={role}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      className={styles.track}
    >
      <div className={`${styles.bar} ${isHigh ? styles.high : ''}`} style={{ width: `${percent}%` }} />
    </div>
  );
}

export function Spinner({ size = 14 }: { size?: number }) {
  return <LoaderCircle size={size} className={styles.spinner} aria-hidden />;
}
