// The corner where notifications appear. The region itself is always there, so that screen readers hear them; it lies above
// dialogs, and a click on it is none on what is behind them.
import { X } from 'lucide-react';
import { DismissableLayer } from 'radix-ui/internal';
import { useStore } from 'zustand';
import { Button, IconButton } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';
import styles from './notifications.module.css';
import type { NotificationsStore } from './notifications-store.ts';

export function Notifications({ notifications }: { notifications: NotificationsStore }) {
  const items = useStore(notifications.store, (state) => state.items);
  return (
    <DismissableLayer.Branch asChild>
      <section aria-label="Notifications" aria-live="polite" className={styles.region}>
        {items.map(({ id, kind, message, hint, detail, action }) => (
          <div key={id} className={styles.item}>
            <Notice
              kind={kind}
              message={message}
              hint={hint}
              detail={detail}
              actions={
                action ? (
                  <Button
                    onClick={() => {
                      notifications.close(id);
                      action.run();
                    }}
                  >
                    {action.label}
                  </Button>
                ) : null
              }
              end={
                <IconButton label="Dismiss" onClick={() => notifications.close(id)}>
                  <X size={14} aria-hidden />
                </IconButton>
              }
            />
          </div>
        ))}
      </section>
    </DismissableLayer.Branch>
  );
}
