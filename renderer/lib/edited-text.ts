// The text of a field whose value is kept elsewhere: what is kept comes back late, when the user may be typing again.
import { useEffect, useState } from 'react';

export interface EditedText {
  text: string;
  /** What its owner has, as far as is known here: the last that it said or was told. */
  owned: string;
}

/** The owner says what it has. What it was told is no news, and leaves alone what was typed since. */
export function received(edited: EditedText, owned: string): EditedText {
  return owned === edited.owned ? edited : { text: owned, owned };
}

/** The owner is told `owned`, which the field shows from now on. */
export function told(owned: string): EditedText {
  return { text: owned, owned };
}

/** @param value what the owner has */
export function useEditedText(value: string) {
  const [edited, setEdited] = useState(() => told(value));
  useEffect(() => setEdited((before) => received(before, value)), [value]);
  return {
    text: edited.text,
    /** Whether `next` is news to the owner; also where the owner did not take what it was told. */
    isNews: (next: string) => next !== edited.owned || next !== value,
    type: (text: string) => setEdited({ ...edited, text }),
    tell: (owned: string) => setEdited(told(owned)),
    putBack: () => setEdited(told(edited.owned)),
  };
}
