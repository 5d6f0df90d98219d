// The status bar's word on inline completion: what it does, or why it is silent. A click turns it on or off.
import { Sparkles } from 'lucide-react';
import { useStore } from 'zustand';
import { formatDuration } from '../../lib/format.ts';
import { Tooltip } from '../../ui/tooltip.tsx';
import type { CompletionStatus, CompletionStore } from './completion-store.ts';

interface CompletionChipProps {
  completion: CompletionStore;
  isOn: boolean;
  /** Why no model answers now, in a few words; null if one does. */
  notReady: string | null;
  className: string | undefined;
  onToggle: () => void;
}

const kReasons = {
  empty: 'The model suggested nothing here.',
  'special-token': 'The model left the text; its answer was dropped.',
  'low-confidence': 'The model was not sure of its suggestion, and it was dropped.',
  'repeats-above': 'The suggestion repeated the line above and was dropped.',
  'repeats-below': 'The suggestion repeated what follows and was dropped.',
  repetition: 'The suggestion repeated itself and was dropped.',
  reverses: 'The suggestion was what you just deleted, and was dropped.',
  short: 'Type a little more for a suggestion.',
  middle: 'No suggestions inside a line. Alt+\\ asks for one.',
};

function explain(status: CompletionStatus, isOn: boolean, notReady: string | null): { short: string; long: string } {
  if (!isOn) return { short: 'off', long: 'Inline completion is off.' };
  if (notReady !== null) return { short: 'no model', long: `Inline completion has no model now. ${notReady}` };
  switch (status.state) {
    case 'off':
    case 'idle':
      return { short: 'ready', long: 'Inline completion is ready.' };
    case 'noModel':
      return { short: 'no model', long: 'Inline completion waits for the model.' };
    case 'waiting':
      return {
        short: 'waiting',
        long: `You dismissed suggestions, so the next one waits ${formatDuration(status.ms)} for a pause in typing.`,
      };
    case 'working':
      return { short: 'thinking', long: 'The engine is writing a suggestion.' };
    case 'shown':
      return {
        short: formatDuration(status.ms),
        long: `The last suggestion took ${formatDuration(status.ms)}. Tab accepts all of it, Ctrl+Right a word, Ctrl+Alt+Right a line, Escape none.`,
      };
    case 'nextEdit':
      return {
        short: 'next edit',
        long: 'The same change is due at another place. Tab goes there, Tab again makes it, Escape dismisses it.',
      };
    case 'none':
      return { short: 'none', long: kReasons[status.reason] };
    case 'failed':
      return { short: 'failed', long: status.message };
  }
}

export function CompletionChip({ completion, isOn, notReady, className, onToggle }: CompletionChipProps) {
  const status = useStore(completion.store, (state) => state.status);
  const { short, long } = explain(status, isOn, notReady);
  return (
    <Tooltip side="top" label={`${long} Click to turn it ${isOn ? 'off' : 'on'}.`}>
      <button
        type="button"
        className={className}
        aria-pressed={isOn}
        aria-label={`Inline completion: ${short}. ${long}`}
        onClick={onToggle}
      >
        <Sparkles size={13} aria-hidden />
        {short}
      </button>
    </Tooltip>
  );
}
