// Which variable a name means. Jinja2 compiles templates to Python functions and decides this before it runs anything:
// a name that a scope sets is a variable of that scope from its beginning, filled from outside when the scope is
// entered. The rules are those of Jinja2's idtracking.py, because templates depend on them.
import type { Arguments, Expression, Statement, Target } from './nodes.ts';

/** What a variable holds when its scope is entered. */
export type Load =
  | { from: 'parameter' }
  /** The template's context: what the application passes, and globals. */
  | { from: 'context'; name: string }
  | { from: 'outer'; symbols: Symbols; ident: string }
  | { from: 'nothing' };

/** The variables of one Python function: slots by identifier, so that scopes of one level share them. */
export class FunctionScope {
  readonly outer: FunctionScope | null;
  readonly #slots = new Map<string, number>();
  constructor(outer: FunctionScope | null) {
    this.outer = outer;
  }
  slotOf(ident: string): number {
    const slot = this.#slots.get(ident) ?? this.#slots.size;
    this.#slots.set(ident, slot);
    return slot;
  }
}

/** The names of one scope. */
export class Symbols {
  readonly parent: Symbols | null;
  readonly scope: FunctionScope;
  readonly level: number;
  readonly stores = new Set<string>();
  readonly loads = new Map<string, Load>();
  readonly #refs = new Map<string, string>();
  /** In a branch of a condition: what the scope knew before it. */
  readonly #base: Symbols | null;

  constructor(parent: Symbols | null, scope: FunctionScope, base: Symbols | null = null) {
    this.parent = parent;
    this.scope = scope;
    this.#base = base;
    this.level = base ? base.level : parent ? parent.level + 1 : 0;
  }

  #ref(name: string): string | undefined {
    return this.#refs.get(name) ?? (this.#base ? this.#base.#ref(name) : undefined);
  }

  #isStored(name: string): boolean {
    return this.stores.has(name) || (this.#base ? this.#base.#isStored(name) : false);
  }

  /** The scope that knows a name, and the variable there. */
  find(name: string): { symbols: Symbols; ident: string } | null {
    const ident = this.#ref(name);
    return ident === undefined ? (this.parent?.find(name) ?? null) : { symbols: this, ident };
  }

  #define(name: string, load: Load): void {
    const ident = `${this.level}_${name}`;
    this.#refs.set(name, ident);
    this.loads.set(ident, load);
  }

  #outer(name: string): Load | null {
    const found = this.parent?.find(name);
    return found ? { from: 'outer', ...found } : null;
  }

  store(name: string): void {
    this.stores.add(name);
    if (this.#ref(name) === undefined) this.#define(name, this.#outer(name) ?? { from: 'nothing' });
  }

  parameter(name: string): void {
    this.stores.add(name);
    this.#define(name, { from: 'parameter' });
  }

  load(name: string): void {
    if (!this.find(name)) this.#define(name, { from: 'context', name });
  }

  #takeOver(branch: Symbols): void {
    for (const name of branch.stores) this.stores.add(name);
    for (const [ident, load] of branch.loads) this.loads.set(ident, load);
    for (const [name, ident] of branch.#refs) this.#refs.set(name, ident);
  }

  /** Runs visits as branches of a condition: what only some of them set keeps its outer value in the others. */
  branch(visits: ((symbols: Symbols) => void)[]): void {
    const branches = visits.map((visit) => {
      const branch = new Symbols(this.parent, this.scope, this);
      visit(branch);
      return branch;
    });
    const stored = new Set(branches.flatMap(({ stores }) => [...stores]).filter((name) => !this.#isStored(name)));
    for (const branch of branches) this.#takeOver(branch);
    for (const name of stored) {
      const ident = this.#ref(name);
      if (ident !== undefined) this.loads.set(ident, this.#outer(name) ?? { from: 'context', name });
    }
  }
}

/** Notes every name that an expression reads. */
export function visitExpression(node: Expression, symbols: Symbols): void {
  for (const child of childrenOf(node)) visitExpression(child, symbols);
  if (node.kind === 'name') symbols.load(node.name);
}

const argumentsOf = ({ args, keywords, dynamicArgs, dynamicKeywords }: Arguments): Expression[] => [
  ...args,
  ...keywords.map(({ value }) => value),
  ...(dynamicArgs ? [dynamicArgs] : []),
  ...(dynamicKeywords ? [dynamicKeywords] : []),
];

export function childrenOf(node: Expression): Expression[] {
  switch (node.kind) {
    case 'const':
    case 'name':
      return [];
    case 'tuple':
    case 'list':
      return node.items;
    case 'dict':
      return node.pairs.flatMap(({ key, value }) => [key, value]);
    case 'binary':
    case 'and':
    case 'or':
      return [node.left, node.right];
    case 'not':
    case 'sign':
    case 'attribute':
      return [node.value];
    case 'compare':
      return [node.first, ...node.rest.map(({ value }) => value)];
    case 'concat':
      return node.parts;
    case 'condition':
      return [node.test, node.then, ...(node.otherwise ? [node.otherwise] : [])];
    case 'item':
      return [node.value, node.key];
    case 'slice':
      return [node.value, node.start, node.stop, node.step].filter((part) => part !== null);
    case 'call':
      return [node.callee, ...argumentsOf(node)];
    case 'filter':
    case 'test':
      return [...(node.value ? [node.value] : []), ...argumentsOf(node)];
  }
}

export function visitTarget(target: Target, symbols: Symbols, as: 'store' | 'parameter' = 'store'): void {
  if (target.kind === 'targets') for (const item of target.items) visitTarget(item, symbols, as);
  else if (target.kind === 'namespace') symbols.load(target.name);
  else symbols[as](target.name);
}

/** Notes what a statement does to the scope it stands in; the scopes it opens are analysed when they are compiled. */
function visitStatement(node: Statement, symbols: Symbols): void {
  switch (node.kind) {
    case 'output':
      for (const part of node.parts) if (typeof part !== 'string') visitExpression(part, symbols);
      break;
    case 'set':
      visitExpression(node.value, symbols);
      visitTarget(node.target, symbols);
      break;
    case 'setBlock':
      if (node.filter) visitExpression(node.filter, symbols);
      visitTarget(node.target, symbols);
      break;
    case 'with':
      for (const value of node.values) visitExpression(value, symbols);
      break;
    case 'filterBlock':
      visitExpression(node.filter, symbols);
      break;
    case 'callBlock':
      visitExpression(node.call, symbols);
      break;
    case 'for':
      visitExpression(node.items, symbols);
      break;
    case 'if':
      visitIf(node.branches, node.otherwise, symbols);
      break;
    case 'macro':
      symbols.store(node.name);
      break;
    case 'load':
      visitExpression(node.template, symbols);
      for (const name of node.stores) symbols.store(name);
      break;
    case 'autoescape':
    case 'generation':
    case 'block':
    case 'break':
    case 'continue':
      break;
  }
}

type Branches = Extract<Statement, { kind: 'if' }>['branches'];

function visitIf([first, ...others]: Branches, otherwise: Statement[], symbols: Symbols): void {
  if (!first) return;
  visitExpression(first.test, symbols);
  symbols.branch([
    (branch) => visitAll(first.body, branch),
    (branch) => {
      for (const other of others) visitIf([other], [], branch);
    },
    (branch) => visitAll(otherwise, branch),
  ]);
}

export function visitAll(nodes: readonly Statement[], symbols: Symbols): void {
  for (const node of nodes) visitStatement(node, symbols);
}
