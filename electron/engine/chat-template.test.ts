import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../common/engine-contract.ts';
import { createChatTemplate } from './chat-template.ts';
import { gemma, tinyLlama } from './testing/templates.ts';

const system: ChatMessage = { role: 'system', content: 'Be brief.' };
const hi: ChatMessage = { role: 'user', content: 'Hi' };
const hello: ChatMessage = { role: 'assistant', content: 'Hello!' };
const bye: ChatMessage = { role: 'user', content: 'Bye' };

const rendererOf = (chatTemplate: string) =>
  createChatTemplate({ chatTemplate, bosText: '<s>', eosText: '</s>', name: 'Fake' }).render;

describe("TinyLlama's template", () => {
  it('writes what the model was trained on', () => {
    expect(rendererOf(tinyLlama)([system, hi, hello, bye]).text).toBe(
      '<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello!</s>\n<|user|>\nBye</s>\n<|assistant|>\n',
    );
  });

  it('ends a reply where the model writes a marker itself', () => {
    const { stop } = rendererOf(tinyLlama)([hi]);
    expect([...stop].sort()).toEqual(['<|assistant|>', '<|system|>', '<|user|>']);
  });
});

describe('a template that refuses a system message', () => {
  it('gets its text at the start of the first question', () => {
    expect(rendererOf(gemma)([system, hi, hello, bye]).text).toBe(
      '<s><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n' +
        '<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n',
    );
  });

  it('gets it as a question of its own where there is none', () => {
    expect(rendererOf(gemma)([system]).text).toBe(
      '<s><start_of_turn>user\nBe brief.<end_of_turn>\n<start_of_turn>model\n',
    );
  });

  it('says what else it refuses, with and without a system message', () => {
    for (const messages of [
      [hi, hi],
      [system, hi, hi],
    ]) {
      expect(() => rendererOf(gemma)(messages)).toThrow(
        expect.objectContaining({
          code: 'TEMPLATE_FAILED',
          message: expect.stringContaining('Fake'),
          data: { hint: expect.any(String), detail: expect.stringContaining('must alternate') },
        }),
      );
    }
  });
});

it('leaves the messages as they are, whatever the template does with them', () => {
  const messages = [{ ...system }, { ...hi }];
  rendererOf(gemma)(messages);
  expect(messages).toEqual([system, hi]);
});

it('takes messages for text, not for templates', () => {
  const content = "{{ bos_token }}{% for x in y %}{{ raise_exception('no') }}";
  expect(rendererOf(tinyLlama)([{ role: 'user', content }]).text).toContain(content);
});

it('refuses a template that cannot be parsed when the model is loaded', () => {
  for (const broken of ['{% if %}', '{% for m in messages %}', '{{ messages[ }}']) {
    expect(() => rendererOf(broken), broken).toThrow(expect.objectContaining({ code: 'TEMPLATE_FAILED' }));
  }
});

it('refuses a template that fails when it is applied', () => {
  expect(() => rendererOf('{{ no_such_function() }}')([hi])).toThrow(
    expect.objectContaining({ code: 'TEMPLATE_FAILED' }),
  );
});

it('writes a plain transcript for a model without a template', () => {
  const { text, stop } = rendererOf('')([system, hi, hello, bye]);
  expect(text).toBe('Be brief.\n\nUser: Hi\n\nAssistant: Hello!\n\nUser: Bye\n\nAssistant:');
  expect(stop).toEqual(['\nUser:']);
});
