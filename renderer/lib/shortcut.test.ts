import { describe, expect, it } from 'vitest';
import { acceleratorOf, type KeyStroke, matchesShortcut, shortcutKeys } from './shortcut.ts';

function stroke(key: string, held: Partial<KeyStroke> = {}): KeyStroke {
  return { key, code: '', ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held };
}

describe('matchesShortcut', () => {
  it('takes Control on Linux and Windows, Command on macOS', () => {
    expect(matchesShortcut(stroke('s', { ctrlKey: true }), 'CmdOrCtrl+S', false)).toBe(true);
    expect(matchesShortcut(stroke('s', { ctrlKey: true }), 'CmdOrCtrl+S', true)).toBe(false);
    expect(matchesShortcut(stroke('s', { metaKey: true }), 'CmdOrCtrl+S', true)).toBe(true);
  });

  it('wants exactly the modifiers that are written', () => {
    expect(matchesShortcut(stroke('P', { ctrlKey: true, shiftKey: true }), 'CmdOrCtrl+P', false)).toBe(false);
    expect(matchesShortcut(stroke('P', { ctrlKey: true, shiftKey: true }), 'CmdOrCtrl+Shift+P', false)).toBe(true);
  });

  it('falls back to the physical key on a layout without Latin letters', () => {
    expect(matchesShortcut(stroke('ы', { ctrlKey: true, code: 'KeyS' }), 'CmdOrCtrl+S', false)).toBe(true);
    expect(matchesShortcut(stroke('o', { ctrlKey: true, code: 'KeyS' }), 'CmdOrCtrl+S', false)).toBe(false);
  });

  it('takes plus for equals', () => {
    expect(matchesShortcut(stroke('+', { ctrlKey: true, shiftKey: true }), 'CmdOrCtrl+=', false)).toBe(true);
  });

  it('knows the arrows by their names in a menu', () => {
    const held = { ctrlKey: true, altKey: true };
    expect(matchesShortcut(stroke('ArrowRight', held), 'CmdOrCtrl+Alt+Right', false)).toBe(true);
    expect(matchesShortcut(stroke('ArrowLeft', held), 'CmdOrCtrl+Alt+Right', false)).toBe(false);
  });

  it('matches keys without modifiers', () => {
    expect(matchesShortcut(stroke('F6'), 'F6', false)).toBe(true);
    expect(matchesShortcut(stroke('F6', { shiftKey: true }), 'F6', false)).toBe(false);
  });
});

describe('shortcutKeys', () => {
  it('shows words on Linux and symbols on macOS', () => {
    expect(shortcutKeys('CmdOrCtrl+Shift+P', false)).toEqual(['Ctrl', 'Shift', 'P']);
    expect(shortcutKeys('CmdOrCtrl+Shift+P', true)).toEqual(['⇧', '⌘', 'P']);
  });
});

it('names the keys that are held so that they match themselves', () => {
  const stroke = (
    key: string,
    code: string,
    held: Partial<Record<'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey', true>>,
  ) => ({
    key,
    code,
    ctrlKey: false,
    metaKey: false,
    altKey: false,
    shiftKey: false,
    ...held,
  });
  const cases: [ReturnType<typeof stroke>, string | null][] = [
    [stroke('P', 'KeyP', { ctrlKey: true, shiftKey: true }), 'CmdOrCtrl+Shift+P'],
    [stroke('π', 'KeyP', { altKey: true }), 'Alt+P'],
    [stroke('F2', 'F2', {}), 'F2'],
    [stroke('ArrowUp', 'ArrowUp', { altKey: true }), 'Alt+Up'],
    [stroke('/', 'Slash', { ctrlKey: true }), 'CmdOrCtrl+/'],
    [stroke(' ', 'Space', { ctrlKey: true }), 'CmdOrCtrl+Space'],
    [stroke('p', 'KeyP', {}), null],
    [stroke('P', 'KeyP', { shiftKey: true }), null],
    [stroke('Control', 'ControlLeft', { ctrlKey: true }), null],
    [stroke('l', 'KeyL', { metaKey: true }), null],
  ];
  for (const [held, accelerator] of cases) {
    expect(acceleratorOf(held, false)).toBe(accelerator);
    if (accelerator !== null) expect(matchesShortcut(held, accelerator, false)).toBe(true);
  }
  expect(acceleratorOf(stroke('l', 'KeyL', { metaKey: true }), true)).toBe('CmdOrCtrl+L');
});
