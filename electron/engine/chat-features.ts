// What a chat template can say, found out by rendering small conversations and looking for their words in the text.
// Templates come in hundreds of forms; what they make of a message is all that counts.
import type { ChatFeatures, ChatMessage, ChatOptions, ToolCall, ToolDefinition } from '../common/engine-contract.ts';
import { type MessageForm, usualForm } from './chat-messages.ts';

/** Renders in a form; null if the template refuses. */
export type Probe = (messages: readonly ChatMessage[], form: MessageForm, options?: ChatOptions) => string | null;

/** Words that no template writes of its own accord. */
const words = {
  question: 'Zorvexquestion',
  system: 'Zorvexsystem',
  tool: 'zorvex_tool',
  key: 'zorvex_key',
  value: 'Zorvexvalue',
  other: 'Zorvexother',
  result: 'Zorvexresult',
  reasoning: 'Zorvexreasoning',
};

const question: ChatMessage = { role: 'user', content: words.question };
const system: ChatMessage = { role: 'system', content: words.system };

const tools: ToolDefinition[] = [
  {
    name: words.tool,
    description: 'A tool.',
    parameters: {
      type: 'object',
      properties: { [words.key]: { type: 'string', description: 'A value.' } },
      required: [words.key],
    },
  },
];

const call = (id: string, value: string): ToolCall => ({ id, name: words.tool, arguments: { [words.key]: value } });

const calls = (...toolCalls: ToolCall[]): ChatMessage => ({
  role: 'assistant',
  content: '',
  reasoning: words.reasoning,
  toolCalls,
});
const result = (id: string): ChatMessage => ({ role: 'tool', content: words.result, toolCallId: id });

const oneCall = [question, calls(call('call00001', words.value)), result('call00001')];
const twoCalls = [
  question,
  calls(call('call00001', words.value), call('call00002', words.other)),
  result('call00001'),
  result('call00002'),
];

const holds = (text: string | null, ...sought: string[]): boolean =>
  text !== null && sought.every((word) => text.includes(word));

/** Finds out how a template wants its messages, and what of them it passes on. */
export function probeFeatures(probe: Probe): { form: MessageForm; features: ChatFeatures } {
  const plain = plainForms.find((form) => holds(probe([question], form), words.question)) ?? usualForm;
  const systemRole = holds(probe([system, question], plain), words.system, words.question);
  const spoken = { ...plain, systemRole };

  const calling = callForms(spoken).find((form) => isWellWritten(probe(oneCall, form, { tools }), form));
  const form = { ...spoken, ...calling };
  const thoughtful = reasoningForms(form).find((candidate) => writesReasoning(probe, candidate));

  const features: ChatFeatures = {
    systemRole,
    tools: holds(probe([question], form, { tools }), words.tool),
    toolCalls: calling !== undefined,
    parallelToolCalls:
      calling !== undefined && holds(probe(twoCalls, form, { tools }), words.value, words.other, words.result),
    reasoning: thoughtful !== undefined,
    thinkingSwitch: probe([question], form, { thinking: true }) !== probe([question], form, { thinking: false }),
  };
  return { form: thoughtful ?? form, features };
}

/** Some templates loop over a list of parts and find nothing in a text; some insist on a list of tools. */
const plainForms: MessageForm[] = [
  usualForm,
  { ...usualForm, content: 'parts' },
  { ...usualForm, noTools: [] },
  { ...usualForm, content: 'parts', noTools: [] },
];

const callForms = (form: MessageForm): MessageForm[] => [
  { ...form, arguments: 'object' },
  { ...form, arguments: 'json' },
  { ...form, arguments: 'object', callContent: null },
  { ...form, arguments: 'json', callContent: null },
];

/** Everything is there, and the arguments neither as Python writes a dict nor as JSON inside of JSON. */
function isWellWritten(text: string | null, form: MessageForm): boolean {
  const { key, value } = words;
  const badly = form.arguments === 'object' ? `{'${key}': '${value}'` : `\\"${key}\\":\\"${value}`;
  return holds(text, words.tool, words.value, words.result) && !holds(text, badly);
}

const reasoningForms = (form: MessageForm): MessageForm[] =>
  (['reasoning_content', 'thinking', 'reasoning'] as const).map((reasoning) => ({ ...form, reasoning }));

const answered: ChatMessage[] = [
  question,
  { role: 'assistant', content: 'Yes.', reasoning: words.reasoning },
  question,
];

function writesReasoning(probe: Probe, form: MessageForm): boolean {
  const options: ChatOptions[] = [{ tools }, { tools, thinking: true }];
  return options.some((option) =>
    [oneCall, answered].some((messages) => holds(probe(messages, form, option), words.reasoning)),
  );
}
