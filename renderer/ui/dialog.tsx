// A modal dialog: title, sentence, content, buttons. Focus is trapped, Escape closes (Radix); then the focus goes back.
import { X } from 'lucide-react';
import { Dialog as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import buttonStyles from './button.module.css';
import styles from './dialog.module.css';
import { leaveToScrim, Scrim } from './scrim.tsx';
import { useReturnFocus } from './use-return-focus.ts';

interface DialogProps {
  title: string;
  /** One sentence that says what is at stake; also read to screen readers when the dialog opens. */
  description?: string | undefined;
  size?: 'normal' | 'wide' | 'broad' | 'full';
  /** A question that needs an answer interrupts; settings do not. */
  role?: 'dialog' | 'alertdialog';
  actions?: ReactNode;
  children?: ReactNode;
  onClose: () => void;
}

export function Dialog({
  title,
  description,
  size = 'normal',
  role = 'dialog',
  actions,
  children,
  onClose,
}: DialogProps) {
  const keepFocus = useReturnFocus();
  return (
    <Radix.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Radix.Portal>
        <Scrim onClose={onClose} />
        <Radix.Content
          role={role}
          onPointerDownOutside={leaveToScrim}
          onCloseAutoFocus={keepFocus}
          className={`${styles.dialog} ${size === 'normal' ? '' : styles[size]}`}
          {...(description === undefined ? { 'aria-describedby': undefined } : {})}
        >
          <div className={styles.head}>
            <Radix.Title className={styles.title}>{title}</Radix.Title>
            <Radix.Close aria-label="Close" className={buttonStyles.icon}>
              <X size={16} aria-hidden />
            </Radix.Close>
          </div>
          {description === undefined ? null : (
            <Radix.Description className={styles.description}>{description}</Radix.Description>
          )}
          {children ? <div className={styles.body}>{children}</div> : null}
          {actions ? <div className={styles.actions}>{actions}</div> : null}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
