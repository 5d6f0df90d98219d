// Language ids as Monaco knows them, found from what people write after a code fence, and their display names.
import { monaco } from './monaco.ts';

interface KnownLanguage {
  id: string;
  name: string;
}

/** Short names that Monaco does not list as an alias or extension. */
const kMoreLabels: Record<string, string> = {
  sh: 'shell',
  bash: 'shell',
  zsh: 'shell',
  console: 'shell',
  'c++': 'cpp',
  jsonc: 'json',
  golang: 'go',
  docker: 'dockerfile',
  make: 'shell',
};

let byLabel: Map<string, KnownLanguage> | undefined;

function known(): Map<string, KnownLanguage> {
  if (byLabel) return byLabel;
  byLabel = new Map();
  for (const { id, aliases, extensions } of monaco.languages.getLanguages()) {
    const language = { id, name: aliases?.[0] ?? id };
    const labels = [id, ...(aliases ?? []), ...(extensions ?? []).map((extension) => extension.slice(1))];
    for (const label of labels) if (!byLabel.has(label.toLowerCase())) byLabel.set(label.toLowerCase(), language);
  }
  return byLabel;
}

/** Monaco's id for a fence label such as "ts" or "Python"; "plaintext" if there is none. */
export function languageOfLabel(label: string): string {
  const wanted = label.trim().toLowerCase();
  return known().get(kMoreLabels[wanted] ?? wanted)?.id ?? 'plaintext';
}

/** "TypeScript" for "typescript". */
export function languageName(languageId: string): string {
  return known().get(languageId.toLowerCase())?.name ?? languageId;
}
