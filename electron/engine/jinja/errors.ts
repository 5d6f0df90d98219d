// What can go wrong in a template, named as Python and Jinja2 name it, so that messages read as in the reference.

export type ErrorType =
  // Jinja2's own.
  | 'TemplateSyntaxError'
  | 'TemplateAssertionError'
  | 'TemplateRuntimeError'
  | 'TemplateNotFound'
  | 'UndefinedError'
  | 'SecurityError'
  | 'FilterArgumentError'
  /** The template itself refuses: `raise_exception`. */
  | 'TemplateError'
  // Python's.
  | 'AssertionError'
  | 'AttributeError'
  | 'IndexError'
  | 'KeyError'
  | 'OverflowError'
  | 'RecursionError'
  | 'RuntimeError'
  | 'SyntaxError'
  | 'TypeError'
  | 'ValueError'
  | 'ZeroDivisionError'
  // Ours.
  /** Too many steps, too much text, nested too deeply. */
  | 'BudgetError'
  /** Part of Jinja2 that we leave out; docs/templates.md lists them. */
  | 'UnsupportedError';

export class TemplateError extends Error {
  readonly type: ErrorType;
  /** Line of the template, from 1; null until it is known. */
  line: number | null;

  constructor(type: ErrorType, message: string, line: number | null = null) {
    super(message);
    this.name = 'TemplateError';
    this.type = type;
    this.line = line;
  }
}

export const typeError = (message: string) => new TemplateError('TypeError', message);
export const valueError = (message: string) => new TemplateError('ValueError', message);
export const syntaxError = (message: string, line: number) => new TemplateError('TemplateSyntaxError', message, line);
export const unsupported = (what: string) => new TemplateError('UnsupportedError', `${what} is not supported here.`);
