// Every setting of the schema, in groups. Changes take effect at once; there is no "apply".
import { useState } from 'react';
import { useStore } from 'zustand';
import { Button } from '../../ui/button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import {
  ChoiceField,
  Field,
  FieldFilter,
  NumberField,
  SwitchField,
  TextAreaField,
  TextField,
} from '../../ui/field.tsx';
import styles from './settings-dialog.module.css';
import type { SettingsStore } from './settings-store.ts';

interface SettingsDialogProps {
  settings: SettingsStore;
  onManageModels: () => void;
  onJson: () => void;
  onKeys: () => void;
  onClose: () => void;
}

export function SettingsDialog({ settings, onManageModels, onJson, onKeys, onClose }: SettingsDialogProps) {
  const values = useStore(settings.store);
  const { sampler } = values;
  const [query, setQuery] = useState('');
  const change = (patch: Parameters<SettingsStore['update']>[0]) => void settings.update(patch);
  const changeSampler = (patch: Partial<typeof sampler>) => change({ sampler: { ...sampler, ...patch } });
  return (
    <Dialog title="Settings" size="wide" onClose={onClose}>
      <div className={styles.bar}>
        <input
          type="search"
          autoFocus
          aria-label="Search settings"
          placeholder="Search settings"
          className={styles.search}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        <Button onClick={onKeys}>Keyboard Shortcuts</Button>
        <Button onClick={onJson}>Edit as JSON</Button>
      </div>
      <FieldFilter.Provider value={query}>
        <div className={styles.groups}>
          <section aria-labelledby="settings-look">
            <h3 id="settings-look" className={styles.heading}>
              Appearance
            </h3>
            <ChoiceField
              label="Theme"
              value={values.theme}
              options={[
                { value: 'system', label: 'System' },
                { value: 'light', label: 'Light' },
                { value: 'dark', label: 'Dark' },
                { value: 'contrast', label: 'High contrast' },
              ]}
              onChange={(theme) => change({ theme })}
            />
            <NumberField
              label="Zoom"
              hint="Of the whole window, 50 to 300 percent."
              value={values.zoomPercent}
              min={50}
              max={300}
              step={5}
              onChange={(zoomPercent) => change({ zoomPercent })}
            />
            <NumberField
              label="Editor font size"
              hint="Pixels, 8 to 32."
              value={values.editorFontSize}
              min={8}
              max={32}
              step={1}
              onChange={(editorFontSize) => change({ editorFontSize })}
            />
            <SwitchField
              label="Silence notes"
              hint="They come to the list of activities without appearing. Errors still appear."
              isOn={values.quietNotes}
              onChange={(quietNotes) => change({ quietNotes })}
            />
          </section>
          <section aria-labelledby="settings-editor">
            <h3 id="settings-editor" className={styles.heading}>
              Editor
            </h3>
            <SwitchField
              label="Inline completion"
              hint="Suggests text at the cursor while you type. Tab accepts, Escape dismisses."
              isOn={values.inlineCompletion}
              onChange={(inlineCompletion) => change({ inlineCompletion })}
            />
            <SwitchField
              label="Next edit"
              hint="Propose the change that likely comes next, elsewhere in the file. Tab goes there and makes it."
              isOn={values.nextEdit}
              onChange={(nextEdit) => change({ nextEdit })}
            />
            <SwitchField
              label="Format on save"
              hint="Where the editor knows how: JSON, HTML, CSS, JavaScript and TypeScript."
              isOn={values.formatOnSave}
              onChange={(formatOnSave) => change({ formatOnSave })}
            />
          </section>
          <section aria-labelledby="settings-model">
            <h3 id="settings-model" className={styles.heading}>
              Model
            </h3>
            <Field label="Models" hint="Which ones there are, what each does, and finding more.">
              {({ id, hintId }) => (
                <Button id={id} aria-describedby={hintId} onClick={onManageModels}>
                  Manage Models…
                </Button>
              )}
            </Field>
            <TextField
              label="Hub"
              hint="Where models are searched: an address, or a folder with models, such as a mirror or a USB stick."
              value={values.hubUrl}
              maxLength={2000}
              onChange={(hubUrl) => change({ hubUrl })}
            />
            <NumberField
              label="Download limit"
              hint="Of all downloads together, in KiB per second; 0 for no limit."
              value={values.downloadLimitKiB}
              min={0}
              max={10_000_000}
              step={1}
              onChange={(downloadLimitKiB) => change({ downloadLimitKiB })}
            />
            <NumberField
              label="Memory for models"
              hint="Most of all models together, in MiB; 0 takes what is free."
              value={values.modelMemoryMiB}
              min={0}
              max={10_000_000}
              step={1}
              onChange={(modelMemoryMiB) => change({ modelMemoryMiB })}
            />
            <NumberField
              label="Unload after"
              hint="Minutes without a request, after which a model gives its memory back; 0 keeps it."
              value={values.modelIdleMinutes}
              min={0}
              max={10_080}
              step={1}
              onChange={(modelIdleMinutes) => change({ modelIdleMinutes })}
            />
            <NumberField
              label="Threads"
              hint="0 uses every physical core. The model is loaded again."
              value={values.nThreads}
              min={0}
              max={256}
              step={1}
              onChange={(nThreads) => change({ nThreads })}
            />
            <NumberField
              label="Context"
              hint="Tokens; 0 uses what the model was trained for. The model is loaded again."
              value={values.nCtx}
              min={0}
              max={1_048_576}
              step={1}
              onChange={(nCtx) => change({ nCtx })}
            />
            <ChoiceField
              label="Memory of the context"
              hint="Fewer bits for keys and values let a longer context fit; the fewer, the more a reply may differ. A GPU keeps 16 bits. The model is loaded again."
              value={values.kvPreset}
              options={[
                { value: 'auto', label: 'As each model was checked' },
                { value: 'exact', label: 'Exact, 16 bits' },
                { value: 'safe', label: 'Safe, about 6 bits' },
                { value: 'compact', label: 'Compact, about 3 bits' },
                { value: 'max', label: 'Max, about 2 bits' },
              ]}
              onChange={(kvPreset) => change({ kvPreset })}
            />
          </section>
          <section aria-labelledby="settings-chat">
            <h3 id="settings-chat" className={styles.heading}>
              Chat
            </h3>
            <TextAreaField
              label="System prompt"
              hint="Sent before every conversation. Empty sends none."
              value={values.systemPrompt}
              maxLength={20_000}
              onChange={(systemPrompt) => change({ systemPrompt })}
            />
            <NumberField
              label="Temperature"
              hint="0 always takes the likeliest token; higher is more varied."
              value={sampler.temperature}
              min={0}
              max={2}
              step={0.05}
              onChange={(temperature) => changeSampler({ temperature })}
            />
            <NumberField
              label="Top-k"
              hint="Candidates per token; 0 turns the limit off."
              value={sampler.topK}
              min={0}
              max={1000}
              step={1}
              onChange={(topK) => changeSampler({ topK })}
            />
            <NumberField
              label="Top-p"
              hint="Keeps the likeliest candidates up to this sum of probability."
              value={sampler.topP}
              min={0.01}
              max={1}
              step={0.01}
              onChange={(topP) => changeSampler({ topP })}
            />
            <NumberField
              label="Min-p"
              hint="Drops candidates below this share of the likeliest."
              value={sampler.minP}
              min={0}
              max={1}
              step={0.01}
              onChange={(minP) => changeSampler({ minP })}
            />
            <NumberField
              label="Repetition penalty"
              hint="1 turns it off."
              value={sampler.repeatPenalty}
              min={1}
              max={2}
              step={0.01}
              onChange={(repeatPenalty) => changeSampler({ repeatPenalty })}
            />
            <NumberField
              label="Longest reply"
              hint="Tokens."
              value={sampler.maxTokens}
              min={1}
              max={32_768}
              step={1}
              onChange={(maxTokens) => changeSampler({ maxTokens })}
            />
          </section>
          <p className={styles.none}>No setting matches.</p>
        </div>
      </FieldFilter.Provider>
    </Dialog>
  );
}
