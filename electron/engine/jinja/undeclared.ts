// Whether a body reads one of the names that Jinja2 provides on demand: loop, caller, varargs, kwargs, self, super.
import type { Expression, Statement, Target } from './nodes.ts';
import { childrenOf } from './symbols.ts';

/**
 * The names that are read before anything in the body sets them, nested scopes included, in the order of the text
 * (UndeclaredNameVisitor in Jinja2's compiler.py).
 */
export function undeclared(body: readonly Statement[], names: readonly string[]): Set<string> {
  const open = new Set(names);
  const found = new Set<string>();

  const expression = (node: Expression | null): void => {
    if (!node) return;
    for (const child of childrenOf(node)) expression(child);
    if (node.kind === 'name' && open.has(node.name)) found.add(node.name);
  };
  const target = (node: Target): void => {
    if (node.kind === 'targets') node.items.forEach(target);
    else if (node.kind === 'name') open.delete(node.name);
  };
  const statement = (node: Statement): void => {
    switch (node.kind) {
      case 'output':
        for (const part of node.parts) if (typeof part !== 'string') expression(part);
        break;
      case 'set':
        target(node.target);
        expression(node.value);
        break;
      case 'setBlock':
        target(node.target);
        expression(node.filter);
        node.body.forEach(statement);
        break;
      case 'with':
        node.targets.forEach(target);
        node.values.forEach(expression);
        node.body.forEach(statement);
        break;
      case 'filterBlock':
        node.body.forEach(statement);
        expression(node.filter);
        break;
      case 'for':
        target(node.target);
        expression(node.items);
        node.body.forEach(statement);
        node.otherwise.forEach(statement);
        expression(node.test);
        break;
      case 'if':
        for (const branch of node.branches) {
          expression(branch.test);
          branch.body.forEach(statement);
        }
        node.otherwise.forEach(statement);
        break;
      case 'macro':
        node.parameters.forEach(target);
        node.defaults.forEach(expression);
        node.body.forEach(statement);
        break;
      case 'callBlock':
        expression(node.call);
        node.parameters.forEach(target);
        node.defaults.forEach(expression);
        node.body.forEach(statement);
        break;
      case 'autoescape':
        expression(node.value);
        node.body.forEach(statement);
        break;
      case 'generation':
        node.body.forEach(statement);
        break;
      case 'load':
        expression(node.template);
        break;
      case 'block':
      case 'break':
      case 'continue':
        break;
    }
  };
  body.forEach(statement);
  return found;
}
