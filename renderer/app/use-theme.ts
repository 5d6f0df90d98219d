// Applies the theme setting to the page and to Monaco, and follows the system when it says so.
import { useEffect } from 'react';
import type { Settings } from '../../electron/common/settings.ts';
import { setEditorTheme } from '../editor/monaco.ts';

export function useTheme(theme: Settings['theme']): void {
  useEffect(() => {
    const prefersDark = matchMedia('(prefers-color-scheme: dark)');
    const apply = () => {
      const resolved = theme === 'system' ? (prefersDark.matches ? 'dark' : 'light') : theme;
      document.documentElement.dataset.theme = resolved;
      setEditorTheme(resolved);
    };
    apply();
    prefersDark.addEventListener('change', apply);
    return () => prefersDark.removeEventListener('change', apply);
  }, [theme]);
}
