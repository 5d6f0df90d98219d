// Filters that make numbers.
import { define, defineOne } from './builtin.ts';
import { toFloat, toInt } from './conversions.ts';
import { TemplateError, typeError } from './errors.ts';
import { divideToEven, indexArgument, scaledInteger, truncated } from './numbers.ts';
import { arithmetic, chargeKey, lengthOfValue } from './operators.ts';
import type { Builtin } from './runtime.ts';
import { intOf, textOf, typeName, type Value } from './values.ts';

/** A conversion that falls back: on ValueError and TypeError, and on OverflowError where it is named. */
function attempt(convert: () => Value, alsoOverflow = false): Value | undefined {
  try {
    return convert();
  } catch (error) {
    const isExpected = error instanceof TemplateError && ['ValueError', 'TypeError'].includes(error.type);
    const isOverflow = error instanceof TemplateError && alsoOverflow && error.type === 'OverflowError';
    if (isExpected || isOverflow) return undefined;
    throw error;
  }
}

const int = define(
  { name: 'do_int', parameters: 'default? base?' },
  ({ budget }, value, defaultValue = 0n, base = 10n) =>
    attempt(() => toInt(value, indexArgument(base), budget)) ??
    attempt(() => truncated(toFloat(value, budget)), true) ??
    defaultValue,
);

const float = define(
  { name: 'do_float', parameters: 'default?' },
  ({ budget }, value, defaultValue = 0) => attempt(() => toFloat(value, budget)) ?? defaultValue,
);

const round = define(
  { name: 'do_round', parameters: 'precision? method?' },
  ({ budget }, value, precision = 0n, method = 'common') => {
    const how = textOf(method) ?? '';
    if (!['common', 'ceil', 'floor'].includes(how))
      throw new TemplateError('FilterArgumentError', 'method must be common, ceil or floor');
    if (how === 'common') return rounded(value, precision);
    const scale = arithmetic('**', 10n, precision, budget);
    const scaled = arithmetic('*', value, scale, budget);
    if (typeof scaled === 'bigint') return arithmetic('/', scaled, scale, budget);
    if (typeof scaled !== 'number') throw typeError(`must be real number, not ${typeName(scaled)}`);
    truncated(scaled); // refuses inf and nan
    return arithmetic('/', BigInt(how === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled)), scale, budget);
  },
);

/** round(value, nDigits): half to even, exact. */
function rounded(value: Value, precision: Value): Value {
  const whole = intOf(value);
  if (whole === null && typeof value !== 'number') {
    throw typeError(`type ${typeName(value)} doesn't define __round__ method`);
  }
  if (precision === null && typeof value === 'number') {
    truncated(value); // refuses inf and nan
    return value < 0 ? -scaledInteger(value, 0) : scaledInteger(value, 0);
  }
  const nDigits = precision === null ? 0 : indexArgument(precision);
  if (whole !== null) {
    if (nDigits >= 0) return whole;
    if (nDigits < -400) return 0n;
    const unit = 10n ** BigInt(-nDigits);
    const size = divideToEven(whole < 0n ? -whole : whole, unit) * unit;
    return whole < 0n ? -size : size;
  }
  if (typeof value !== 'number' || !Number.isFinite(value) || value === 0 || nDigits > 330) return value;
  const sign = value < 0 ? '-' : '';
  return nDigits < -310 ? Number(`${sign}0`) : Number(`${sign}${scaledInteger(value, nDigits)}e${-nDigits}`);
}

const abs = defineOne('abs', (_, value) => {
  if (typeof value === 'number') return Math.abs(value);
  const whole = intOf(value);
  if (whole !== null) return whole < 0n ? -whole : whole;
  throw typeError(`bad operand type for abs(): '${typeName(value)}'`);
});

const length = defineOne('len', ({ budget }, value) => {
  chargeKey(value, budget); // the code points of a text are counted
  return lengthOfValue(value);
});

export const numberFilters: Record<string, Builtin> = { abs, count: length, float, int, length, round };
