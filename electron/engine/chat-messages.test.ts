import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../common/engine-contract.ts';
import { toTemplateMessages, toTemplateTools, usualForm } from './chat-messages.ts';

const conversation: ChatMessage[] = [
  { role: 'system', content: 'S' },
  { role: 'user', content: 'Q' },
  {
    role: 'assistant',
    content: '',
    reasoning: 'R',
    toolCalls: [{ id: 'call00001', name: 'f', arguments: { a: [1] } }],
  },
  { role: 'tool', content: 'result', toolCallId: 'call00001' },
  { role: 'assistant', content: 'A' },
];

describe('messages for a template', () => {
  it('have the form that Hugging Face documents', () => {
    expect(toTemplateMessages(conversation, usualForm)).toEqual([
      { role: 'system', content: 'S' },
      { role: 'user', content: 'Q' },
      {
        role: 'assistant',
        content: '',
        reasoning_content: 'R',
        tool_calls: [{ id: 'call00001', type: 'function', function: { name: 'f', arguments: { a: [1] } } }],
      },
      { role: 'tool', content: 'result', tool_call_id: 'call00001', name: 'f' },
      { role: 'assistant', content: 'A' },
    ]);
  });

  it('have the forms that other templates want', () => {
    const form = {
      ...usualForm,
      content: 'parts',
      arguments: 'json',
      callContent: null,
      reasoning: 'thinking',
    } as const;
    const [, question, call] = toTemplateMessages(conversation, form);
    expect(question).toEqual({ role: 'user', content: [{ type: 'text', text: 'Q' }] });
    expect(call).toEqual({
      role: 'assistant',
      content: null,
      thinking: 'R',
      tool_calls: [{ id: 'call00001', type: 'function', function: { name: 'f', arguments: '{"a":[1]}' } }],
    });
  });

  it('lead with the system text where there is no such role', () => {
    const form = { ...usualForm, systemRole: false };
    expect(toTemplateMessages(conversation.slice(0, 2), form)).toEqual([{ role: 'user', content: 'S\n\nQ' }]);
    expect(toTemplateMessages(conversation.slice(0, 1), form)).toEqual([{ role: 'user', content: 'S' }]);
    expect(toTemplateMessages(conversation.slice(1, 2), form)).toEqual([{ role: 'user', content: 'Q' }]);
  });
});

it('tools for a template are functions, and what it wants if there are none', () => {
  const tool = { name: 'f', description: 'D', parameters: { type: 'object' } };
  expect(toTemplateTools([tool], usualForm)).toEqual([{ type: 'function', function: tool }]);
  expect(toTemplateTools([], usualForm)).toBe(null);
  expect(toTemplateTools(undefined, { ...usualForm, noTools: [] })).toEqual([]);
});
