// How format specifications and % write numbers: e, f, g and their kin, padding, grouping.
import type { Budget } from './budget.ts';
import { fixedDigits, signedExponent, significantDigits } from './numbers.ts';

/** More digits after the point than any double has (1074); each costs work. */
const maxPrecision = 4300;

/** |x| in one of Python's float formats, without its sign. `alternate` keeps the point and the zeros of `g`. */
export function formatFloat(x: number, kind: string, precision: number, alternate: boolean, budget: Budget): string {
  const nDigits = Math.min(precision, maxPrecision);
  budget.text(nDigits + 330);
  const lower = kind.toLowerCase();
  let text: string;
  if (Number.isNaN(x)) text = 'nan';
  else if (!Number.isFinite(x)) text = 'inf';
  else if (lower === 'f') text = fixedDigits(x, nDigits) + (alternate && nDigits === 0 ? '.' : '');
  else if (lower === 'e') text = exponential(x, nDigits, alternate);
  else text = general(x, Math.max(1, nDigits), alternate);
  return kind === lower ? text : text.toUpperCase();
}

function exponential(x: number, nDigits: number, alternate: boolean): string {
  const { digits, exponent } = significantDigits(x, nDigits + 1);
  const point = nDigits > 0 || alternate ? '.' : '';
  return `${digits.slice(0, 1)}${point}${digits.slice(1)}e${signedExponent(exponent)}`;
}

function general(x: number, nDigits: number, alternate: boolean): string {
  const { digits, exponent } = significantDigits(x, nDigits);
  const trim = (text: string) => (alternate || !text.includes('.') ? text : text.replace(/\.?0+$/, ''));
  if (exponent < -4 || exponent >= nDigits) {
    return `${trim(`${digits.slice(0, 1)}.${digits.slice(1)}`).replace(/\.$/, alternate ? '.' : '')}e${signedExponent(exponent)}`;
  }
  if (exponent < 0) return trim(`0.${'0'.repeat(-exponent - 1)}${digits}`);
  const whole = digits.slice(0, exponent + 1);
  const fraction = digits.slice(exponent + 1);
  return fraction || alternate ? trim(`${whole}.${fraction}`) : whole;
}

/** Separators between groups of digits, from the right. */
export function group(digits: string, separator: string, size: number): string {
  let result = digits.slice(-size);
  for (let end = digits.length - size; end > 0; end -= size) {
    result = `${digits.slice(Math.max(0, end - size), end)}${separator}${result}`;
  }
  return result;
}
