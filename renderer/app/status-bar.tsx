// The bar at the bottom. Left: engine and model. Right: the active file and the cursor.
import { useStore } from 'zustand';
import { loadedEditor } from '../editor/load-editor.ts';
import { ActivityChip } from '../features/activity/activity-chip.tsx';
import { CompletionChip } from '../features/completion/completion-chip.tsx';
import { ModelChip } from '../features/models/model-chip.tsx';
import { noCompletionReason } from '../features/models/model-store.ts';
import { NetworkChip } from '../features/network/network-chip.tsx';
import { formatRate } from '../lib/format.ts';
import { useActivities } from './activities.ts';
import type { AppModel } from './app-model.ts';
import type { Commands } from './commands.ts';
import styles from './status-bar.module.css';

const kEncodings = {
  utf8: 'UTF-8',
  utf8bom: 'UTF-8 with BOM',
  utf16le: 'UTF-16 LE',
  utf16be: 'UTF-16 BE',
  windows1252: 'Windows-1252',
};
const kEols = { lf: 'LF', crlf: 'CRLF', mixed: 'Mixed line endings', none: null };

export function StatusBar({ model, commands }: { model: AppModel; commands: Commands }) {
  const isOn = useStore(model.settings.store, (settings) => settings.inlineCompletion);
  const isNetworkOff = useStore(model.settings.store, (settings) => settings.isNetworkOff);
  const notReady = useStore(model.models.store, noCompletionReason);
  return (
    <section aria-label="Status" data-region="status" className={styles.bar}>
      <ModelChip models={model.models} className={styles.item} onOpen={commands.get('model.manage').run} />
      <CompletionChip
        completion={model.completion}
        isOn={isOn}
        notReady={notReady}
        className={styles.item}
        onToggle={commands.get('completion.toggle').run}
      />
      <NetworkChip
        network={model.network}
        isOff={isNetworkOff}
        className={styles.item}
        onOpen={commands.get('network.show').run}
      />
      <Running model={model} onOpen={commands.get('activity.show').run} />
      <ReplyRate model={model} />
      <span className={styles.space} />
      <ActiveFile model={model} />
    </section>
  );
}

function Running({ model, onOpen }: { model: AppModel; onOpen: () => void }) {
  return <ActivityChip activities={useActivities(model)} className={styles.item} onOpen={onOpen} />;
}

function ReplyRate({ model }: { model: AppModel }) {
  const reply = useStore(model.chat.store, (state) => state.reply);
  return reply?.phase === 'decode' ? <span className={styles.text}>{formatRate(reply.tokensPerSecond)}</span> : null;
}

function ActiveFile({ model }: { model: AppModel }) {
  const active = useStore(model.buffers.store, ({ activeId, buffers }) =>
    activeId === null ? undefined : buffers[activeId],
  );
  const { line, column, selectedChars } = useStore(model.ui, (state) => state.cursor);
  if (active?.status !== 'ready') return null;
  const eol = kEols[active.eol];
  return (
    <>
      <span className={styles.text}>
        Ln {line}, Col {column}
        {selectedChars > 0 ? ` (${selectedChars} selected)` : ''}
      </span>
      {eol ? <span className={styles.text}>{eol}</span> : null}
      <span className={styles.text}>{kEncodings[active.encoding]}</span>
      {active.isReadOnly ? <span className={styles.text}>Read-only</span> : null}
      <span className={styles.text}>{loadedEditor().languageName(active.languageId)}</span>
    </>
  );
}
