// A conversation as the model wants to read it: its own Jinja template, from the file's metadata. Both the template
// and the messages are untrusted text.
import { appError } from '../common/app-error.ts';
import type { ChatFeatures, ChatMessage, ChatOptions } from '../common/engine-contract.ts';
import { probeFeatures } from './chat-features.ts';
import { type MessageForm, toTemplateMessages, toTemplateTools } from './chat-messages.ts';
import { defaultLimits, type Limits } from './jinja/budget.ts';
import { TemplateError } from './jinja/errors.ts';
import { Template } from './jinja/template.ts';
import type { NativeModelInfo } from './native.d.ts';

export interface RenderedChat {
  text: string;
  /** Text that ends the reply, beside the model's end-of-text token. */
  stop: string[];
}

/** @throws TEMPLATE_FAILED if the template refuses the conversation */
export type ChatRenderer = (messages: readonly ChatMessage[], options?: ChatOptions) => RenderedChat;

export interface ChatTemplate {
  render: ChatRenderer;
  features: ChatFeatures;
}

type TemplateInfo = Pick<NativeModelInfo, 'chatTemplate' | 'bosText' | 'eosText' | 'name'>;

/** Probes are tiny; a hostile template must not take its full budget for each of them. */
const probeLimits: Limits = { ...defaultLimits, nSteps: 500_000, nText: 2 ** 20, nTextTotal: 2 ** 23 };

/** @throws TEMPLATE_FAILED if the file's template cannot be parsed */
export function createChatTemplate(info: TemplateInfo): ChatTemplate {
  if (info.chatTemplate === '') return transcript;
  const template = guarded(info.name, () => new Template(info.chatTemplate));
  const apply = (messages: readonly ChatMessage[], form: MessageForm, options: ChatOptions = {}, limits?: Limits) =>
    template.render(variables(info, messages, form, options), limits ? { limits } : {});
  const probe = (...[messages, form, options]: Parameters<typeof apply>): string | null => {
    try {
      return apply(messages, form, options, probeLimits);
    } catch (error) {
      if (error instanceof TemplateError) return null; // this template refuses such a conversation
      throw error;
    }
  };
  const { form, features } = probeFeatures(probe);
  const stop = roleMarkers((messages) => probe(messages, form));
  const render: ChatRenderer = (messages, options) => ({
    text: guarded(info.name, () => apply(messages, form, options)),
    stop,
  });
  return { render, features };
}

/** What Hugging Face transformers passes: `documents` is there even if there are none. */
function variables(
  { bosText, eosText }: TemplateInfo,
  messages: readonly ChatMessage[],
  form: MessageForm,
  { tools, thinking }: ChatOptions,
): Record<string, unknown> {
  return {
    messages: toTemplateMessages(messages, form),
    tools: toTemplateTools(tools, form),
    documents: null,
    add_generation_prompt: true,
    bos_token: bosText,
    eos_token: eosText,
    // The two names that model families agree on.
    enable_thinking: thinking,
    thinking,
  };
}

/**
 * How the template marks whose turn it is: "<|user|>". In some models these are ordinary text, and a small model that
 * does not end its reply goes on with the next turn. Where they are control tokens, no text ever holds them.
 */
function roleMarkers(render: (messages: readonly ChatMessage[]) => string | null): string[] {
  const conversation: ChatMessage[] = [
    { role: 'user', content: '?' },
    { role: 'assistant', content: '!' },
    { role: 'user', content: '?' },
  ];
  const texts = [conversation, [{ role: 'system' as const, content: '.' }, ...conversation]].map(render);
  return [...new Set(texts.join('').match(/<\|[^|<>\s]{1,40}\|>/g))];
}

/** For a base model without a template: a plain transcript that it can continue. */
const transcript: ChatTemplate = {
  render: (messages) => {
    const names = { system: '', user: 'User: ', assistant: 'Assistant: ', tool: 'Tool: ' };
    const lines = messages.map(({ role, content }) => `${names[role]}${content}\n\n`);
    return { text: `${lines.join('')}Assistant:`, stop: ['\nUser:'] };
  },
  features: {
    systemRole: true,
    tools: false,
    toolCalls: false,
    parallelToolCalls: false,
    reasoning: false,
    thinkingSwitch: false,
  },
};

function guarded<T>(name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const where = error.line === null ? '' : ` (line ${error.line})`;
    throw appError('TEMPLATE_FAILED', `The chat template of ${name} could not be applied to this conversation.`, {
      hint: 'Choose another model, or report the template below.',
      detail: `${error.message}${where}`,
    });
  }
}
