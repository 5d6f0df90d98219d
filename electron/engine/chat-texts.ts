// The texts of a conversation that others wrote: what the user, files, tools and servers say. They are data, whatever
// they look like; roles and ids are of a form that no special token has.
import type { ChatMessage, ChatOptions } from '../common/engine-contract.ts';

export interface Untrusted {
  messages: readonly ChatMessage[];
  options: ChatOptions;
}

/** Changes every text, the names of properties included. */
export function mapTexts({ messages, options }: Untrusted, change: (text: string) => string): Untrusted {
  const { tools } = options;
  return {
    messages: messages.map((message) => mapMessage(message, change)),
    options: {
      ...options,
      ...(tools === undefined
        ? {}
        : {
            tools: tools.map(({ name, description, parameters }) => ({
              name: change(name),
              description: change(description),
              parameters: mapJson(parameters, change),
            })),
          }),
    },
  };
}

function mapMessage(message: ChatMessage, change: (text: string) => string): ChatMessage {
  const { content, reasoning, toolCalls } = message;
  return {
    ...message,
    content: change(content),
    ...(reasoning === undefined ? {} : { reasoning: change(reasoning) }),
    ...(toolCalls === undefined
      ? {}
      : {
          toolCalls: toolCalls.map((call) => ({
            id: call.id,
            name: change(call.name),
            arguments: mapJson(call.arguments, change),
          })),
        }),
  };
}

function mapJson<T>(value: T, change: (text: string) => string): T {
  const mapped = (child: unknown): unknown => {
    if (typeof child === 'string') return change(child);
    if (Array.isArray(child)) return child.map(mapped);
    if (typeof child !== 'object' || child === null) return child;
    return Object.fromEntries(Object.entries(child).map(([key, item]) => [change(key), mapped(item)]));
  };
  return mapped(value) as T;
}

export function textsOf(untrusted: Untrusted): string[] {
  const texts: string[] = [];
  mapTexts(untrusted, (text) => {
    texts.push(text);
    return text;
  });
  return texts;
}
