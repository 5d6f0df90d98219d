// A parsed template → a function that renders it. Each statement becomes a closure; which variable a name means is
// decided here, once (symbols.ts).
import { locate } from './compile-expression.ts';
import { compileBody } from './compile-statement.ts';
import { TemplateError } from './errors.ts';
import { compileEntry, type Frame, type TemplateScope } from './frame.ts';
import type { BlockNode, Statement } from './nodes.ts';
import { Activation, type Builtin, type Context, Output, type Runtime } from './runtime.ts';
import { FunctionScope, Symbols, visitAll } from './symbols.ts';
import { undeclared } from './undeclared.ts';
import { Callable, PyObject, Undefined, type Value } from './values.ts';

export type Render = (runtime: Runtime, context: Context) => string;

export function compile(
  body: readonly Statement[],
  filters: ReadonlyMap<string, Builtin>,
  tests: ReadonlyMap<string, Builtin>,
): Render {
  const template: TemplateScope = { blocks: new Map() };
  const blocks = findBlocks(body);
  const function_ = (statements: readonly Statement[], isTopLevel: boolean) => {
    const scope = new FunctionScope(null);
    const symbols = new Symbols(null, scope);
    const special = undeclared(statements, isTopLevel ? ['self'] : ['self', 'super']);
    for (const name of special) symbols.parameter(name);
    visitAll(statements, symbols);
    const frame: Frame = {
      template,
      symbols,
      isTopLevel,
      isInLoop: false,
      isConditional: false,
      autoescape: false,
      collectedSlot: null,
      filters,
      tests,
    };
    const execute = compileBody(statements, frame);
    const enter = compileEntry(symbols);
    return (runtime: Runtime, context: Context, output: Output) => {
      const activation = new Activation(runtime, context, null);
      for (const name of special) activation.slots[locate(symbols, name).slot] = specialValue(name, runtime, context);
      enter(activation);
      execute(activation, output);
    };
  };
  const specialValue = (name: string, runtime: Runtime, context: Context): Value =>
    name === 'self'
      ? templateReference(template, runtime, context)
      : new Undefined({ hint: 'there is no parent block.' });
  const root = function_(body, true);
  for (const [name, block] of blocks) template.blocks.set(name, function_(block.body, false));
  return (runtime, context) => {
    const output = new Output(runtime.budget);
    root(runtime, context, output);
    return output.text;
  };
}

/** `self`: its items render the template's blocks. */
class TemplateReference extends PyObject {
  readonly typeName = 'TemplateReference';
  override readonly module = 'jinja2.runtime';
  readonly #blocks: ReadonlyMap<string, Value>;
  constructor(blocks: ReadonlyMap<string, Value>) {
    super();
    this.#blocks = blocks;
  }
  item(key: Value): Value | undefined {
    return typeof key === 'string' ? this.#blocks.get(key) : undefined;
  }
  repr(): string {
    return '<TemplateReference None>';
  }
}

function templateReference({ blocks }: TemplateScope, runtime: Runtime, context: Context): Value {
  const found = new Map<string, Value>();
  for (const [name, render] of blocks) {
    const call = () => {
      const output = new Output(runtime.budget);
      runtime.budget.nested(() => render(runtime, context, output));
      return output.text;
    };
    found.set(name, new Callable(name, call, 'BlockReference'));
  }
  return new TemplateReference(found);
}

/** Every block of a template, wherever it stands. */
function findBlocks(body: readonly Statement[], found = new Map<string, BlockNode>()): Map<string, BlockNode> {
  for (const node of body) {
    if (node.kind === 'block') {
      if (found.has(node.name)) {
        throw new TemplateError('TemplateAssertionError', `block '${node.name}' defined twice`, node.line);
      }
      found.set(node.name, node);
    }
    if (node.kind === 'if') for (const branch of node.branches) findBlocks(branch.body, found);
    if ('otherwise' in node) findBlocks(node.otherwise, found);
    if ('body' in node) findBlocks(node.body, found);
  }
  return found;
}
