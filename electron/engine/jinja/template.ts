// Jinja2 as Hugging Face transformers sets it up for chat templates: a sandbox that changes nothing, blocks trimmed,
// break and continue. docs/templates.md says how it is checked and what is left out.
import { Budget, defaultLimits, type Limits } from './budget.ts';
import { compile, type Render } from './compile.ts';
import { TemplateError } from './errors.ts';
import { filters } from './filters.ts';
import { globals } from './globals.ts';
import { parse } from './parser.ts';
import { Context, Runtime } from './runtime.ts';
import { tests } from './tests.ts';
import { fromJson } from './values.ts';

export interface RenderOptions {
  /** What `strftime_now` says; the present by default. */
  now?: Date;
  limits?: Limits;
}

/** Longest template that is compiled. The longest known one has 17,000 characters. */
const maxLength = 1_000_000;

export class Template {
  readonly #render: Render;

  /** @throws TemplateError with the line, if the text is no template */
  constructor(source: string) {
    this.#render = guarded(() => {
      if (source.length > maxLength) {
        throw new TemplateError('BudgetError', `The template has more than ${maxLength} characters.`);
      }
      return compile(parse(source), filters, tests);
    });
  }

  /**
   * @param variables data as JSON has it; undefined properties count as absent
   * @throws TemplateError with the line
   */
  render(
    variables: Readonly<Record<string, unknown>>,
    { now = new Date(), limits = defaultLimits }: RenderOptions = {},
  ): string {
    const runtime = new Runtime(new Budget(limits), now, filters, tests);
    return guarded(() => {
      const given = Object.entries(variables).filter(([, value]) => value !== undefined);
      const context = new Map(globals(runtime));
      for (const [name, value] of given) context.set(name, fromJson(value));
      return this.#render(runtime, new Context(context));
    }, runtime);
  }
}

/** Nothing but a TemplateError comes out of a template, with the line it happened on. */
function guarded<T>(body: () => T, runtime?: Runtime): T {
  try {
    return body();
  } catch (error) {
    const known = toTemplateError(error);
    if (known instanceof TemplateError) known.line ??= runtime?.line ?? null;
    throw known;
  }
}

function toTemplateError(error: unknown): unknown {
  // A template can make a generator read itself.
  if (error instanceof TypeError && error.message.includes('already running')) {
    return new TemplateError('ValueError', 'generator already executing');
  }
  if (!(error instanceof RangeError)) return error;
  // What our own limits did not foresee: V8 ran out of stack, or a text would be longer than it can be.
  return error.message.includes('call stack')
    ? new TemplateError('RecursionError', 'maximum recursion depth exceeded')
    : new TemplateError('BudgetError', `The template goes beyond what can be held: ${error.message}.`);
}
