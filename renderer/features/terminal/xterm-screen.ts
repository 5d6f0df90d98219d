// A terminal's screen, drawn by xterm. The only import of it.
import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { type ITheme, Terminal } from '@xterm/xterm';
import type { Screen } from './screen.ts';

export interface XtermOptions {
  fontSize: number;
  copy: (text: string) => void;
}

const kScrollback = 5000;

export class XtermScreen implements Screen {
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #host: HTMLDivElement;
  #observer: ResizeObserver | null = null;
  readonly #themes: MutationObserver;

  constructor({ fontSize, copy }: XtermOptions) {
    const style = getComputedStyle(document.documentElement);
    this.#terminal = new Terminal({
      fontFamily: style.getPropertyValue('--font-code'),
      fontSize,
      lineHeight: 1.2,
      scrollback: kScrollback,
      theme: themeOf(style),
      // Also for colours that a program picks: the themes below are only a start.
      minimumContrastRatio: 4.5,
      // Lines are read out as they come, and can be reviewed.
      screenReaderMode: true,
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.attachCustomKeyEventHandler((event) => this.#key(event, copy));
    this.#host = document.createElement('div');
    this.#host.style.cssText = 'position: absolute; inset: 4px 0 0 8px';
    this.#themes = new MutationObserver(() => {
      this.#terminal.options.theme = themeOf(getComputedStyle(document.documentElement));
    });
    this.#themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  }

  get columns(): number {
    return this.#terminal.cols;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  write(text: string, done?: () => void): void {
    this.#terminal.write(text, done);
  }

  onInput(listener: (text: string) => void): void {
    this.#terminal.onData(listener);
  }

  onResize(listener: (size: { columns: number; rows: number }) => void): void {
    this.#terminal.onResize(({ cols: columns, rows }) => listener({ columns, rows }));
  }

  text(nLines: number): string {
    const selected = this.#terminal.getSelection();
    if (selected !== '') return selected;
    const { active } = this.#terminal.buffer;
    const end = active.baseY + active.cursorY + 1;
    const lines: string[] = [];
    for (let i = Math.max(0, end - nLines); i < end; i++) {
      const line = active.getLine(i);
      const text = line?.translateToString(true) ?? '';
      // A long line is one line, however many rows it takes.
      if (line?.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.join('\n').trim();
  }

  clear(): void {
    this.#terminal.clear();
  }

  focus(): void {
    this.#terminal.focus();
  }

  setFontSize(fontSize: number): void {
    this.#terminal.options.fontSize = fontSize;
    this.#fit.fit();
  }

  attach(host: HTMLElement | null): void {
    this.#observer?.disconnect();
    this.#observer = null;
    if (host === null) {
      this.#host.remove();
      return;
    }
    host.append(this.#host);
    if (this.#terminal.element === undefined) this.#terminal.open(this.#host);
    this.#terminal.textarea?.setAttribute('aria-label', 'Terminal input');
    this.#observer = new ResizeObserver(() => {
      // Without a size xterm would shrink to two columns, and every line would break.
      if (host.clientWidth > 0 && host.clientHeight > 0) this.#fit.fit();
    });
    this.#observer.observe(host);
  }

  dispose(): void {
    this.attach(null);
    this.#themes.disconnect();
    this.#terminal.dispose();
  }

  /** @return false to keep a key from the shell */
  #key(event: KeyboardEvent, copy: (text: string) => void): boolean {
    if (event.type !== 'keydown' || !event.ctrlKey || event.altKey) return true;
    const key = event.key.toLowerCase();
    if (key === 'v') return false; // pasted by the browser
    if (key !== 'c' || !(event.shiftKey || this.#terminal.hasSelection())) return true;
    copy(this.#terminal.getSelection());
    this.#terminal.clearSelection();
    event.preventDefault();
    return false;
  }
}

/** The sixteen colours as the window's themes have them; `minimumContrastRatio` mends what a program chooses. */
function themeOf(style: CSSStyleDeclaration): ITheme {
  const of = (name: string) => style.getPropertyValue(name).trim();
  const isLight = document.documentElement.dataset.theme === 'light';
  const colours = isLight
    ? ['#22282e', '#b3261e', '#2e6b1f', '#825200', '#1b5fa8', '#8a3a8f', '#0b7568', '#656d75']
    : ['#5c6670', '#ff8f87', '#8fce7a', '#e5b96f', '#7fb8f0', '#d79ae0', '#5ccab6', '#dde1e6'];
  const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const;
  const palette = names.flatMap((name, i) => [
    [name, colours[i]],
    [`bright${name[0]?.toUpperCase()}${name.slice(1)}`, colours[i]],
  ]);
  return {
    ...Object.fromEntries(palette),
    background: of('--bg-editor'),
    foreground: of('--text-primary'),
    cursor: of('--accent'),
    cursorAccent: of('--bg-editor'),
    selectionBackground: of('--bg-selected'),
  };
}
