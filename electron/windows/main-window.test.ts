import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { BrowserWindow } from 'electron';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { ErrorInfo } from '../common/errors.ts';
import { keepMainWindow } from './main-window.ts';

vi.mock('electron', () => ({}));

const problem: ErrorInfo = { code: 'DISK_FULL', message: 'The unsaved text of a.txt could not be stored.' };

function kept() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const webContents = Object.assign(new EventEmitter(), { isCrashed: () => false });
  const window = Object.assign(new EventEmitter(), {
    webContents,
    isClosed: false,
    getNormalBounds: () => ({}),
    isMaximized: () => false,
    isDestroyed: () => false,
    close() {
      let isPrevented = false;
      const preventDefault = () => {
        isPrevented = true;
      };
      window.emit('close', { preventDefault });
      window.isClosed ||= !isPrevented;
    },
  });
  const page = Promise.withResolvers<ErrorInfo | null>();
  const user = Promise.withResolvers<boolean>();
  const onClosing = vi.fn(() => page.promise);
  const onUnsafe = vi.fn(() => user.promise);
  const onPageGone = vi.fn();
  keepMainWindow(
    { window: window as unknown as BrowserWindow, hasPicture: new Promise(() => {}) },
    { zoomPercent: () => 100, place: null, onClosing, onUnsafe, onClosed: () => {}, onPageGone },
  );
  return { window, page, user, onClosing, onUnsafe, onPageGone };
}

it('closes when everything typed is safe', async () => {
  const { window, page, onUnsafe } = kept();
  window.close();
  expect(window.isClosed).toBe(false);
  page.resolve(null);
  await vi.advanceTimersByTimeAsync(0);
  expect(window.isClosed).toBe(true);
  expect(onUnsafe).not.toHaveBeenCalled();
});

it('closes without a page that does not answer', async () => {
  const { window } = kept();
  window.close();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(window.isClosed).toBe(true);
});

it('waits for the user as long as he thinks about text that is not safe, and asks him once', async () => {
  const { window, page, user, onClosing, onUnsafe } = kept();
  window.close();
  page.resolve(problem);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(window.isClosed).toBe(false);
  window.close();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(onUnsafe.mock.calls).toEqual([[problem]]);

  user.resolve(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(window.isClosed).toBe(false);
  window.close();
  expect(onClosing).toHaveBeenCalledTimes(2);
});

it('lets a page that died be buried before another one is loaded', async () => {
  const { window, onPageGone } = kept();
  window.webContents.emit('render-process-gone', {}, { reason: 'clean-exit' });
  window.webContents.emit('render-process-gone', {}, { reason: 'oom' });
  expect(onPageGone).not.toHaveBeenCalled();
  await setImmediate();
  expect(onPageGone.mock.calls).toEqual([['oom']]);
});

it('stays open where the user cannot be asked, and asks again', async () => {
  const { window, page, user, onUnsafe } = kept();
  window.close();
  page.resolve(problem);
  user.reject(new Error('no dialog'));
  await vi.advanceTimersByTimeAsync(0);
  expect(window.isClosed).toBe(false);
  window.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(onUnsafe).toHaveBeenCalledTimes(2);
});

it('closes if the user does not mind', async () => {
  const { window, page, user } = kept();
  window.close();
  page.resolve(problem);
  user.resolve(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(window.isClosed).toBe(true);
});
