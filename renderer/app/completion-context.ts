// What the user looks at, told to inline completion: the file that is left becomes context for the next one, what looks like
// the place that the cursor went to does, and the prompt is brought into the engine's cache before the first key.
import { partLines } from '../../electron/common/context-part.ts';
import { quotable } from '../lib/quotable.ts';
import type { AppModel } from './app-model.ts';

/** Longer than the glance at a file in passing. */
const kWarmUpMs = 1500;
/** The cursor came to another place, and did not only pass. */
const kSettledMs = 700;
const kAwayLines = partLines / 2;

type Model = Pick<AppModel, 'buffers' | 'texts' | 'ui' | 'contextFiles' | 'completion' | 'models' | 'editor'>;

/** For the engine to guess from: what is open, the active text first. */
export function openTexts({ buffers, texts }: Pick<Model, 'buffers' | 'texts'>): string[] {
  const { active } = buffers;
  const others = buffers.all().filter(({ id }) => id !== active?.id);
  const open = (active ? [active, ...others] : others).filter(({ status }) => status === 'ready');
  return quotable(open.map(({ id }) => texts.text(id)));
}

export function followContext(model: Model): void {
  const { buffers, texts, ui, contextFiles, completion, models } = model;
  let entered: string | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let settled: ReturnType<typeof setTimeout> | undefined;
  /** The line of this file where it was last looked for what is like it. */
  let lookedAt: number | null = null;
  const warmUpSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const place = model.editor?.surroundings();
      if (place && models.fillsGaps) void completion.warmUp(place);
    }, kWarmUpMs);
  };
  const look = async () => {
    const place = model.editor?.surroundings();
    const path = place && buffers.get(place.bufferId)?.path;
    if (!path || place.bufferId !== entered || !models.fillsGaps) return;
    lookedAt = ui.getState().cursor.line;
    await contextFiles.look(path, place);
    warmUpSoon();
  };
  const lookSoon = () => {
    clearTimeout(settled);
    settled = setTimeout(() => void look(), kSettledMs);
  };
  models.store.subscribe((now, before) => {
    if (now.completionModel?.hasFim && !before.completionModel?.hasFim) lookSoon();
  });
  ui.subscribe(({ cursor }) => {
    clearTimeout(settled);
    if (lookedAt === null || Math.abs(cursor.line - lookedAt) >= kAwayLines) lookSoon();
  });
  buffers.store.subscribe((now, before) => {
    if (now.activeId !== before.activeId && before.activeId !== null) {
      const left = before.buffers[before.activeId];
      if (left?.status === 'ready' && left.path !== null)
        contextFiles.seen(left.path, texts.text(left.id), ui.getState().cursor.line);
    }
    const active = buffers.active;
    const ready = active?.status === 'ready' ? active : undefined;
    if ((ready?.id ?? null) === entered) return;
    entered = ready?.id ?? null;
    lookedAt = null;
    if (!ready || ready.path === null) return;
    lookSoon();
    void contextFiles.enter(ready.path, texts.text(ready.id), ready.languageId).then(warmUpSoon);
  });
}
