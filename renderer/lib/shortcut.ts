// Electron accelerators ("CmdOrCtrl+Shift+P") matched against key events and shown in the platform's way.

export interface KeyStroke {
  key: string;
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

interface Shortcut {
  key: string;
  ctrl: boolean;
  meta: boolean;
  alt: boolean;
  shift: boolean;
}

/** Parses an accelerator; the last part is the key, the others are modifiers. */
function parse(accelerator: string, isMac: boolean): Shortcut {
  const parts = accelerator.split('+');
  const shortcut: Shortcut = { key: parts.at(-1) ?? '', ctrl: false, meta: false, alt: false, shift: false };
  for (const part of parts.slice(0, -1)) {
    if (part === 'CmdOrCtrl') shortcut[isMac ? 'meta' : 'ctrl'] = true;
    else if (part === 'Ctrl') shortcut.ctrl = true;
    else if (part === 'Alt') shortcut.alt = true;
    else if (part === 'Shift') shortcut.shift = true;
  }
  return shortcut;
}

function keyMatches(stroke: KeyStroke, key: string): boolean {
  if (stroke.key.toLowerCase() === key.toLowerCase()) return true;
  // With Control or Alt held some layouts report no letter; the physical key then decides.
  if (/^[A-Z]$/.test(key)) return stroke.code === `Key${key}` && !/^[a-z]$/i.test(stroke.key);
  if (/^[0-9]$/.test(key)) return stroke.code === `Digit${key}`;
  if (/^(?:Up|Down|Left|Right)$/.test(key)) return stroke.key === `Arrow${key}`;
  if (key === '\\') return stroke.code === 'Backslash';
  if (key === '`') return stroke.code === 'Backquote';
  if (key === 'Space') return stroke.key === ' ';
  // "Ctrl+=" is meant as "Ctrl++" too, which needs Shift on most layouts.
  return key === '=' && stroke.key === '+';
}

/** Keys that have a name of their own in an accelerator. */
const kNamed: Readonly<Record<string, string>> = {
  ArrowUp: 'Up',
  ArrowDown: 'Down',
  ArrowLeft: 'Left',
  ArrowRight: 'Right',
  Enter: 'Enter',
  Tab: 'Tab',
  ' ': 'Space',
  Home: 'Home',
  End: 'End',
  PageUp: 'PageUp',
  PageDown: 'PageDown',
  Delete: 'Delete',
  Insert: 'Insert',
};

/**
 * The accelerator for the keys that are held, as far as a command may have it: with Control, Alt or Command, or a function
 * key. Null for others, and while only modifiers are held.
 */
export function acceleratorOf(stroke: KeyStroke, isMac: boolean): string | null {
  const code = /^(?:Key([A-Z])|Digit(\d))$/.exec(stroke.code);
  const printed = /^[!-~]$/.test(stroke.key) && stroke.key !== '+' ? stroke.key.toUpperCase() : undefined;
  const key = /^F\d{1,2}$/.test(stroke.key) ? stroke.key : (code?.[1] ?? code?.[2] ?? kNamed[stroke.key] ?? printed);
  const isFunction = /^F\d/.test(key ?? '');
  const primary = isMac ? stroke.metaKey : stroke.ctrlKey;
  if (key === undefined || !(isFunction || primary || stroke.altKey || (isMac && stroke.ctrlKey))) return null;
  if (!isMac && stroke.metaKey) return null; // the window manager's
  const parts = [
    primary ? 'CmdOrCtrl' : '',
    isMac && stroke.ctrlKey ? 'Ctrl' : '',
    stroke.altKey ? 'Alt' : '',
    stroke.shiftKey ? 'Shift' : '',
  ].filter(Boolean);
  return [...parts, key].join('+');
}

export function matchesShortcut(stroke: KeyStroke, accelerator: string, isMac: boolean): boolean {
  const shortcut = parse(accelerator, isMac);
  const isPlus = shortcut.key === '=' && stroke.key === '+';
  return (
    stroke.ctrlKey === shortcut.ctrl &&
    stroke.metaKey === shortcut.meta &&
    stroke.altKey === shortcut.alt &&
    (isPlus || stroke.shiftKey === shortcut.shift) &&
    keyMatches(stroke, shortcut.key)
  );
}

/** The keys to show, one per cap: ["Ctrl", "Shift", "P"] or ["⇧", "⌘", "P"]. */
export function shortcutKeys(accelerator: string, isMac: boolean): string[] {
  const { key, ctrl, meta, alt, shift } = parse(accelerator, isMac);
  const names = isMac
    ? { ctrl: '⌃', alt: '⌥', shift: '⇧', meta: '⌘' }
    : { ctrl: 'Ctrl', alt: 'Alt', shift: 'Shift', meta: 'Win' };
  return [ctrl ? names.ctrl : '', alt ? names.alt : '', shift ? names.shift : '', meta ? names.meta : '', key].filter(
    Boolean,
  );
}
