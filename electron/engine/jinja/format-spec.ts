// format(value, specification): the mini-language after the colon of str.format().
// https://docs.python.org/3.11/library/string.html#format-specification-mini-language
import type { Budget } from './budget.ts';
import { lengthOf, slicePoints } from './code-points.ts';
import { TemplateError, typeError, valueError } from './errors.ts';
import { formatFloat, group } from './number-format.ts';
import { floatOf, floatRepr } from './numbers.ts';
import { str } from './printing.ts';
import { intOf, numberOf, textOf, typeName, type Value } from './values.ts';

interface Spec {
  fill: string;
  align: string;
  sign: string;
  alternate: boolean;
  width: number;
  grouping: string;
  /** Negative zero prints without its sign. */
  unsignedZero: boolean;
  precision: number | null;
  kind: string;
}

const pattern =
  /^(?:(?<fill>.)?(?<align>[<>=^]))?(?<sign>[-+ ])?(?<z>z)?(?<alternate>#)?(?<zero>0)?(?<width>\d+)?(?<grouping>[,_])?(?:\.(?<precision>\d+))?(?<kind>.)?$/su;

export function format(value: Value, spec: string, budget: Budget): string {
  if (spec === '') return str(value, budget);
  const text = textOf(value);
  const number = typeof value === 'number' ? value : intOf(value);
  if (text === null && number === null) {
    throw typeError(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const groups = pattern.exec(spec)?.groups;
  if (!groups) throw valueError(`Invalid format specifier`);
  const zero = groups.zero !== undefined;
  const options: Spec = {
    fill: groups.fill ?? (zero ? '0' : ' '),
    align: groups.align ?? (zero && text === null ? '=' : ''),
    sign: groups.sign ?? '',
    unsignedZero: groups.z !== undefined,
    alternate: groups.alternate !== undefined,
    width: Number(groups.width ?? 0),
    grouping: groups.grouping ?? '',
    precision: groups.precision === undefined ? null : Number(groups.precision),
    kind: groups.kind ?? '',
  };
  budget.text(options.width);
  if (text !== null) return formatText(text, typeName(value), options);
  return formatNumber(value, number ?? 0n, options, budget);
}

const unknownCode = (kind: string, value: string) =>
  valueError(`Unknown format code '${kind}' for object of type '${value}'`);

const noZeroCoercion = (type: string) =>
  valueError(`Negative zero coercion (z) not allowed in ${type} format specifier`);

function formatText(text: string, type: string, spec: Spec): string {
  if (spec.kind !== '' && spec.kind !== 's') throw unknownCode(spec.kind, type);
  if (spec.unsignedZero) throw noZeroCoercion('string');
  if (spec.sign) throw valueError(`${spec.sign === ' ' ? 'Space' : 'Sign'} not allowed in string format specifier`);
  if (spec.alternate) throw valueError('Alternate form (#) not allowed in string format specifier');
  if (spec.grouping) throw valueError(`Cannot specify '${spec.grouping}' with 's'.`);
  if (spec.align === '=') throw valueError("'=' alignment not allowed in string format specifier");
  const shown = spec.precision === null ? text : slicePoints(text, 0, spec.precision);
  return align('', shown, spec, '<');
}

function formatNumber(value: Value, number: bigint | number, spec: Spec, budget: Budget): string {
  const isInt = typeof number === 'bigint' && !'eEfFgG%'.includes(spec.kind || 'd');
  return isInt ? formatInt(number, value, spec, budget) : formatReal(numberOf(number) ?? 0, spec, budget);
}

function characterOf(code: bigint): string {
  if (code < 0n || code > 0x10ffffn) throw new TemplateError('OverflowError', '%c arg not in range(0x110000)');
  return String.fromCodePoint(Number(code));
}

const bases: Record<string, [base: number, prefix: string]> = {
  b: [2, '0b'],
  o: [8, '0o'],
  x: [16, '0x'],
  X: [16, '0X'],
};

function formatInt(int: bigint, value: Value, spec: Spec, budget: Budget): string {
  const { kind } = spec;
  if (spec.unsignedZero) throw noZeroCoercion('integer');
  if (spec.precision !== null) throw valueError('Precision not allowed in integer format specifier');
  if (kind === 'c') return align('', characterOf(int), spec, '<');
  const base = bases[kind];
  if (!base && !['', 'd', 'n'].includes(kind)) throw unknownCode(kind, typeName(value));
  if (base && spec.grouping === ',') throw valueError(`Cannot specify ',' with '${kind}'.`);
  let digits = (int < 0n ? -int : int).toString(base?.[0] ?? 10);
  budget.text(digits.length);
  if (kind === 'X') digits = digits.toUpperCase();
  const prefix = spec.alternate && base ? base[1] : '';
  return number(int < 0n, prefix, digits, '', spec, base ? 4 : 3);
}

function formatReal(value: bigint | number, spec: Spec, budget: Budget): string {
  const x = typeof value === 'bigint' ? floatOf(value) : value;
  const isNegative = x < 0 || Object.is(x, -0);
  if (!'eEfFgG%n'.includes(spec.kind || 'g')) throw unknownCode(spec.kind, 'float');
  let text: string;
  if (spec.kind === '%') text = `${formatFloat(x * 100, 'f', spec.precision ?? 6, spec.alternate, budget)}%`;
  else if (spec.kind === '' && spec.precision === null) text = floatRepr(Math.abs(x));
  else if (spec.kind === '') text = shortest(x, spec.precision ?? 0, spec.alternate, budget);
  else text = formatFloat(x, spec.kind === 'n' ? 'g' : spec.kind, spec.precision ?? 6, spec.alternate, budget);
  const whole = /^\d*/.exec(text)?.[0] ?? '';
  const isZero = /^[0.]*$/.test(text) && spec.unsignedZero;
  return number(isNegative && !isZero, '', whole, text.slice(whole.length), spec, 3);
}

/** No type but a precision: like `g`, with at least one digit after the point. */
function shortest(x: number, precision: number, alternate: boolean, budget: Budget): string {
  const text = formatFloat(x, 'g', precision, alternate, budget);
  if (!/^\d+$/.test(text)) return text;
  return text.length >= Math.max(1, precision)
    ? formatFloat(x, 'e', Math.max(0, precision - 1), alternate, budget).replace(/\.?0*e/, (zeros) =>
        zeros.startsWith('.') ? 'e' : zeros,
      )
    : `${text}.0`;
}

function number(
  isNegative: boolean,
  prefix: string,
  whole: string,
  rest: string,
  spec: Spec,
  groupSize: number,
): string {
  const sign = isNegative ? '-' : spec.sign === '-' ? '' : spec.sign;
  const lead = sign + prefix;
  let digits = whole;
  if (spec.grouping && whole) {
    // Zeros that fill the width are grouped, too; a separator never comes first.
    const room = spec.fill === '0' && spec.align === '=' ? spec.width - lead.length - rest.length : 0;
    const nRoom = room - Math.floor(room / (groupSize + 1));
    const nDigits = Math.max(whole.length, nRoom + Math.floor((nRoom - 1) / groupSize) < room ? nRoom + 1 : nRoom);
    digits = group(whole.padStart(nDigits, '0'), spec.grouping, groupSize);
  }
  return align(lead, digits + rest, spec, '>');
}

/** `lead` stays in front where the padding goes between sign and digits. */
function align(lead: string, text: string, spec: Spec, usual: string): string {
  const missing = Math.max(0, spec.width - lengthOf(lead) - lengthOf(text));
  const how = spec.align || usual;
  if (how === '=') return lead + spec.fill.repeat(missing) + text;
  const left = how === '<' ? 0 : how === '>' ? missing : Math.floor(missing / 2);
  return spec.fill.repeat(left) + lead + text + spec.fill.repeat(missing - left);
}
