// One thing that runs, as the list of what runs shows it.

export interface Activity {
  id: string;
  /** What runs, in a few words. */
  title: string;
  /** How it goes; empty if nothing is known. */
  detail: string;
  /** 0 to 1; null where nobody knows. */
  progress: number | null;
  /** Not worth a word in the status bar: a shell that waits, or what the bar tells already. */
  isMinor?: boolean;
  /** Null for what has to end by itself. */
  stop: { label: string; run: () => void } | null;
}
