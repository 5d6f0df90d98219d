// Moves the focus to what a command shows, before the next key comes: keys may follow each other within a frame.
import { flushSync } from 'react-dom';
import type { AppModel } from './app-model.ts';

/** Uses what a panel holds: at once, or some frames later if it is still on its way to the screen. */
export function onceThere<T>(find: () => T | null, use: (found: T) => void, nFrames = 60): void {
  flushSync(() => {}); // draws what changed until now
  const found = find();
  if (found !== null) use(found);
  else if (nFrames > 0) requestAnimationFrame(() => onceThere(find, use, nFrames - 1));
}

/** Puts the cursor into the visible text. */
export function focusEditor(model: AppModel): void {
  onceThere(
    () => model.editor,
    (editor) => editor.focus(),
  );
}
