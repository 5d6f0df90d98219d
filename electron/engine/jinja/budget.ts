// How much one rendering may cost. A template comes with a model file, so it may be hostile: without these limits an
// endless or exponential one would hang the engine process or eat its memory.
import { TemplateError } from './errors.ts';

export interface Limits {
  /** Statements, expressions and elements visited. A 200-message conversation takes about 20,000. */
  nSteps: number;
  /** Characters of one text, the result included. */
  nText: number;
  /** Characters of all texts that were made on the way. */
  nTextTotal: number;
  /** Macros and recursive loops inside each other. Python's own limit of 1000 frames comes to about 200. */
  nDepth: number;
}

export const defaultLimits: Limits = { nSteps: 20_000_000, nText: 2 ** 24, nTextTotal: 2 ** 27, nDepth: 195 };

export class Budget {
  readonly limits: Limits;
  #nSteps = 0;
  #nText = 0;
  #nDepth = 0;

  constructor(limits: Limits) {
    this.limits = limits;
  }

  /** Call before the work is done. `n` may be fractional or huge. */
  spend(n: number): void {
    this.#nSteps += n;
    if (this.#nSteps > this.limits.nSteps) {
      throw new TemplateError('BudgetError', `The template takes more than ${this.limits.nSteps} steps.`);
    }
  }

  /** Call with the length of a text before it is made, or before it is searched. */
  text(length: number): void {
    this.joined(length, length);
  }

  /**
   * Call when texts are put together: V8 copies neither of two texts, so that a template may add to a long text in
   * small steps.
   * @param nAdded length of the shorter text
   */
  joined(length: number, nAdded: number): void {
    this.#nText += nAdded;
    if (length > this.limits.nText) {
      throw new TemplateError('BudgetError', `The template makes a text of more than ${this.limits.nText} characters.`);
    }
    if (this.#nText > this.limits.nTextTotal) {
      throw new TemplateError('BudgetError', `The template handles more than ${this.limits.nTextTotal} characters.`);
    }
  }

  /** Call before a text is searched for another: V8 takes up to the product of their lengths, at some 10^9 a second. */
  search(nText: number, nSought: number): void {
    this.text(nText + nSought);
    this.spend((nText * nSought) / 1024);
  }

  /** Runs a body one level deeper. */
  nested<T>(body: () => T): T {
    if (++this.#nDepth > this.limits.nDepth) {
      throw new TemplateError('RecursionError', 'maximum recursion depth exceeded');
    }
    try {
      return body();
    } finally {
      this.#nDepth--;
    }
  }
}
