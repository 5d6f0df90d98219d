// What of the shell is shown: panels, the one open overlay, where the cursor is.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CursorInfo } from '../editor/code-editor.tsx';

export type Overlay =
  | 'settings'
  | 'palette'
  | 'quickOpen'
  | 'goToSymbol'
  | 'goToLine'
  | 'attach'
  | 'network'
  | 'activity'
  | 'firstSteps'
  | 'latency'
  | 'meaning'
  | 'models'
  | 'branches'
  | 'keys'
  | 'settingsJson';

export interface UiState {
  overlay: Overlay | null;
  /** The panel on the left, and what it shows. */
  isSideShown: boolean;
  sideView: 'explorer' | 'search' | 'git';
  isTerminalShown: boolean;
  isChatShown: boolean;
  isConversationListShown: boolean;
  cursor: CursorInfo;
  /** Sizes of the panels in percent, by panel id; empty before the first change. */
  layout: Readonly<Record<string, number>>;
}

export type UiStore = StoreApi<UiState>;

export function createUiStore(): UiStore {
  return createStore<UiState>(() => ({
    overlay: null,
    isSideShown: true,
    sideView: 'explorer',
    isTerminalShown: false,
    isChatShown: true,
    isConversationListShown: false,
    cursor: { line: 1, column: 1, selectedChars: 0 },
    layout: {},
  }));
}
