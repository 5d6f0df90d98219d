// The syntax tree of a template. `line` counts from 1.

interface At {
  line: number;
}

export type BinaryNode = At & {
  kind: 'binary';
  operator: '+' | '-' | '*' | '/' | '//' | '%' | '**';
  left: Expression;
  right: Expression;
};
export type CompareOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

/** Arguments of a call, a filter or a test. */
export interface Arguments {
  args: Expression[];
  keywords: { key: string; value: Expression }[];
  /** *args and **keywords */
  dynamicArgs: Expression | null;
  dynamicKeywords: Expression | null;
}

export type NameNode = At & { kind: 'name'; name: string };
export type CallNode = At & { kind: 'call'; callee: Expression } & Arguments;
/** `value` is null in a filter block. */
export type FilterNode = At & { kind: 'filter'; value: Expression | null; name: string } & Arguments;
export type TestNode = At & { kind: 'test'; value: Expression; name: string } & Arguments;

export type Expression =
  | (At & { kind: 'const'; value: null | boolean | bigint | number | string })
  | NameNode
  | (At & { kind: 'tuple' | 'list'; items: Expression[] })
  | (At & { kind: 'dict'; pairs: { key: Expression; value: Expression }[] })
  | BinaryNode
  | (At & { kind: 'and' | 'or'; left: Expression; right: Expression })
  | (At & { kind: 'not'; value: Expression })
  | (At & { kind: 'sign'; operator: '-' | '+'; value: Expression })
  | (At & { kind: 'compare'; first: Expression; rest: { operator: CompareOperator; value: Expression }[] })
  | (At & { kind: 'concat'; parts: Expression[] })
  | (At & { kind: 'condition'; test: Expression; then: Expression; otherwise: Expression | null })
  | (At & { kind: 'attribute'; value: Expression; name: string })
  | (At & { kind: 'item'; value: Expression; key: Expression })
  | (At & {
      kind: 'slice';
      value: Expression;
      start: Expression | null;
      stop: Expression | null;
      step: Expression | null;
    })
  | CallNode
  | FilterNode
  | TestNode;

/** What can be assigned to. */
export type Target =
  | NameNode
  | (At & { kind: 'namespace'; name: string; attribute: string })
  | (At & { kind: 'targets'; items: Target[] });

export type MacroNode = At & {
  kind: 'macro';
  name: string;
  parameters: NameNode[];
  /** Of the last parameters. */
  defaults: Expression[];
  body: Statement[];
};
export type CallBlockNode = At & {
  kind: 'callBlock';
  call: CallNode;
  parameters: NameNode[];
  defaults: Expression[];
  body: Statement[];
};
export type ForNode = At & {
  kind: 'for';
  target: Target;
  items: Expression;
  body: Statement[];
  otherwise: Statement[];
  test: Expression | null;
  isRecursive: boolean;
};
export type IfNode = At & { kind: 'if'; branches: { test: Expression; body: Statement[] }[]; otherwise: Statement[] };
export type BlockNode = At & { kind: 'block'; name: string; isScoped: boolean; isRequired: boolean; body: Statement[] };

export type Statement =
  | (At & { kind: 'output'; parts: (string | Expression)[] })
  | (At & { kind: 'set'; target: Target; value: Expression })
  | (At & { kind: 'setBlock'; target: Target; filter: FilterNode | null; body: Statement[] })
  | (At & { kind: 'with'; targets: Target[]; values: Expression[]; body: Statement[] })
  | (At & { kind: 'filterBlock'; filter: FilterNode; body: Statement[] })
  | (At & { kind: 'autoescape'; value: Expression; body: Statement[] })
  /** {% generation %}: a body that runs as a function, with no meaning for the text. */
  | (At & { kind: 'generation'; body: Statement[] })
  | (At & { kind: 'break' | 'continue' })
  /** Needs another template; there is none. */
  | (At & { kind: 'load'; template: Expression; stores: string[] })
  | ForNode
  | IfNode
  | MacroNode
  | CallBlockNode
  | BlockNode;
