// Buttons: a labelled one in four weights, and a small one that shows an icon and tells its name in a tooltip.
import type { ComponentProps, ReactNode } from 'react';
import styles from './button.module.css';
import { Tooltip } from './tooltip.tsx';

interface ButtonProps extends ComponentProps<'button'> {
  kind?: 'plain' | 'primary' | 'danger' | 'quiet';
}

export function Button({ kind = 'plain', className, ...rest }: ButtonProps) {
  const weight = kind === 'plain' ? '' : styles[kind];
  return <button type="button" className={`${styles.button} ${weight} ${className ?? ''}`} {...rest} />;
}

interface IconButtonProps extends Omit<ComponentProps<'button'>, 'aria-label' | 'title'> {
  label: string;
  shortcut?: readonly string[] | undefined;
  children: ReactNode;
}

export function IconButton({ label, shortcut, className, children, ...rest }: IconButtonProps) {
  return (
    <Tooltip label={label} shortcut={shortcut}>
      <button type="button" aria-label={label} className={`${styles.icon} ${className ?? ''}`} {...rest}>
        {children}
      </button>
    </Tooltip>
  );
}
