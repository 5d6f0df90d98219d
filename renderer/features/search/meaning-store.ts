// Search by meaning: pieces of the folder's files as vectors of the model with the role "embedding", computed here and
// kept while the window is open. What did not change is not computed again.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { EngineApi, WorkspaceApi } from '../../../electron/common/api.ts';
import { isAbort, toErrorInfo } from '../../../electron/common/error-info.ts';
import type { ErrorInfo } from '../../../electron/common/errors.ts';

export interface Piece {
  path: string;
  /** Its first line, from 1. */
  line: number;
  text: string;
}

export interface Hit extends Piece {
  /** 1 for the same direction, 0 for none in common. */
  likeness: number;
}

export interface MeaningState {
  /** How far the folder is read; null while it is not. */
  reading: { nDone: number; nTotal: number } | null;
  query: string;
  /** Null before the first search. */
  hits: readonly Hit[] | null;
  error: ErrorInfo | null;
}

interface Known {
  text: string;
  modelId: string;
  pieces: { piece: Piece; vector: readonly number[] }[];
}

/** Files of source code are smaller; what is larger was made by a program. */
const mostCharacters = 200_000;
const mostFiles = 5000;
const linesPerPiece = 40;
/** Lines that a piece has in common with the one before: what is asked for may lie on the border. */
const overlap = 5;
const mostPieceCharacters = 4000;
const piecesPerCall = 8;
const mostHits = 30;

export function piecesOf(path: string, text: string): Piece[] {
  const lines = text.split('\n');
  const pieces: Piece[] = [];
  for (let at = 0; at < lines.length; at += linesPerPiece - overlap) {
    const piece = lines
      .slice(at, at + linesPerPiece)
      .join('\n')
      .slice(0, mostPieceCharacters);
    if (piece.trim() !== '') pieces.push({ path, line: at + 1, text: piece });
    if (at + linesPerPiece >= lines.length) break;
  }
  return pieces;
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);

export class MeaningStore {
  readonly store: StoreApi<MeaningState> = createStore<MeaningState>(() => ({
    reading: null,
    query: '',
    hits: null,
    error: null,
  }));
  readonly #workspace: WorkspaceApi;
  readonly #engine: EngineApi;
  readonly #known = new Map<string, Known>();
  #abort: AbortController | null = null;

  constructor(workspace: WorkspaceApi, engine: EngineApi) {
    this.#workspace = workspace;
    this.#engine = engine;
  }

  /** Reads what is new in the folder, then looks. A search that runs ends. */
  async search(query: string): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const { signal } = abort;
    this.store.setState({ query, error: null, hits: null, reading: { nDone: 0, nTotal: 0 } });
    try {
      const { modelId, vectors } = await this.#engine.embed({ texts: [query] }, { signal });
      await this.#read(modelId, signal);
      const wanted = vectors[0] ?? [];
      const all = [...this.#known.values()].flatMap(({ pieces }) => pieces);
      const hits = all
        .map(({ piece, vector }) => ({ ...piece, likeness: dot(wanted, vector) }))
        .sort((a, b) => b.likeness - a.likeness)
        .slice(0, mostHits);
      if (!signal.aborted) this.store.setState({ hits });
    } catch (error) {
      if (!signal.aborted && !isAbort(error)) this.store.setState({ error: toErrorInfo(error) });
    } finally {
      if (this.#abort === abort) this.store.setState({ reading: null });
    }
  }

  /** Ends a search; what was read of the folder stays. */
  stop(): void {
    this.#abort?.abort();
    this.store.setState({ reading: null });
  }

  /** Another folder was opened. */
  clear(): void {
    this.stop();
    this.#known.clear();
    this.store.setState({ hits: null, error: null, query: '' });
  }

  async #read(modelId: string, signal: AbortSignal): Promise<void> {
    const { paths } = await this.#workspace.findFiles({ limit: mostFiles });
    const there = new Set(paths);
    for (const path of this.#known.keys()) if (!there.has(path)) this.#known.delete(path);
    for (const [i, path] of paths.entries()) {
      signal.throwIfAborted();
      this.store.setState({ reading: { nDone: i, nTotal: paths.length } });
      // What is no text, too large or away has no meaning to search for.
      const text = await this.#workspace.read({ path }).then(
        (file) => file.text,
        () => '',
      );
      const known = this.#known.get(path);
      if (known?.text === text && known.modelId === modelId) continue;
      const pieces = text.length > mostCharacters ? [] : piecesOf(path, text);
      const read: Known = { text, modelId, pieces: [] };
      for (let at = 0; at < pieces.length; at += piecesPerCall) {
        const some = pieces.slice(at, at + piecesPerCall);
        // The path says what a piece is about as well.
        const texts = some.map((piece) => `${path}\n${piece.text}`);
        const { vectors } = await this.#engine.embed({ texts }, { signal });
        read.pieces.push(...some.map((piece, n) => ({ piece, vector: vectors[n] ?? [] })));
      }
      this.#known.set(path, read);
    }
  }
}
