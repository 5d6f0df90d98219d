// The window's keys, taken before Monaco sees them. Escape stops a running reply when the chat has the focus.
import { useEffect } from 'react';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';

/** What keeps the keys for itself. The editor's own widgets, such as "find", call themselves dialogs, too, even closed. */
const kModal = '[role="dialog"]:not(.monaco-editor *), [role="alertdialog"], [role="menu"]:not(.monaco-editor *)';

/** Control with a letter is what shells are used with; with Shift or Alt, and with other keys, it is ours. */
function belongsToShell({ target, ctrlKey, shiftKey, altKey, key }: KeyboardEvent): boolean {
  const isInside = target instanceof Element && target.closest('.xterm') !== null;
  return isInside && ctrlKey && !shiftKey && !altKey && /^[a-z]$/i.test(key);
}

export function useShortcuts(model: AppModel, commands: Commands): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.isComposing || document.querySelector(kModal)) return;
      const command = commands.forKey(event);
      if (command && !belongsToShell(event)) {
        event.preventDefault();
        event.stopPropagation();
        command.run();
      } else if (event.key === 'Escape' && model.chat.store.getState().reply) {
        if (event.target instanceof Element && event.target.closest('[data-region="chat"]')) model.chat.stop();
      }
    };
    window.addEventListener('keydown', onKeyDown, { capture: true });
    return () => window.removeEventListener('keydown', onKeyDown, { capture: true });
  }, [model, commands]);
}
