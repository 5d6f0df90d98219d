// Python's numbers as text and back: repr, exact decimal rounding (half to even), int() and float() of text.
import type { Budget } from './budget.ts';
import { strip } from './code-points.ts';
import { TemplateError, valueError } from './errors.ts';
import { typeName, type Value } from './values.ts';

/** repr(float): the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on. */
export function floatRepr(x: number): string {
  if (Number.isNaN(x)) return 'nan';
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  const [mantissa = '', exponentText = '0'] = x.toExponential().split('e');
  const exponent = Number(exponentText);
  const sign = x < 0 || Object.is(x, -0) ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  if (exponent < -4 || exponent >= 16) return `${sign}${withPoint(digits, 1)}e${signedExponent(exponent)}`;
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const padded = digits.padEnd(exponent + 1, '0');
  return `${sign}${padded.slice(0, exponent + 1)}.${padded.slice(exponent + 1) || '0'}`;
}

const withPoint = (digits: string, at: number): string =>
  digits.length > at ? `${digits.slice(0, at)}.${digits.slice(at)}` : digits;

export const signedExponent = (exponent: number): string =>
  `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;

/** |x| * 10^nDigits as the nearest integer, ties to even, computed exactly. `nDigits` may be negative. */
export function scaledInteger(x: number, nDigits: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(x));
  const bits = view.getBigUint64(0);
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  const exponent = (biased === 0 ? 1 : biased) - 1075;
  let numerator = biased === 0 ? fraction : fraction | 0x10000000000000n;
  let denominator = 1n;
  if (exponent > 0) numerator <<= BigInt(exponent);
  else denominator <<= BigInt(-exponent);
  if (nDigits > 0) numerator *= 10n ** BigInt(nDigits);
  else denominator *= 10n ** BigInt(-nDigits);
  return divideToEven(numerator, denominator);
}

/** Nearest integer of a quotient of non-negative numbers, ties to even. */
export function divideToEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** Digits of |x| with `nDigits` after the point. */
export function fixedDigits(x: number, nDigits: number): string {
  const digits = scaledInteger(x, nDigits)
    .toString()
    .padStart(nDigits + 1, '0');
  return nDigits === 0 ? digits : `${digits.slice(0, -nDigits)}.${digits.slice(-nDigits)}`;
}

/** |x| as `nDigits` significant digits and the exponent of the first one. */
export function significantDigits(x: number, nDigits: number): { digits: string; exponent: number } {
  if (x === 0) return { digits: '0'.repeat(nDigits), exponent: 0 };
  let exponent = Number(x.toExponential().split('e')[1]);
  let digits = scaledInteger(x, nDigits - 1 - exponent).toString();
  if (digits.length < nDigits) {
    exponent--; // 1e-7 is a little less than it says
    digits = scaledInteger(x, nDigits - 1 - exponent).toString();
  }
  if (digits.length > nDigits) {
    exponent++; // 9.99 became 10.0
    digits = digits.slice(0, nDigits);
  }
  return { digits, exponent };
}

/** Largest size of an int: more could be multiplied out forever. Python prints at most 4300 digits. */
const maxIntBits = 2 ** 16;

/** An int that arithmetic made. */
export function bounded(value: bigint): bigint {
  const limit = 1n << BigInt(maxIntBits);
  if (value > limit || value < -limit) throw tooLarge();
  return value;
}

function tooLarge() {
  return new TemplateError('BudgetError', `The template makes a number of more than ${maxIntBits} bits.`);
}

export function intPower(base: bigint, exponent: bigint): bigint {
  const nBits = base < 0n ? (-base).toString(2).length : base.toString(2).length;
  if (nBits > 1 && BigInt(nBits - 1) * exponent > BigInt(maxIntBits)) throw tooLarge();
  if (nBits === 1) return base === 0n ? (exponent === 0n ? 1n : 0n) : base === 1n || exponent % 2n === 0n ? 1n : -1n;
  return base ** exponent;
}

const maxIntDigits = 4300;

export function intText(value: bigint): string {
  const text = value.toString();
  if (text.length - Number(value < 0n) > maxIntDigits) {
    throw valueError(
      `Exceeds the limit (${maxIntDigits} digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit`,
    );
  }
  return text;
}

const digitsOf = (base: number): string => '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, base);

/** int(text, base). @throws ValueError */
export function parseInteger(text: string, base: number, repr: string, budget: Budget): bigint {
  if (base !== 0 && (base < 2 || base > 36)) throw valueError('int() base must be >= 2 and <= 36, or 0');
  const fail = () => valueError(`invalid literal for int() with base ${base}: ${repr}`);
  const match = /^([+-]?)(0[xob])?(.*)$/is.exec(strip(text, null, 'both'));
  const prefix = match?.[2]?.toLowerCase() ?? '';
  const prefixBase = { '0x': 16, '0o': 8, '0b': 2 }[prefix];
  const hasPrefix = prefixBase !== undefined && (base === 0 || base === prefixBase);
  const actual = hasPrefix ? prefixBase : base === 0 ? 10 : base;
  const body = (hasPrefix ? (match?.[3] ?? '').replace(/^_/, '') : `${match?.[2] ?? ''}${match?.[3]}`).toLowerCase();
  const digit = `[${digitsOf(actual)}]`;
  if (!new RegExp(`^${digit}+(_${digit}+)*$`).test(body)) throw fail();
  const digits = body.replaceAll('_', '');
  if (base === 0 && !hasPrefix && /^0+[1-9]/.test(digits)) throw fail();
  const isPowerOfTwo = (actual & (actual - 1)) === 0;
  if (digits.length > maxIntDigits && !isPowerOfTwo) {
    throw valueError(
      `Exceeds the limit (${maxIntDigits} digits) for integer string conversion: value has ${digits.length} digits; use sys.set_int_max_str_digits() to increase the limit`,
    );
  }
  budget.spend(digits.length);
  const size = BigInt(actual);
  let value = 0n;
  if (actual === 10) value = BigInt(digits);
  else for (const char of digits) value = bounded(value * size + BigInt(Number.parseInt(char, actual)));
  return match?.[1] === '-' ? -value : value;
}

/** float(text). @throws ValueError */
export function parseFloatText(text: string, repr: string): number {
  const body = strip(text, null, 'both').toLowerCase();
  if (/^[+-]?(inf|infinity)$/.test(body)) return body.startsWith('-') ? -Infinity : Infinity;
  if (/^[+-]?nan$/.test(body)) return Number.NaN;
  // The first test is quick on a long text that is no number.
  if (/[^\d._e+-]/.test(body) || !/^[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/.test(body)) {
    throw valueError(`could not convert string to float: ${repr}`);
  }
  return Number(body.replaceAll('_', ''));
}

/** int(x) of a float. */
export function truncated(x: number): bigint {
  if (Number.isNaN(x)) throw valueError('cannot convert float NaN to integer');
  if (!Number.isFinite(x)) throw new TemplateError('OverflowError', 'cannot convert float infinity to integer');
  return BigInt(Math.trunc(x));
}

/** float(x) of an int. */
export function floatOf(value: bigint): number {
  const number = Number(value);
  if (!Number.isFinite(number)) throw new TemplateError('OverflowError', 'int too large to convert to float');
  return number;
}

/** An argument that must be an int (or a bool) and is used as a count or a position. */
export function indexArgument(value: Value): number {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'bigint') return Math.max(-(2 ** 53), Math.min(2 ** 53, Number(value)));
  throw new TemplateError('TypeError', `'${typeName(value)}' object cannot be interpreted as an integer`);
}
