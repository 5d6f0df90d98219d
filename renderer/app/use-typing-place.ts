// Who types into a text goes on typing when its tab shows another file, or a closed tab's neighbour: while that is read
// there is no editor that could have the keyboard, and the one that comes after it takes it.
import { useCallback, useEffect, useRef } from 'react';

const kText = '[data-region="editor"] .monaco-editor';
/** They give the focus back. */
const kDialogs = '[role="dialog"]:not(.monaco-editor *), [role="alertdialog"]';

/** @returns whether the keyboard was in a text last, and nothing has it now */
export function useTypingPlace(): () => boolean {
  const wasInText = useRef(false);
  useEffect(() => {
    const onFocus = ({ target }: FocusEvent) => {
      if (!(target instanceof Element) || target.closest(kDialogs) !== null) return;
      wasInText.current = target.closest(kText) !== null;
    };
    document.addEventListener('focusin', onFocus);
    return () => document.removeEventListener('focusin', onFocus);
  }, []);
  return useCallback(() => wasInText.current && document.activeElement === document.body, []);
}
