// What lies between a dialog or a picker and the window: a click on it closes them.
import { Dialog as Radix } from 'radix-ui';
import styles from './dialog.module.css';

interface ScrimProps {
  /** Whether the window beneath looks as ever. */
  isClear?: boolean;
  onClose: () => void;
}

export function Scrim({ isClear = false, onClose }: ScrimProps) {
  return (
    <Radix.Overlay
      className={styles.scrim}
      {...(isClear ? { style: { background: 'transparent' } } : {})}
      onClick={onClose}
    />
  );
}

/**
 * For `onPointerDownOutside` of what lies above a scrim. Radix listens to the document only some time after something has
 * opened or changed, and would miss a click that comes before.
 */
export function leaveToScrim(event: Event): void {
  event.preventDefault();
}
