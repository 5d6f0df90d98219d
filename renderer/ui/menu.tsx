// A list of actions that opens from a button, or from the secondary button on an area.
import { DropdownMenu as Radix, ContextMenu as RadixContext } from 'radix-ui';
import { type ReactNode, useRef } from 'react';
import styles from './menu.module.css';

export interface MenuAction {
  label: string;
  icon?: ReactNode;
  isDanger?: boolean;
  isDisabled?: boolean;
  run: () => void;
}

interface MenuProps {
  actions: readonly MenuAction[];
  /** The element that opens it; must take a ref. */
  children: ReactNode;
}

export function Menu({ actions, children }: MenuProps) {
  const picked = useRef<(() => void) | null>(null);
  // What is picked may move the focus: it comes after the menu has given the focus back.
  const runPicked = () => {
    const run = picked.current;
    picked.current = null;
    if (run) setTimeout(run);
  };
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          className={styles.menu}
          align="end"
          sideOffset={4}
          collisionPadding={8}
          onCloseAutoFocus={runPicked}
        >
          {actions.map(({ label, icon, isDanger, isDisabled, run }) => (
            <Radix.Item
              key={label}
              className={`${styles.item} ${isDanger ? styles.danger : ''}`}
              disabled={isDisabled ?? false}
              onSelect={() => {
                picked.current = run;
              }}
            >
              {icon}
              {label}
            </Radix.Item>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export function ContextMenu({ actions, children }: MenuProps) {
  return (
    <RadixContext.Root modal={false}>
      <RadixContext.Trigger asChild>{children}</RadixContext.Trigger>
      <RadixContext.Portal>
        <RadixContext.Content className={styles.menu} collisionPadding={8}>
          {actions.map(({ label, icon, isDanger, isDisabled, run }) => (
            <RadixContext.Item
              key={label}
              className={`${styles.item} ${isDanger ? styles.danger : ''}`}
              disabled={isDisabled ?? false}
              onSelect={run}
            >
              {icon}
              {label}
            </RadixContext.Item>
          ))}
        </RadixContext.Content>
      </RadixContext.Portal>
    </RadixContext.Root>
  );
}
