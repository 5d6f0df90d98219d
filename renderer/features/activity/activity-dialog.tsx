// What runs now, with a way to end it, and what was said since the start.
import { X } from 'lucide-react';
import { Button, IconButton } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import { SwitchField } from '../../ui/field.tsx';
import { ProgressBar } from '../../ui/progress.tsx';
import type { Activity } from './activity.ts';
import styles from './activity-dialog.module.css';

export interface PastNotification {
  id: number;
  kind: 'info' | 'error';
  message: string;
  hint?: string | undefined;
  action?: { label: string; run: () => void } | undefined;
  atMs: number;
}

interface ActivityDialogProps {
  activities: readonly Activity[];
  /** Oldest first. */
  past: readonly PastNotification[];
  isQuiet: boolean;
  onQuiet: (isQuiet: boolean) => void;
  onClose: () => void;
}

export function ActivityDialog({ activities, past, isQuiet, onQuiet, onClose }: ActivityDialogProps) {
  return (
    <Dialog title="Activity" size="wide" onClose={onClose}>
      <section aria-labelledby="activity-now">
        <h3 id="activity-now" className={styles.heading}>
          Running
        </h3>
        {activities.length === 0 ? (
          <p className={styles.empty}>Nothing runs. The processor is yours.</p>
        ) : (
          <ul className={styles.list} aria-labelledby="activity-now">
            {activities.map((activity) => (
              <Row key={activity.id} activity={activity} />
            ))}
          </ul>
        )}
      </section>
      <section aria-labelledby="activity-past">
        <h3 id="activity-past" className={styles.heading}>
          Notifications since the start
        </h3>
        <SwitchField
          label="Silence notes"
          hint="They come to this list without appearing. Errors still appear."
          isOn={isQuiet}
          onChange={onQuiet}
        />
        {past.length === 0 ? (
          <p className={styles.empty}>There were none.</p>
        ) : (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a long list scrolls, also by keyboard
          <ul className={`${styles.list} ${styles.scroll}`} aria-label="Newest first" tabIndex={0}>
            {past.toReversed().map(({ id, kind, message, hint, action, atMs }) => (
              <li key={id} className={styles.note} data-kind={kind}>
                <time className={styles.time}>{new Date(atMs).toLocaleTimeString()}</time>
                <span className={styles.message}>
                  {message} {hint ? <span className={styles.hint}>{hint}</span> : null}
                </span>
                {action ? <Button onClick={action.run}>{action.label}</Button> : null}
              </li>
            ))}
          </ul>
        )}
      </section>
    </Dialog>
  );
}

function Row({ activity: { title, detail, progress, stop } }: { activity: Activity }) {
  return (
    <li className={styles.item}>
      <div className={styles.text}>
        <span className={styles.title}>{title}</span>
        <span className={styles.detail}>{detail}</span>
        {progress === null ? null : <ProgressBar label={title} value={progress} />}
      </div>
      {stop ? (
        <IconButton label={stop.label} onClick={stop.run}>
          <X size={15} aria-hidden />
        </IconButton>
      ) : null}
    </li>
  );
}
