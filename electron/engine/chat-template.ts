// A conversation as the model wants to read it: its own Jinja template, from the file's metadata. Both the template
// and the messages are untrusted text.
import { Template } from '@huggingface/jinja';
import { appError } from '../common/app-error.ts';
import type { ChatMessage } from '../common/engine-contract.ts';
import type { NativeModelInfo } from './native.d.ts';

export interface RenderedChat {
  text: string;
  /** Text that ends the reply, beside the model's end-of-text token. */
  stop: string[];
}

export type ChatRenderer = (messages: readonly ChatMessage[]) => RenderedChat;

type TemplateInfo = Pick<NativeModelInfo, 'chatTemplate' | 'bosText' | 'eosText' | 'name'>;

/** @throws TEMPLATE_FAILED if the file's template cannot be parsed */
export function createChatRenderer(info: TemplateInfo): ChatRenderer {
  if (info.chatTemplate === '') return renderTranscript;
  const template = guarded(info.name, () => new Template(info.chatTemplate));
  const render = (messages: readonly ChatMessage[]): string =>
    template.render({
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: true,
      bos_token: info.bosText,
      eos_token: info.eosText,
    });
  const stop = roleMarkers(render);
  return (messages) => {
    try {
      return { text: render(messages), stop };
    } catch (error) {
      // Several model families know no system message and raise; its text then leads the first question.
      if (messages[0]?.role !== 'system') throw templateFailed(info.name, error);
      return { text: guarded(info.name, () => render(foldSystem(messages))), stop };
    }
  };
}

/**
 * How the template marks whose turn it is: "<|user|>". In some models these are ordinary text, and a small model that
 * does not end its reply goes on with the next turn. Where they are control tokens, no text ever holds them.
 */
function roleMarkers(render: (messages: readonly ChatMessage[]) => string): string[] {
  const conversation: ChatMessage[] = [
    { role: 'user', content: '?' },
    { role: 'assistant', content: '!' },
    { role: 'user', content: '?' },
  ];
  const texts = [conversation, [{ role: 'system' as const, content: '.' }, ...conversation]].map((messages) => {
    try {
      return render(messages);
    } catch {
      return ''; // this template refuses such a conversation
    }
  });
  return [...new Set(texts.join('').match(/<\|[^|<>\s]{1,40}\|>/g))];
}

function foldSystem([system, first, ...rest]: readonly ChatMessage[]): ChatMessage[] {
  if (!system) return [];
  if (first?.role !== 'user') return [{ role: 'user', content: system.content }, ...(first ? [first] : []), ...rest];
  return [{ role: 'user', content: `${system.content}\n\n${first.content}` }, ...rest];
}

/** For a base model without a template: a plain transcript that it can continue. */
function renderTranscript(messages: readonly ChatMessage[]): RenderedChat {
  const names = { system: '', user: 'User: ', assistant: 'Assistant: ' };
  const lines = messages.map(({ role, content }) => `${names[role]}${content}\n\n`);
  return { text: `${lines.join('')}Assistant:`, stop: ['\nUser:'] };
}

function guarded<T>(name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw templateFailed(name, error);
  }
}

function templateFailed(name: string, error: unknown) {
  const detail = error instanceof Error ? error.message : String(error);
  return appError('TEMPLATE_FAILED', `The chat template of ${name} could not be applied to this conversation.`, {
    hint: 'Choose another model, or report the template below.',
    detail,
  });
}
