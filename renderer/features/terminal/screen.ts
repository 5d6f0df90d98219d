// What a terminal needs of the thing that draws it. xterm implements it (xterm-screen.ts); tests use a fake.

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** `done` is called when the text is drawn. */
  write(text: string, done?: () => void): void;
  onInput(listener: (text: string) => void): void;
  onResize(listener: (size: { columns: number; rows: number }) => void): void;
  /** What is selected, or else the last lines. */
  text(nLines: number): string;
  clear(): void;
  focus(): void;
  /** Puts it into an element, or takes it out of the page; what it shows stays. */
  attach(host: HTMLElement | null): void;
  dispose(): void;
}
