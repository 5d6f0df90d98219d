// Connects Monaco's ghost text and its edits in place to what suggests and proposes. Monaco draws, accepts (Tab), accepts a word
// (Ctrl+Right), dismisses (Escape) and cancels the running request on the next key: its token becomes our signal.
import type { NextEdit } from '../lib/edit-trail.ts';
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

/** Proposes changes elsewhere in the text. Both questions reject only with an abort. */
export interface NextEditor {
  /** Whether what was typed last is a change that goes on elsewhere: then it goes before a suggestion. */
  isFresh(bufferId: string): boolean;
  next(bufferId: string, cursor: number, signal: AbortSignal): Promise<NextEdit | null>;
  /** Where nothing else is to be said: a line with an error, written otherwise. */
  repair(bufferId: string, cursor: number, signal: AbortSignal): Promise<NextEdit | null>;
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
export function registerInlineCompletions(
  texts: MonacoTextStore,
  suggester: InlineSuggester,
  nextEdits: NextEditor,
): () => void {
  const provider: monaco.languages.InlineCompletionsProvider = {
    displayName: 'Outpost',
    async provideInlineCompletions(model, position, context, token) {
      const bufferId = texts.idOf(model);
      if (bufferId === null || context.selectedSuggestionInfo) return { items: [] };
      const abort = new AbortController();
      const cancellation = token.onCancellationRequested(() => abort.abort());
      try {
        const cursor = model.getOffsetAt(position);
        const proposed = async (edit: Promise<NextEdit | null>) => editInPlace(model, await edit);
        if (nextEdits.isFresh(bufferId)) {
          const item = await proposed(nextEdits.next(bufferId, cursor, abort.signal));
          if (item) return { items: [item] };
        }
        const text = await suggester.suggest(
          {
            bufferId,
            languageId: model.getLanguageId(),
            ...surroundings(model, position),
            isExplicit: context.triggerKind === monaco.languages.InlineCompletionTriggerKind.Explicit,
          },
          abort.signal,
        );
        if (text !== null && !token.isCancellationRequested)
          return { items: [{ insertText: text, range: monaco.Range.fromPositions(position, position) }] };
        const item =
          (await proposed(nextEdits.next(bufferId, cursor, abort.signal))) ??
          (await proposed(nextEdits.repair(bufferId, cursor, abort.signal)));
        return { items: item && !token.isCancellationRequested ? [item] : [] };
      } catch (error) {
        if (abort.signal.aborted) return { items: [] };
        throw error;
      } finally {
        cancellation.dispose();
      }
    },
    handleItemDidShow(_completions, item) {
      if (!item.isInlineEdit) suggester.shown();
    },
    handleEndOfLifetime(_completions, item, reason) {
      const { Accepted, Rejected } = monaco.languages.InlineCompletionEndOfLifeReasonKind;
      const source = item.isInlineEdit ? nextEdits : suggester;
      if (reason.kind === Accepted) source.accepted();
      else if (reason.kind === Rejected) source.rejected();
    },
    disposeInlineCompletions() {},
  };
  const registration = monaco.languages.registerInlineCompletionsProvider('*', provider);
  return () => registration.dispose();
}

/** Shown as a small comparison where it would be made; Tab goes there and takes it. */
function editInPlace(model: monaco.editor.ITextModel, edit: NextEdit | null): monaco.languages.InlineCompletion | null {
  if (edit === null) return null;
  const start = model.getPositionAt(edit.offset);
  const range = monaco.Range.fromPositions(start, model.getPositionAt(edit.offset + edit.from.length));
  // Between the question and now the text may have become another.
  if (model.getValueInRange(range) !== edit.from) return null;
  return { insertText: edit.to, range, isInlineEdit: true };
}

/** What the checkers of the text's language say, errors only. */
export function problemsOf(texts: MonacoTextStore, bufferId: string): { line: number; message: string }[] {
  const model = texts.model(bufferId);
  if (model === null) return [];
  const markers = monaco.editor.getModelMarkers({ resource: model.uri });
  return markers
    .filter(({ severity }) => severity === monaco.MarkerSeverity.Error)
    .map(({ startLineNumber: line, message }) => ({ line, message }));
}
