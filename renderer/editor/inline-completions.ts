// Connects Monaco's ghost text to a function that suggests. Monaco draws, accepts (Tab), accepts a word
// (Ctrl+Right), dismisses (Escape) and cancels the running request on the next key: its token becomes our signal.
import { monaco } from './monaco.ts';
import type { MonacoTextStore } from './monaco-text-store.ts';

export interface SuggestRequest {
  bufferId: string;
  languageId: string;
  prefix: string;
  suffix: string;
  /** The user asked for it: no delay, and a reason if there is nothing. */
  isExplicit: boolean;
}

export interface InlineSuggester {
  /** The text to insert at the cursor, or null for none. Rejects only with an abort. */
  suggest(request: SuggestRequest, signal: AbortSignal): Promise<string | null>;
  /** A suggestion is on the screen. */
  shown(): void;
  accepted(): void;
  rejected(): void;
}

/** Text around the cursor that is sent: more than any engine budget uses, less than a huge file. */
const kPrefixChars = 24_000;
const kSuffixChars = 4_000;
/** The start of the prefix moves in steps: one that moved with every key would make every prompt a new one. */
const kStepChars = 4_000;

/** The text on both sides of a position, with line feeds. */
export function surroundings(
  model: monaco.editor.ITextModel,
  position: monaco.Position,
): { prefix: string; suffix: string } {
  const offset = model.getOffsetAt(position);
  const from = Math.floor(Math.max(0, offset - kPrefixChars) / kStepChars) * kStepChars;
  const before = model.getPositionAt(from);
  const after = model.getPositionAt(Math.min(model.getValueLength(), offset + kSuffixChars));
  const text = (start: monaco.Position, end: monaco.Position) =>
    model.getValueInRange(monaco.Range.fromPositions(start, end), monaco.editor.EndOfLinePreference.LF);
  return { prefix: text(before, position), suffix: text(position, after) };
}

/** @return a function that ends the registration */
export function registerInlineCompletions(texts: MonacoTextStore, suggester: InlineSuggester): () => void {
  const provider: monaco.languages.InlineCompletionsProvider = {
    displayName: 'Outpost',
    async provideInlineCompletions(model, position, context, token) {
      const bufferId = texts.idOf(model);
      if (bufferId === null || context.selectedSuggestionInfo) return { items: [] };
      const abort = new AbortController();
      const cancellation = token.onCancellationRequested(() => abort.abort());
      try {
        const text = await suggester.suggest(
          {
            bufferId,
            languageId: model.getLanguageId(),
            ...surroundings(model, position),
            isExplicit: context.triggerKind === monaco.languages.InlineCompletionTriggerKind.Explicit,
          },
          abort.signal,
        );
        if (text === null || token.isCancellationRequested) return { items: [] };
        return { items: [{ insertText: text, range: monaco.Range.fromPositions(position, position) }] };
      } catch (error) {
        if (abort.signal.aborted) return { items: [] };
        throw error;
      } finally {
        cancellation.dispose();
      }
    },
    handleItemDidShow: () => suggester.shown(),
    handleEndOfLifetime(_completions, _item, reason) {
      const { Accepted, Rejected } = monaco.languages.InlineCompletionEndOfLifeReasonKind;
      if (reason.kind === Accepted) suggester.accepted();
      else if (reason.kind === Rejected) suggester.rejected();
    },
    disposeInlineCompletions() {},
  };
  const registration = monaco.languages.registerInlineCompletionsProvider('*', provider);
  return () => registration.dispose();
}
