// What `set`, `for` and `with` assign to.
import { locate, outward } from './compile-expression.ts';
import type { Frame } from './frame.ts';
import { unpack } from './iteration.ts';
import type { Target } from './nodes.ts';
import { Namespace } from './objects.ts';
import { type Activation, runtimeError } from './runtime.ts';
import type { Value } from './values.ts';

export type Assign = (activation: Activation, value: Value) => void;

/** Python unpacks into several names at once. */
export function compileTarget(target: Target, frame: Frame): Assign {
  if (target.kind === 'targets') {
    const items = target.items.map((item) => compileTarget(item, frame));
    return (a, value) => {
      const values = unpack(value, items.length);
      items.forEach((assign, i) => {
        assign(a, values[i] as Value);
      });
    };
  }
  const { nHops, slot } = locate(frame.symbols, target.name);
  if (target.kind === 'namespace') {
    const { attribute } = target;
    return (a, value) => {
      const namespace = outward(a, nHops).slots[slot];
      if (namespace instanceof Namespace) namespace.attributes.set(attribute, value);
    };
  }
  const { name } = target;
  if (!frame.isTopLevel) {
    return ({ slots }, value) => {
      slots[slot] = value;
    };
  }
  return (a, value) => {
    a.slots[slot] = value;
    a.context.variables.set(name, value);
  };
}

/** `{% set a.b = c %}` needs a namespace, before anything is evaluated. */
export function compileNamespaceCheck(target: Target, frame: Frame): (activation: Activation) => void {
  const names = namespaceNames(target).map((name) => locate(frame.symbols, name));
  return (a) => {
    for (const { nHops, slot } of names) {
      if (!(outward(a, nHops).slots[slot] instanceof Namespace)) {
        throw runtimeError('cannot assign attribute on non-namespace object');
      }
    }
  };
}

function namespaceNames(target: Target): string[] {
  if (target.kind === 'targets') return target.items.flatMap(namespaceNames);
  return target.kind === 'namespace' ? [target.name] : [];
}
