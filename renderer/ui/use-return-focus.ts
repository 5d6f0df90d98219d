// Radix gives the focus back to the button that opened a dialog. Ours are opened by commands, and have none.
import { useState } from 'react';

/** @returns for `onCloseAutoFocus`: what had the focus has it again, unless something else took it meanwhile */
export function useReturnFocus(): (event: Event) => void {
  const [before] = useState(() => document.activeElement);
  return (event) => {
    event.preventDefault();
    const isFree = document.activeElement === null || document.activeElement === document.body;
    if (isFree && before instanceof HTMLElement) before.focus();
  };
}
