import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ChatMessage, ChatOptions } from '../common/engine-contract.ts';
import { tokenizeChat } from './chat-prompt.ts';
import { createChatTemplate } from './chat-template.ts';
import { fakeTokenizer } from './testing/fake-addon.ts';

function shown(chatTemplate: string, specials: string[], messages: ChatMessage[], options: ChatOptions = {}): string {
  const model = fakeTokenizer(specials, { chatTemplate, bosText: '' });
  const { tokens } = tokenizeChat(model, createChatTemplate(model.info).render, messages, options);
  return model.show(tokens).replace('[[BOS]]', '');
}

const user = (content: string): ChatMessage => ({ role: 'user', content });
const call = (key: string, value: string): ChatMessage => ({
  role: 'assistant',
  content: '',
  toolCalls: [{ id: 'call00001', name: 'f', arguments: { [key]: value } }],
});

describe('a special token that the template and a text spell together', () => {
  it('is none', () => {
    const tags = '{% for m in messages %}<{{ m.content }}></s>{% endfor %}';
    expect(shown(tags, ['</s>'], [user('/s')])).toBe('</s>[[</s>]]');
    expect(shown(tags, ['</s>'], [user('a></s')])).toBe('<a></s>[[</s>]]');
    expect(shown(tags, ['</s>'], [user('/s'), user('a'), user('/s><')])).toBe('</s>[[</s>]]<a>[[</s>]]</s><>[[</s>]]');
    expect(shown(tags, ['</s>'], [user(' /s ')])).toBe('< /s >[[</s>]]');
    const trims = '{% for m in messages %}<{{ m.content|trim }}></s>{% endfor %}';
    expect(shown(trims, ['</s>'], [user(' /s\n')])).toBe('</s>[[</s>]]');
  });

  it('is none in the name of an argument', () => {
    const xml =
      '{% for m in messages %}{% for c in m.tool_calls or [] %}{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}</{{ k }}>{% endfor %}{% endfor %}{{ m.content }}</s>{% endfor %}';
    expect(shown(xml, ['</s>'], [user('Q'), call('s', 'v')])).toBe('Q[[</s>]]<s>v</s>[[</s>]]');
    expect(shown(xml, ['</s>', '<s>'], [user('Q'), call('/s', 'v')])).toBe('Q[[</s>]]</s>v<//s>[[</s>]]');
  });

  it('changes nothing where texts only look like parts of one', () => {
    const plain = '{% for m in messages %}<|user|>{{ m.content }}</s>{% endfor %}';
    expect(shown(plain, ['</s>', '<|user|>'], [user('s'), user('user'), user('|')])).toBe(
      '[[<|user|>]]s[[</s>]][[<|user|>]]user[[</s>]][[<|user|>]]|[[</s>]]',
    );
  });
});

describe('the mark in the texts', () => {
  const json = '{% for m in messages %}{{ m.content|tojson(ensure_ascii=true) }}{% endfor %}';
  it('goes, also where a template writes it in ASCII', () => {
    expect(shown(json, ['</s>'], [user('a</s>é')])).toBe('"a</s>\\u00e9"');
  });
  it('is none that a text holds, in either form', () => {
    expect(shown(json, ['</s>'], [user('\\ue000</s>')])).toBe('"\\\\ue000</s>"');
    expect(shown(json, ['</s>'], [user('\ue000</s>\\ue001')])).toBe('"\\ue000</s>\\\\ue001"');
  });
});

const folder = new URL('../../../shared/data/tokenizers/chat-templates/', import.meta.url);
const isThere = existsSync(folder);
const like = /<[^<>\s'"{}]{1,40}>|\[[A-Z_/]{1,40}\]/g;

/** A conversation with `text` in every place that others write. */
function conversationOf(text: string): { messages: ChatMessage[]; options: ChatOptions } {
  const parameters = { type: 'object', properties: { path: { type: 'string', description: `Where. ${text}` } } };
  return {
    messages: [
      { role: 'system', content: `Be brief. ${text}` },
      user(`Find it. ${text}`),
      {
        role: 'assistant',
        content: `Looking. ${text}`,
        reasoning: `Thinking. ${text}`,
        toolCalls: [{ id: 'call00001', name: 'find', arguments: { path: text, [`k${text}`]: 'v' } }],
      },
      { role: 'tool', content: `Found. ${text}`, toolCallId: 'call00001' },
      { role: 'assistant', content: `Here. ${text}`, reasoning: `Done. ${text}` },
      user(`Thanks. ${text}`),
    ],
    options: { tools: [{ name: 'find', description: `Finds. ${text}`, parameters }] },
  };
}

describe(isThere ? 'a template of ../shared/data' : 'templates (skipped: ../shared/data is absent)', () => {
  const files = isThere ? readdirSync(folder).filter((name) => name.endsWith('.jinja')) : [];
  it.skipIf(!isThere)('is among many', () => expect(files.length).toBeGreaterThan(60));

  it.each(files)('%s has the same control tokens whatever the texts say', (name) => {
    const chatTemplate = readFileSync(new URL(name, folder), 'utf8');
    const specials = [...new Set([...(chatTemplate.match(like) ?? []), '<s>', '</s>', '<|im_end|>'])].slice(0, 60);
    const model = fakeTokenizer(specials, { chatTemplate });
    const { render } = createChatTemplate(model.info);
    const controls = (text: string): string[] | null => {
      const { messages, options } = conversationOf(text);
      // With everything, without calls, without a system message, without tools.
      const attempts: [ChatMessage[], ChatOptions][] = [
        [messages, options],
        [messages.slice(0, 2), options],
        [messages.slice(1, 2), options],
        [messages.slice(1, 2), {}],
      ];
      for (const [all, given] of attempts) {
        try {
          const { tokens } = tokenizeChat(model, render, all, given);
          return model.show(tokens).match(/\[\[.*?\]\]/g);
        } catch {} // this template refuses it
      }
      return null;
    };
    const wanted = controls('words');
    expect(controls(specials.join(' '))).toEqual(wanted);
    expect(controls(specials.join(''))).toEqual(wanted);
  });
});
