// What will go with the next question, and how much of the context all of it takes.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { EngineApi } from '../../../electron/common/api.ts';
import type { Attachment } from '../../../electron/common/app-contract.ts';
import type { ChatMessage } from '../../../electron/common/engine-contract.ts';
import { withAttachments } from './attachments.ts';

export interface DraftState {
  attachments: readonly Attachment[];
  /** Tokens of the conversation with the question that is being written; null while unknown. */
  context: { nTokens: number; nCtx: number } | null;
}

export interface DraftDeps {
  engine: Pick<EngineApi, 'countTokens'>;
  /** The shown conversation as the model reads it. */
  messages: () => ChatMessage[];
}

const kMostAttachments = 50;
/** Counting waits for a pause in typing. */
const kDelayMs = 300;

export class DraftStore {
  readonly store: StoreApi<DraftState> = createStore<DraftState>(() => ({ attachments: [], context: null }));
  readonly #deps: DraftDeps;
  #text = '';
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nCounts = 0;

  constructor(deps: DraftDeps) {
    this.#deps = deps;
  }

  attach(attachment: Attachment): void {
    this.store.setState(({ attachments }) => {
      const others = attachments.filter(({ kind, label }) => kind !== attachment.kind || label !== attachment.label);
      return { attachments: [...others, attachment].slice(-kMostAttachments) };
    });
    this.#schedule();
  }

  detach(attachment: Attachment): void {
    this.store.setState(({ attachments }) => ({ attachments: attachments.filter((kept) => kept !== attachment) }));
    this.#schedule();
  }

  typed(text: string): void {
    this.#text = text;
    this.#schedule();
  }

  /** The question was sent. @return what went with it */
  take(): readonly Attachment[] {
    const { attachments } = this.store.getState();
    clearTimeout(this.#timer);
    this.#text = '';
    this.#nCounts += 1;
    this.store.setState({ attachments: [], context: null });
    return attachments;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#count(), kDelayMs);
  }

  async #count(): Promise<void> {
    const { attachments } = this.store.getState();
    const count = ++this.#nCounts;
    if (this.#text.trim() === '' && attachments.length === 0) {
      this.store.setState({ context: null });
      return;
    }
    const messages = this.#deps.messages();
    const question = withAttachments(this.#text, attachments);
    const last = messages.at(-1);
    if (last?.role === 'user') last.content += `\n\n${question}`;
    else messages.push({ role: 'user', content: question });
    const context = await this.#deps.engine.countTokens({ messages }).catch(() => null);
    if (count === this.#nCounts) this.store.setState({ context });
  }
}
