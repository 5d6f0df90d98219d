// A conversation is a tree: an edited question and another answer stand beside the earlier ones. What is shown is the
// path from the start to one leaf. Pure functions over the messages in the order in which they were made.
import type { StoredMessage } from '../../../electron/common/app-contract.ts';

type Messages = readonly StoredMessage[];

/** From before there were branches: such a message follows the one before it. */
export function withParents(messages: Messages): StoredMessage[] {
  return messages.map((message, i) =>
    message.parentId === undefined ? { ...message, parentId: messages[i - 1]?.id ?? null } : message,
  );
}

/** The messages from the start to `leafId`; without one, or with one that is gone, to the newest message. */
export function pathTo(messages: Messages, leafId: string | null): StoredMessage[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: StoredMessage[] = [];
  let at = (leafId === null ? undefined : byId.get(leafId)) ?? messages.at(-1);
  // A parent is always older, so damaged data cannot lead around in a circle.
  const seen = new Set<string>();
  while (at && !seen.has(at.id)) {
    seen.add(at.id);
    path.push(at);
    at = at.parentId ? byId.get(at.parentId) : undefined;
  }
  return path.reverse();
}

/** The end of the branch that goes on from a message: always to the newest reply. */
export function newestLeaf(messages: Messages, fromId: string): string {
  let leaf = fromId;
  for (const { id, parentId } of messages) if (parentId === leaf) leaf = newest(messages, leaf) ?? id;
  return leaf;
}

function newest(messages: Messages, parentId: string): string | undefined {
  return messages.findLast((message) => message.parentId === parentId)?.id;
}

/** For every message that has others in its place: all of them, oldest first. */
export function alternatives(messages: Messages): Map<string, readonly string[]> {
  const byParent = new Map<string, string[]>();
  for (const { id, parentId } of messages) {
    const list = byParent.get(parentId ?? '');
    if (list) list.push(id);
    else byParent.set(parentId ?? '', [id]);
  }
  const found = new Map<string, readonly string[]>();
  for (const list of byParent.values()) if (list.length > 1) for (const id of list) found.set(id, list);
  return found;
}
