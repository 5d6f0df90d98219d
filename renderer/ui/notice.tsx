// A message in place: what happened, what to do, details on demand, and buttons for what can be done about it.
import { CircleAlert, Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import styles from './notice.module.css';

interface NoticeProps {
  kind: 'error' | 'warning' | 'info';
  message: string;
  hint?: string | undefined;
  detail?: string | undefined;
  actions?: ReactNode;
  /** Beside the text, at the end: a close button. */
  end?: ReactNode;
}

const kIcons = { error: CircleAlert, warning: TriangleAlert, info: Info };

export function Notice({ kind, message, hint, detail, actions, end }: NoticeProps) {
  const Icon = kIcons[kind];
  return (
    <div className={`${styles.notice} ${styles[kind]}`}>
      <Icon size={16} aria-hidden />
      <div className={styles.text}>
        <p>{message}</p>
        {hint ? <p className={styles.hint}>{hint}</p> : null}
        {detail ? (
          <details className={styles.detail}>
            <summary>Details</summary>
            <pre>{detail}</pre>
          </details>
        ) : null}
        {actions ? <div className={styles.actions}>{actions}</div> : null}
      </div>
      {end}
    </div>
  );
}
