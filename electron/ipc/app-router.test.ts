import { expect, it, vi } from 'vitest';
import { openWorkspace } from './app-router.ts';

vi.mock('electron', () => ({}));

it('opens a folder everywhere: the models hear of it when it is the one that has choices of its own', async () => {
  let current: string | null = null;
  const steps: string[] = [];
  const step = (name: string) => () => void steps.push(`${name} in ${current}`);
  const deps = {
    workspaces: {
      setCurrent: (root: string) => {
        current = root;
      },
      get current() {
        return { root: current };
      },
    },
    workspace: { setRoot: step('workspace') },
    models: { rootChanged: step('models') },
    terminal: { rootChanged: step('terminal') },
    events: { push: step('events') },
  };
  expect(await openWorkspace(deps as never, '/folder')).toEqual({ root: '/folder' });
  expect(steps).toEqual(['workspace in null', 'models in /folder', 'terminal in /folder', 'events in /folder']);
});
