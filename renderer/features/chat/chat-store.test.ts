import { beforeEach, describe, expect, it } from 'vitest';
import { settingsSchema } from '../../../electron/common/settings.ts';
import { appError } from '../../testing/app-error.ts';
import { createFakeApi, type FakeApi } from '../../testing/fake-api.ts';
import { kFakeModel } from '../../testing/fake-engine.ts';
import { attach } from './attachments.ts';
import { ChatStore } from './chat-store.ts';
import { exportConversation } from './export.ts';

let fake: FakeApi;
let chat: ChatStore;

function createStore(): ChatStore {
  let nIds = 0;
  return new ChatStore({
    conversations: fake.api.app.conversations,
    engine: fake.api.engine,
    settings: () => settingsSchema.parse({ systemPrompt: '' }),
    modelName: () => 'Model',
    openTexts: () => ['open'],
    newId: () => `id-${++nIds}-${fake.stored.messages.size}`,
    nowMs: () => 0,
    schedule: (update) => update(),
  });
}

beforeEach(() => {
  fake = createFakeApi({});
  fake.engine.stepMs = 0;
  chat = createStore();
});

const shown = () => chat.shownMessages.map(({ content }) => content);
const asked = () => fake.engine.chatRequests.at(-1)?.messages.map(({ content }) => content);

async function say(question: string, answer: string) {
  fake.engine.reply = answer;
  await chat.send(question);
}

it('shows a conversation while there is no engine that could count its tokens', async () => {
  await say('one', 'A');
  const id = chat.store.getState().conversationId;
  fake.engine.api.countTokens = () => new Promise(() => {});
  chat = createStore();
  await chat.load(id);
  expect(shown()).toEqual(['one', 'A']);
});

it('gives a question back that no conversation can be begun with', async () => {
  const { create } = fake.api.app.conversations;
  fake.api.app.conversations.create = () => Promise.reject(appError('DISK_FULL', 'The disk is full.'));
  expect(await chat.send('one')).toBe(false);
  expect(chat.store.getState()).toMatchObject({ conversationId: null, error: { code: 'DISK_FULL' } });
  fake.api.app.conversations.create = create;
  expect(await chat.send('one')).toBe(true);
  expect(shown()[0]).toBe('one');
});

describe('branches', () => {
  it('keep the earlier question and its answer when it is edited', async () => {
    await say('one', 'A');
    await say('two', 'B');
    const two = chat.shownMessages[2]?.id ?? '';
    fake.engine.reply = 'C';
    await chat.editAndResend(two, 'zwei');
    expect(shown()).toEqual(['one', 'A', 'zwei', 'C']);
    expect(asked()).toEqual(['one', 'A', 'zwei']);
    await chat.showBranch(two);
    expect(shown()).toEqual(['one', 'A', 'two', 'B']);
    await say('three', 'D');
    expect(asked()).toEqual(['one', 'A', 'two', 'B', 'three']);
  });

  it('keep the earlier answer when another one is asked for', async () => {
    await say('one', 'A');
    fake.engine.reply = 'B';
    await chat.regenerate();
    expect(shown()).toEqual(['one', 'B']);
    expect(asked()).toEqual(['one']);
    const id = chat.store.getState().conversationId ?? '';
    const all = chat.store.getState().messages[id] ?? [];
    expect(all.map(({ content }) => content)).toEqual(['one', 'A', 'B']);
  });

  it('are as they were after a restart', async () => {
    await say('one', 'A');
    await say('two', 'B');
    const two = chat.shownMessages[2]?.id ?? '';
    await chat.editAndResend(two, 'zwei');
    await chat.showBranch(two);
    const id = chat.store.getState().conversationId;
    chat = createStore();
    await chat.load(id);
    expect(shown()).toEqual(['one', 'A', 'two', 'B']);
  });
});

describe('the queue', () => {
  it('asks what was typed during a reply, in order, as soon as it ends', async () => {
    fake.engine.stepMs = 1;
    const first = say('one', 'A');
    await Promise.resolve();
    while (chat.store.getState().reply === null) await new Promise((resolve) => setTimeout(resolve));
    await chat.send('two');
    await chat.send('three');
    expect(chat.store.getState().queue.map(({ text }) => text)).toEqual(['two', 'three']);
    const [two] = chat.store.getState().queue;
    chat.unqueue(two?.id ?? '');
    await first;
    expect(shown()).toEqual(['one', 'A', 'three', 'A']);
    expect(chat.store.getState()).toMatchObject({ queue: [], reply: null });
  });

  const ended = async () => {
    const { store } = chat;
    while (store.getState().reply !== null) await new Promise((resolve) => setTimeout(resolve));
  };
  const texts = () => chat.store.getState().queue.map(({ text }) => text);

  it('waits when a reply was stopped with it, until it is to go on, or something else is asked', async () => {
    fake.engine.loading(0.5);
    const hold = async () => {
      for (const text of ['one', 'two']) void chat.send(text);
      while (texts().length === 0) await new Promise((resolve) => setTimeout(resolve));
      chat.stop(true);
      await ended();
    };
    await hold();
    expect([shown(), texts()]).toEqual([['one', ''], ['two']]);
    fake.engine.setStatus({ state: 'ready', model: kFakeModel });
    fake.engine.reply = 'A';
    await chat.goOn();
    expect([shown(), texts()]).toEqual([['one', '', 'two', 'A'], []]);

    fake.engine.loading(0.5);
    await hold();
    fake.engine.setStatus({ state: 'ready', model: kFakeModel });
    await chat.send('three');
    expect(shown().slice(4)).toEqual(['one', '', 'two', 'A', 'three', 'A']);
  });

  it('takes a question that comes before the conversation of the first is there', async () => {
    fake.engine.reply = 'A';
    await Promise.all([chat.send('one'), chat.send('two')]);
    while (chat.store.getState().queue.length > 0 || chat.store.getState().reply !== null) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    expect(chat.store.getState().conversations).toHaveLength(1);
    expect(shown()).toEqual(['one', 'A', 'two', 'A']);
  });

  it('takes a question that comes while the one before it is stored', async () => {
    await say('one', 'A');
    const second = chat.send('two');
    await chat.send('three');
    expect(chat.store.getState().queue.map(({ text }) => text)).toEqual(['three']);
    await second;
    expect(shown()).toEqual(['one', 'A', 'two', 'A', 'three', 'A']);
  });
});

it('sends attachments with their question, and keeps them in a branch', async () => {
  fake.engine.reply = 'A';
  await chat.send('why', [attach('file', 'a.ts', 'let a;')]);
  expect(asked()).toEqual(['File a.ts:\n```\nlet a;\n```\n\nwhy']);
  await chat.editAndResend(chat.shownMessages[0]?.id ?? '', 'how');
  expect(asked()).toEqual(['File a.ts:\n```\nlet a;\n```\n\nhow']);
});

it('says what may be rewritten: the one piece of code that came with the question', async () => {
  fake.engine.reply = 'A';
  const original = () => fake.engine.chatRequests.at(-1)?.original;
  await chat.send('shorten it', [attach('file', 'a.ts', 'let a;'), attach('terminal', 'sh', '$')]);
  expect([original(), fake.engine.chatRequests.at(-1)?.texts]).toEqual(['let a;', ['open']]);
  await chat.send('why', [attach('file', 'a.ts', 'let a;'), attach('selection', 'b.ts:1-2', 'let b;')]);
  expect(original()).toBeUndefined();
  await chat.send('thanks');
  expect(original()).toBeUndefined();
});

it('exports the shown branch', async () => {
  await say('one', 'A');
  fake.engine.reply = 'B';
  await chat.regenerate();
  const id = chat.store.getState().conversationId ?? '';
  expect(exportConversation(chat.store.getState(), id, 'markdown')).toEqual({
    name: 'one.md',
    text: '# one\n\n## You\n\none\n\n## Model\n\nB\n',
  });
  expect(JSON.parse(exportConversation(chat.store.getState(), id, 'json')?.text ?? '').messages).toHaveLength(3);
});
