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
  accepted(): void;
  rejected(): void;
}

/** Text around the cursor that is sent: more than any engine budget uses, less than a huge file. */
const kPrefixChars = 24_000;
const kSuffixChars = 4_000;

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
        const offset = model.getOffsetAt(position);
        const before = model.getPositionAt(Math.max(0, offset - kPrefixChars));
        const after = model.getPositionAt(Math.min(model.getValueLength(), offset + kSuffixChars));
        const text = await suggester.suggest(
          {
            bufferId,
            languageId: model.getLanguageId(),
            prefix: model.getValueInRange(
              monaco.Range.fromPositions(before, position),
              monaco.editor.EndOfLinePreference.LF,
            ),
            suffix: model.getValueInRange(
              monaco.Range.fromPositions(position, after),
              monaco.editor.EndOfLinePreference.LF,
            ),
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
