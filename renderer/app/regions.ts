// F6: moves the focus between the parts of the window, back to where it was in each.

const kSelector = '[data-region]';
/** What a region is for; its buttons are beside the point. */
const kMain = 'textarea, [role="tree"]';
const kFocusable = 'textarea, [role="tree"], button:not(:disabled), input, [tabindex="0"]';

export class Regions {
  readonly #last = new WeakMap<Element, HTMLElement>();

  constructor(document: Document) {
    document.addEventListener('focusin', ({ target }) => {
      const region = target instanceof HTMLElement ? target.closest(kSelector) : null;
      if (region && target instanceof HTMLElement) this.#last.set(region, target);
    });
  }

  /** Focuses the region `step` places from the one that has the focus, around the ends. */
  move(step: number): void {
    const regions = [...document.querySelectorAll<HTMLElement>(kSelector)].filter(
      (region) => region.offsetParent !== null,
    );
    const index = regions.findIndex((region) => region.contains(document.activeElement));
    for (let i = 1; i <= regions.length; i++) {
      const start = index < 0 && step > 0 ? -1 : Math.max(0, index);
      const region = regions[(start + step * i + regions.length * i) % regions.length];
      if (region && this.focus(region)) return;
    }
  }

  /** Goes to what the region is for, wherever the focus was in it before. */
  focusNamed(name: string): void {
    const region = document.querySelector<HTMLElement>(`[data-region="${name}"]`);
    const main = region?.querySelector<HTMLElement>(kMain);
    if (main) main.focus();
    else if (region) this.focus(region);
  }

  focus(region: HTMLElement): boolean {
    const last = this.#last.get(region);
    const target = last?.isConnected
      ? last
      : (region.querySelector<HTMLElement>(kMain) ?? region.querySelector<HTMLElement>(kFocusable));
    target?.focus();
    return target !== null && target !== undefined && document.activeElement === target;
  }
}
