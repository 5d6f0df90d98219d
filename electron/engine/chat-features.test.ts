import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ChatFeatures, ChatMessage, ToolDefinition } from '../common/engine-contract.ts';
import { createChatTemplate } from './chat-template.ts';
import { gemma, tinyLlama } from './testing/templates.ts';

const templateOf = (chatTemplate: string) =>
  createChatTemplate({ chatTemplate, bosText: '<s>', eosText: '</s>', name: 'Fake' });

const none: ChatFeatures = {
  systemRole: false,
  tools: false,
  toolCalls: false,
  parallelToolCalls: false,
  reasoning: false,
  thinkingSwitch: false,
};

const turns = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n';
const calls = '{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ ARGUMENTS }}){% endfor %}';

describe('what a template can say', () => {
  it('is nothing but the roles for the usual small one', () => {
    expect(templateOf(tinyLlama).features).toEqual({ ...none, systemRole: true });
    expect(templateOf(gemma).features).toEqual(none);
  });

  it('is seen from what it writes, not from what it mentions', () => {
    const mentions = `{# tools tool_calls reasoning_content #}${turns}{% endfor %}{% if false %}{{ tools }}{% endif %}`;
    expect(templateOf(mentions).features).toEqual({ ...none, systemRole: true });
    const silent = "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}";
    expect(templateOf(silent).features.systemRole).toBe(false);
  });

  it.each([
    ['tools', `{{ tools|tojson if tools }}${turns}{% endfor %}`, { tools: true }],
    [
      'calls with arguments as an object',
      `${turns}${calls.replace('ARGUMENTS', 'c.function.arguments|tojson')}{% endfor %}`,
      { toolCalls: true, parallelToolCalls: true },
    ],
    [
      'calls with arguments as JSON',
      `${turns}${calls.replace('ARGUMENTS', 'c.function.arguments')}{% endfor %}`,
      { toolCalls: true, parallelToolCalls: true },
    ],
    [
      'one call at a time',
      `${turns}{% if m.tool_calls %}{% if m.tool_calls|length > 1 %}{{ raise_exception('one') }}{% endif %}${calls.replace('ARGUMENTS', 'c.function.arguments|tojson')}{% endif %}{% endfor %}`,
      { toolCalls: true },
    ],
    ['reasoning', `${turns}{{ m.reasoning_content }}{% endfor %}`, { reasoning: true }],
    ['reasoning by another name', `${turns}{{ m.thinking }}{% endfor %}`, { reasoning: true }],
    ['a switch', `${turns}{% endfor %}{{ '<think></think>' if enable_thinking is false }}`, { thinkingSwitch: true }],
  ])('can be %s', (_, source, features) => {
    expect(templateOf(source).features).toEqual({ ...none, systemRole: true, ...features });
  });

  it('decides how it is asked', () => {
    const call: ChatMessage[] = [
      { role: 'user', content: 'Q' },
      { role: 'assistant', content: '', toolCalls: [{ id: 'call00001', name: 'f', arguments: { a: "it's" } }] },
      { role: 'tool', content: 'R', toolCallId: 'call00001' },
    ];
    const asText = `${turns}${calls.replace('ARGUMENTS', 'c.function.arguments')}{% endfor %}`;
    expect(templateOf(asText).render(call).text).toContain(`f({"a":"it's"})`);
    const asJson = `${turns}${calls.replace('ARGUMENTS', 'c.function.arguments|tojson')}{% endfor %}`;
    expect(templateOf(asJson).render(call).text).toContain(`f({"a": "it's"})`);
    const onlyNull = `{% for m in messages %}{% if m.content is none %}${calls.replace('ARGUMENTS', 'c.function.arguments|tojson')}{% else %}{{ m.content }}{% endif %}{% endfor %}`;
    expect(templateOf(onlyNull).render(call).text).toBe(`Qf({"a": "it's"})R`);
    const parts = '{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}';
    expect(templateOf(parts).render(call.slice(0, 1)).text).toBe('Q');
    const insists = `{% for t in tools %}{{ t.function.name }}{% endfor %}${turns}{% endfor %}`;
    expect(templateOf(insists).render(call.slice(0, 1)).text).toBe('user: Q\n');
  });

  it('does not hang on a template that is endless', () => {
    const endless =
      '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}{{ messages[0].content }}';
    expect(templateOf(endless).features).toEqual(none);
  });
});

describe('the switches of a request', () => {
  const tool: ToolDefinition = { name: 'find', description: 'Finds "it".', parameters: { type: 'object' } };
  const source = `{{ tools|tojson if tools else 'no tools' }} {{ enable_thinking is defined }} {{ enable_thinking }} {{ thinking }}`;
  const question: ChatMessage[] = [{ role: 'user', content: 'Q' }];
  it('reach the template', () => {
    const { render } = templateOf(source);
    expect(render(question).text).toBe('no tools False  ');
    expect(render(question, { thinking: false }).text).toBe('no tools True False False');
    expect(render(question, { tools: [tool], thinking: true }).text).toBe(
      '[{"type": "function", "function": {"name": "find", "description": "Finds \\"it\\".", "parameters": {"type": "object"}}}] True True True',
    );
  });
});

// From what the models' own pages say of them.
const known: [name: string, features: Partial<ChatFeatures>][] = [
  [
    'Qwen-Qwen3-0.6B',
    { systemRole: true, tools: true, toolCalls: true, parallelToolCalls: true, thinkingSwitch: true },
  ],
  [
    'Qwen-Qwen2.5-7B-Instruct',
    { systemRole: true, tools: true, toolCalls: true, reasoning: false, thinkingSwitch: false },
  ],
  ['meta-llama-Llama-3.1-8B-Instruct', { systemRole: true, tools: true, toolCalls: true, parallelToolCalls: false }],
  ['mistralai-Mistral-Nemo-Instruct-2407', { tools: true, toolCalls: true, parallelToolCalls: true }],
  ['google-gemma-2-2b-it', none],
  ['microsoft-Phi-3.5-mini-instruct', { ...none, systemRole: true }],
  ['GLM-4.6', { tools: true, toolCalls: true, reasoning: true, thinkingSwitch: true }],
  ['openai-gpt-oss-120b', { tools: true, toolCalls: true, parallelToolCalls: false, reasoning: true }],
  ['NousResearch-Hermes-3-Llama-3.1-8B-tool_use', { systemRole: true, tools: true, toolCalls: true }],
];

describe('a known template', () => {
  for (const [name, features] of known) {
    const file = new URL(`../../../shared/data/tokenizers/chat-templates/${name}.jinja`, import.meta.url);
    const isThere = existsSync(file);
    it.skipIf(!isThere)(isThere ? name : `${name} (skipped: ../shared/data is absent)`, () => {
      expect(templateOf(readFileSync(file, 'utf8')).features).toMatchObject(features);
    });
  }
});
