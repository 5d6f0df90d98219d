// Radix gives the focus back to the button that opened a dialog. Ours are opened by commands, and have none. And it does so
// in a task of its own: the key that comes before it would be lost.
import { useEffect, useState } from 'react';

/**
 * What had the focus when a view opened has it again as soon as the view is gone, unless something else took it
 * meanwhile: for a view that a key closes, before the next key.
 *
 * @returns for `onCloseAutoFocus`: Radix moves nothing afterwards
 */
export function useReturnFocus(): (event: Event) => void {
  const [before] = useState(() => document.activeElement);
  useEffect(
    () => () => {
      const isFree = document.activeElement === null || document.activeElement === document.body;
      if (isFree && before instanceof HTMLElement) before.focus();
    },
    [before],
  );
  return preventDefault;
}

function preventDefault(event: Event): void {
  event.preventDefault();
}
