import { expect, it } from 'vitest';
import { defaultLimits } from './budget.ts';
import { TemplateError } from './errors.ts';
import { Template } from './template.ts';
import { Random, TemplateMaker } from './testing/random-templates.ts';

const nTemplates = 1500;
const firstSeed = 1_000_000;
const limits = { ...defaultLimits, nSteps: 200_000, nText: 200_000, nTextTotal: 2_000_000 };

it('random templates give text or a TemplateError, and change nothing outside', () => {
  const prototypes = [Object.prototype, Array.prototype, String.prototype, Function.prototype, Map.prototype];
  const names = () => prototypes.flatMap((prototype) => Object.getOwnPropertyNames(prototype));
  const before = names();
  let nRendered = 0;
  for (let seed = firstSeed; seed < firstSeed + nTemplates; seed++) {
    const maker = new TemplateMaker(new Random(seed));
    const source = maker.template();
    const variables = maker.variables();
    const copy = structuredClone(variables);
    try {
      const text = new Template(source).render(variables, { limits });
      expect(text.length, `seed ${seed}`).toBeLessThanOrEqual(limits.nText);
      expect(text, `seed ${seed}`).not.toMatch(/\[object |native code|=> /);
      nRendered++;
    } catch (error) {
      if (!(error instanceof TemplateError)) throw new Error(`seed ${seed}: ${source}`, { cause: error });
      expect(error.line, `seed ${seed}`).toBeGreaterThan(0);
    }
    expect(variables, `seed ${seed}`).toEqual(copy);
  }
  expect(nRendered).toBeGreaterThan(nTemplates / 4);
  expect(names()).toEqual(before);
});

it('templates cut anywhere give text or a TemplateError', () => {
  const maker = new TemplateMaker(new Random(firstSeed));
  const source = Array.from({ length: 6 }, () => maker.template()).join('');
  const variables = maker.variables();
  for (let end = 0; end < source.length; end++) {
    try {
      new Template(source.slice(0, end)).render(variables, { limits });
    } catch (error) {
      if (!(error instanceof TemplateError)) throw new Error(`cut at ${end}`, { cause: error });
    }
  }
});
