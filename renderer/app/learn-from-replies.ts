// What a reply took makes predictions for other models better.
import type { AppModel } from './app-model.ts';

/** Tokens of a reply that says enough. */
const enough = 32;

type Model = Pick<AppModel, 'api' | 'chat' | 'library' | 'attempt'>;

export function learnFromReplies(model: Model): void {
  const { api, chat, library } = model;
  chat.store.subscribe((now, before) => {
    if (now.reply !== null || before.reply === null) return;
    const stats = chat.shownMessages.at(-1)?.stats;
    const answering = library.modelOf('chat');
    // What a token costs by itself: what was guessed right ahead of it came for less.
    const plainMs = stats?.plainTokenMs ?? 0;
    if (!stats || !answering || stats.nDecoded < enough || plainMs <= 0) return;
    const measured = { tokensPerSecond: 1000 / plainMs, nPast: stats.nPrompt + stats.nDecoded / 2 };
    void model.attempt(() => api.app.models.measured({ id: answering.id, ...measured }));
  });
}
