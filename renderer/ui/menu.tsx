// A list of actions that opens from a button, or from the secondary button on an area.
import { DropdownMenu as Radix, ContextMenu as RadixContext } from 'radix-ui';
import { Fragment, type ReactNode, useRef, useState } from 'react';
import { Keys } from './keys.tsx';
import styles from './menu.module.css';

export interface MenuAction {
  label: string;
  icon?: ReactNode;
  /** What does the same without the menu, a cap each. */
  keys?: readonly string[];
  isDanger?: boolean;
  /** Asked when the menu opens. */
  isDisabled?: boolean | (() => boolean);
  /** A line stands before it. */
  startsGroup?: boolean;
  run: () => void;
}

function isDisabledNow({ isDisabled = false }: MenuAction): boolean {
  return typeof isDisabled === 'function' ? isDisabled() : isDisabled;
}

function itemStyle({ isDanger }: MenuAction): string {
  return `${styles.item} ${isDanger ? styles.danger : ''}`;
}

function ItemText({ action: { icon, label, keys } }: { action: MenuAction }) {
  return (
    <>
      {icon}
      <span className={styles.label}>{label}</span>
      {keys ? <Keys keys={keys} /> : null}
    </>
  );
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
          {actions.map((action) => (
            <Fragment key={action.label}>
              {action.startsGroup ? <Radix.Separator className={styles.separator} /> : null}
              <Radix.Item
                className={itemStyle(action)}
                disabled={isDisabledNow(action)}
                onSelect={() => {
                  picked.current = action.run;
                }}
              >
                <ItemText action={action} />
              </Radix.Item>
            </Fragment>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export function ContextMenu({ actions, children }: MenuProps) {
  const [, setIsOpen] = useState(false); // opening renders the actions as they are then
  return (
    <RadixContext.Root modal={false} onOpenChange={setIsOpen}>
      <RadixContext.Trigger asChild>{children}</RadixContext.Trigger>
      <RadixContext.Portal>
        <RadixContext.Content className={styles.menu} collisionPadding={8}>
          {actions.map((action) => (
            <Fragment key={action.label}>
              {action.startsGroup ? <RadixContext.Separator className={styles.separator} /> : null}
              <RadixContext.Item className={itemStyle(action)} disabled={isDisabledNow(action)} onSelect={action.run}>
                <ItemText action={action} />
              </RadixContext.Item>
            </Fragment>
          ))}
        </RadixContext.Content>
      </RadixContext.Portal>
    </RadixContext.Root>
  );
}
