// The status bar's word on what runs: nothing while nothing does.
import { Spinner } from '../../ui/progress.tsx';
import { Tooltip } from '../../ui/tooltip.tsx';
import type { Activity } from './activity.ts';
import styles from './activity-chip.module.css';

interface ActivityChipProps {
  activities: readonly Activity[];
  className: string | undefined;
  onOpen: () => void;
}

export function ActivityChip({ activities, className, onOpen }: ActivityChipProps) {
  const shown = activities.filter(({ isMinor }) => !isMinor);
  const [first] = shown;
  if (first === undefined) return null;
  const text = shown.length === 1 ? first.title : `${shown.length} running`;
  return (
    <Tooltip side="top" label={shown.map(({ title }) => title).join(', ')}>
      <button
        type="button"
        className={`${className} ${styles.late}`}
        aria-label={`${text}: show what runs`}
        onClick={onOpen}
      >
        <Spinner size={13} />
        {text}
      </button>
    </Tooltip>
  );
}
