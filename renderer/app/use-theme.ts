// Applies the theme setting to the page and to Monaco, and follows the system when it says so.
import { useEffect } from 'react';
import type { Settings } from '../../electron/common/settings.ts';
import { whenEditorIsLoaded } from '../editor/load-editor.ts';

export function useTheme(theme: Settings['theme']): void {
  useEffect(() => {
    const prefersDark = matchMedia('(prefers-color-scheme: dark)');
    const prefersContrast = matchMedia('(prefers-contrast: more)');
    const apply = () => {
      const bySystem = prefersContrast.matches ? 'contrast' : prefersDark.matches ? 'dark' : 'light';
      const resolved = theme === 'system' ? bySystem : theme;
      document.documentElement.dataset.theme = resolved;
      // In the same turn, so that no picture shows both; and Monaco that comes later finds the theme of then.
      void whenEditorIsLoaded.then(({ setEditorTheme }) => setEditorTheme(resolved));
    };
    apply();
    const wishes = [prefersDark, prefersContrast];
    for (const wish of wishes) wish.addEventListener('change', apply);
    return () => {
      for (const wish of wishes) wish.removeEventListener('change', apply);
    };
  }, [theme]);
}
