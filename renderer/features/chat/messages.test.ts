import { describe, expect, it } from 'vitest';
import type { StoredMessage } from '../../../electron/common/app-contract.ts';
import { safeLink, shownQuestion, titleFrom, toChatMessages } from './messages.ts';

function message(role: 'user' | 'assistant', content: string): StoredMessage {
  return {
    id: content,
    role,
    content,
    status: 'complete',
    error: null,
    stats: null,
    reason: null,
    modelName: null,
    createdAtMs: 0,
  };
}

describe('toChatMessages', () => {
  it('puts the system prompt first, and none if it is blank', () => {
    expect(toChatMessages('Be brief.', [message('user', 'a')])[0]).toEqual({ role: 'system', content: 'Be brief.' });
    expect(toChatMessages('  ', [message('user', 'a')])).toEqual([{ role: 'user', content: 'a' }]);
  });

  it('alternates roles when a reply failed without text', () => {
    const turns = [message('user', 'a'), message('assistant', ''), message('user', 'b')];
    expect(toChatMessages('', turns)).toEqual([{ role: 'user', content: 'a\n\nb' }]);
  });

  it('leaves out a question that was too long, so that the next one can be asked', () => {
    const full = { code: 'CONTEXT_FULL', message: 'The message has 9,000 tokens.' } as const;
    const failed: StoredMessage = { ...message('assistant', ''), status: 'failed', error: full };
    const turns = [message('user', 'long'), failed, message('user', 'b')];
    expect(toChatMessages('', turns)).toEqual([{ role: 'user', content: 'b' }]);
    // Asked again it is the last: it goes to the model once more.
    expect(toChatMessages('', [message('user', 'long')])).toEqual([{ role: 'user', content: 'long' }]);
    const cut = { ...failed, content: 'The beginning' };
    expect(toChatMessages('', [message('user', 'a'), cut]).length).toBe(2);
  });

  it('keeps a partial reply', () => {
    const turns = [message('user', 'a'), message('assistant', 'par'), message('user', 'b')];
    expect(toChatMessages('', turns).map((turn) => turn.role)).toEqual(['user', 'assistant', 'user']);
  });

  it('gives back what was thought apart from what was answered, and no thought without an answer', () => {
    const turns = [message('user', 'a'), message('assistant', '<think>\nHm.\n</think>\n\nB'), message('user', 'c')];
    expect(toChatMessages('', turns)[1]).toEqual({ role: 'assistant', content: 'B', reasoning: 'Hm.' });
    const stopped = [message('user', 'a'), message('assistant', '<think>Hm'), message('user', 'c')];
    expect(toChatMessages('', stopped)).toEqual([{ role: 'user', content: 'a\n\nc' }]);
    const quoted = message('user', '<think>mine</think>');
    expect(toChatMessages('', [quoted])).toEqual([{ role: 'user', content: '<think>mine</think>' }]);
  });

  it('does not change its input', () => {
    const turns = [message('user', 'a'), message('user', 'b')];
    toChatMessages('', turns);
    expect(turns[0]?.content).toBe('a');
  });
});

it('shows the start of a question that is too long to be laid out', () => {
  expect(shownQuestion('short')).toBe('short');
  const shown = shownQuestion('x'.repeat(2_000_000));
  expect(shown.length).toBeLessThan(21_000);
  expect(shown).toMatch(/x…\n\n\(1.980.000 more characters\)$/);
});

describe('titleFrom', () => {
  it('takes the first line, cut at a word', () => {
    expect(titleFrom('  Why?\nBecause')).toBe('Why?');
    expect(titleFrom('word '.repeat(30)).length).toBeLessThanOrEqual(61);
    expect(titleFrom(' \n ')).toBe('New conversation');
  });
});

describe('safeLink', () => {
  it.each(['http://a.b', 'javascript:alert(1)', 'file:///etc/passwd', 'data:text/html,x', '/relative', 'vbscript:x'])(
    'refuses %j',
    (href) => {
      expect(safeLink(href)).toBeNull();
    },
  );

  it('allows https', () => {
    expect(safeLink('https://example.org/a?b#c')).toBe('https://example.org/a?b#c');
  });
});
