// A tooltip for pointer and keyboard focus. The name itself must be on the element (aria-label); this only shows it.
import { Tooltip as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { Keys } from './keys.tsx';
import styles from './tooltip.module.css';

/** Around the whole window: one delay for all tooltips. */
export const TooltipProvider = Radix.Provider;

interface TooltipProps {
  label: string;
  shortcut?: readonly string[] | undefined;
  side?: 'top' | 'bottom' | 'left' | 'right';
  children: ReactNode;
}

export function Tooltip({ label, shortcut, side = 'bottom', children }: TooltipProps) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className={styles.tooltip} side={side} sideOffset={6} collisionPadding={8}>
          {label}
          {shortcut ? <Keys keys={shortcut} /> : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
