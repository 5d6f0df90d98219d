// Messages of the contract in the form that chat templates read: the one of the OpenAI API, with the shapes a
// template wants its contents and arguments in.
import type { ChatMessage, ToolCall, ToolDefinition } from '../common/engine-contract.ts';

/** Forms that differ between templates. */
export interface MessageForm {
  content: 'text' | 'parts';
  /** A call's arguments as an object, or as JSON. */
  arguments: 'object' | 'json';
  /** What a message holds that only calls tools. */
  callContent: '' | null;
  reasoning: 'reasoning_content' | 'thinking' | 'reasoning';
  /** Whether a system message has a role of its own. */
  systemRole: boolean;
  /** What `tools` is if there are none. */
  noTools: null | [];
}

/** That of Hugging Face transformers. */
export const usualForm: MessageForm = {
  content: 'text',
  arguments: 'object',
  callContent: '',
  reasoning: 'reasoning_content',
  systemRole: true,
  noTools: null,
};

/** `messages` of a template. */
export function toTemplateMessages(messages: readonly ChatMessage[], form: MessageForm): Record<string, unknown>[] {
  const names = new Map<string, string>();
  return (form.systemRole ? messages : foldSystem(messages)).map((message) => {
    const { role, reasoning, toolCalls, toolCallId } = message;
    for (const { id, name } of toolCalls ?? []) names.set(id, name);
    return {
      role,
      content: toContent(message, form),
      ...(reasoning === undefined ? {} : { [form.reasoning]: reasoning }),
      ...(toolCalls?.length ? { tool_calls: toolCalls.map((call) => toTemplateCall(call, form)) } : {}),
      ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId, name: names.get(toolCallId) }),
    };
  });
}

function toContent({ content, toolCalls }: ChatMessage, form: MessageForm): unknown {
  if (content === '' && toolCalls?.length) return form.callContent;
  return form.content === 'text' ? content : [{ type: 'text', text: content }];
}

function toTemplateCall({ id, name, ...call }: ToolCall, form: MessageForm) {
  const given = form.arguments === 'object' ? call.arguments : JSON.stringify(call.arguments);
  return { id, type: 'function', function: { name, arguments: given } };
}

/** `tools` of a template. */
export function toTemplateTools(tools: readonly ToolDefinition[] | undefined, form: MessageForm) {
  if (!tools?.length) return form.noTools;
  return tools.map(({ name, description, parameters }) => ({
    type: 'function',
    function: { name, description, parameters },
  }));
}

/** For templates that know no system message: its text leads the first question. */
function foldSystem(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const [system, first, ...rest] = messages;
  if (system?.role !== 'system') return messages;
  if (first?.role !== 'user') return [{ role: 'user', content: system.content }, ...(first ? [first] : []), ...rest];
  return [{ role: 'user', content: `${system.content}\n\n${first.content}` }, ...rest];
}
