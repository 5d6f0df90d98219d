// What main serves to the renderer: settings, the open folder, conversations, backups of unsaved text, the
// state of the other processes and menu commands.
import { eventIterator } from '@orpc/contract';
import { z } from 'zod';
import { connectionSchema } from './connections.ts';
import { generateStatsSchema, stopReasonSchema } from './engine-contract.ts';
import { errorInfoSchema, procedure } from './errors.ts';
import {
  foundModelSchema,
  hubFileSchema,
  hubModelSchema,
  modelEntrySchema,
  modelOverridesSchema,
  modelsStateSchema,
} from './model-contract.ts';
import { modelFactsSchema } from './model-facts.ts';
import { modelIdSchema, modelRoleSchema } from './role-contract.ts';
import { settingsPatchSchema, settingsSchema } from './settings.ts';
import { encodingSchema, relativePathSchema } from './workspace-contract.ts';

const nothing = z.object({});
const id = z.string().min(1).max(64);
const repo = z.string().regex(/^(?!.*\.\.)[\w.-]{1,100}\/[\w.-]{1,100}$/);
const hubPath = z.string().regex(/^(?!.*(?:^|\/)\.\.(?:\/|$))[\w.\- +()/]{1,300}\.gguf$/i);

export const workspaceInfoSchema = z.object({ root: z.string(), name: z.string() });
export type WorkspaceInfo = z.infer<typeof workspaceInfoSchema>;

export const processStateSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('starting') }),
  z.object({ state: z.literal('running') }),
  /** It died and is being started again. `reason` is a sentence for the user. */
  z.object({ state: z.literal('restarting'), reason: z.string(), attempt: z.int() }),
  /** It died, or lost its GPU, too often in a short time; `processes.restart` tries once more. */
  z.object({ state: z.literal('failed'), reason: z.string(), cause: z.enum(['died', 'device']) }),
]);
export type ProcessState = z.infer<typeof processStateSchema>;

export const appEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('settings'), settings: settingsSchema }),
  z.object({ type: z.literal('workspace'), workspace: workspaceInfoSchema.nullable() }),
  /** The user started the app again with a folder: bring everything to safety, then open it as a recent one. */
  z.object({ type: z.literal('openRequest'), root: z.string() }),
  z.object({
    type: z.literal('process'),
    process: z.enum(['engine', 'workspace', 'terminal']),
    state: processStateSchema,
  }),
  /** A menu item or its accelerator; the renderer owns what it does. */
  z.object({ type: z.literal('command'), command: z.string() }),
  z.object({ type: z.literal('connection'), connection: connectionSchema }),
  z.object({ type: z.literal('notice'), notice: errorInfoSchema }),
  /** The window is about to close: flush backups, then call `lifecycle.readyToClose`. */
  z.object({ type: z.literal('closing') }),
]);
export type AppEvent = z.infer<typeof appEventSchema>;

export const appInfoSchema = z.object({
  version: z.string(),
  platform: z.string(),
  settings: settingsSchema,
  workspace: workspaceInfoSchema.nullable(),
  recentWorkspaces: z.array(workspaceInfoSchema),
  /** Everything that tried to use the network since the start. */
  connections: z.array(connectionSchema),
  processes: z.object({ engine: processStateSchema, workspace: processStateSchema }),
});
export type AppInfo = z.infer<typeof appInfoSchema>;

export const conversationSchema = z.object({
  id,
  title: z.string(),
  createdAtMs: z.number(),
  updatedAtMs: z.number(),
  /** The last message of the branch that is shown; null shows the newest. */
  leafId: id.nullable(),
});
export type Conversation = z.infer<typeof conversationSchema>;

/** What went to the model with a question: a copy, because the file goes on changing. */
export const attachmentSchema = z.object({
  kind: z.enum(['file', 'selection', 'folder', 'diff', 'symbol', 'terminal']),
  label: z.string().max(5000),
  text: z.string().max(1_000_000),
});
export type Attachment = z.infer<typeof attachmentSchema>;

export const storedMessageSchema = z.object({
  id,
  /** The message that it follows; null for a first one. Absent in messages from before there were branches. */
  parentId: id.nullable().optional(),
  role: z.enum(['user', 'assistant']),
  content: z.string().max(4_000_000),
  attachments: z.array(attachmentSchema).max(50).optional(),
  /** `streaming` on disk means that the app ended during the reply. */
  status: z.enum(['complete', 'stopped', 'failed', 'streaming']),
  error: errorInfoSchema.nullable(),
  stats: generateStatsSchema.nullable(),
  reason: stopReasonSchema.nullable(),
  modelName: z.string().nullable(),
  createdAtMs: z.number(),
});
export type StoredMessage = z.infer<typeof storedMessageSchema>;

/** The text of a buffer that is not on disk. `path` is null for an untitled one. */
export const backupSchema = z.object({
  id,
  path: relativePathSchema.nullable(),
  title: z.string(),
  languageId: z.string(),
  text: z.string(),
  encoding: encodingSchema,
  /** The version that the edits started from; null for a file that was never saved. */
  version: z.string().nullable(),
});
export type Backup = z.infer<typeof backupSchema>;

/** Open tabs and layout of one workspace. */
export const sessionSchema = z.object({
  tabs: z.array(z.object({ path: relativePathSchema.nullable(), backupId: id.nullable() })).max(500),
  activeTab: z.int().nullable(),
  /** The editor is split, and what the half shows that the active tab is not in. Absent without a split. */
  split: z.object({ otherTab: z.int().nullable(), isActiveRight: z.boolean() }).optional(),
  expandedDirectories: z.array(relativePathSchema).max(5000),
  layout: z.record(z.string(), z.number()),
  conversationId: id.nullable(),
});
export type Session = z.infer<typeof sessionSchema>;

export const appContract = {
  info: procedure.output(appInfoSchema),
  /** Everything that happens after `info`. */
  events: procedure.output(eventIterator(appEventSchema)),
  settings: {
    update: procedure.input(settingsPatchSchema).output(settingsSchema),
  },
  workspace: {
    /** Shows the folder dialog, or opens one of `recentWorkspaces` by its root. Null if the user cancels. */
    open: procedure.input(z.object({ recentRoot: z.string().optional() })).output(workspaceInfoSchema.nullable()),
    close: procedure.output(nothing),
    session: {
      load: procedure.output(sessionSchema.nullable()),
      save: procedure.input(sessionSchema).output(nothing),
    },
  },
  models: {
    /** Shows a file dialog for a GGUF file and loads it; null if the user cancels. */
    choose: procedure.output(z.object({ modelPath: z.string() }).nullable()),
    useDefault: procedure.output(nothing),
    /** Loads the current model again after a failure. */
    reload: procedure.output(nothing),
    /** Takes the GPU from every model that has one. */
    leaveGpus: procedure.output(nothing),
    /** The whole state at once and after every change, at most a few times a second. */
    watch: procedure.output(eventIterator(modelsStateSchema)),
    /** Over the network, or in the folder that is the hub. @throws NETWORK_OFF, NETWORK_FAILED, HUB_GATED */
    search: procedure.input(z.object({ text: z.string().max(200) })).output(z.array(hubModelSchema)),
    files: procedure.input(z.object({ repo })).output(z.array(hubFileSchema)),
    /** From the head of the remote file alone. @throws MODEL_INVALID, MODEL_UNSUPPORTED as well */
    remoteFacts: procedure.input(z.object({ repo, path: hubPath })).output(modelFactsSchema),
    download: procedure.input(z.object({ repo, path: hubPath })).output(nothing),
    downloadFromCatalog: procedure.input(z.object({ id })).output(nothing),
    pauseDownload: procedure.input(z.object({ id })).output(nothing),
    resumeDownload: procedure.input(z.object({ id })).output(nothing),
    /** Throws away what has arrived. */
    removeDownload: procedure.input(z.object({ id })).output(nothing),
    /** Shows a file dialog; null if the user cancels. The files stay where they are. */
    chooseImport: procedure.output(z.array(modelEntrySchema).nullable()),
    /** Files that were dropped, or found by a scan. @throws MODEL_INVALID, MODEL_UNSUPPORTED, FILE_NOT_FOUND */
    import: procedure
      .input(z.object({ paths: z.array(z.string().min(1).max(5000)).min(1).max(500) }))
      .output(z.array(modelEntrySchema)),
    /** Shows a folder dialog and looks for models below it; null if the user cancels. */
    scanFolder: procedure.output(z.array(foundModelSchema).nullable()),
    /** Looks where other programs keep theirs. */
    scanOthers: procedure.output(z.array(foundModelSchema)),
    /** Takes it out of the library; a file that was downloaded is deleted. */
    remove: procedure.input(z.object({ id: modelIdSchema })).output(z.object({ freedBytes: z.number() })),
    /** Without an id the choice is taken back. */
    setRole: procedure
      .input(z.object({ role: modelRoleSchema, id: modelIdSchema.nullable().optional(), isEverywhere: z.boolean() }))
      .output(nothing),
    update: procedure
      .input(
        z.object({
          id: modelIdSchema,
          notes: z.string().max(10_000).optional(),
          overrides: modelOverridesSchema.optional(),
        }),
      )
      .output(nothing),
    /** Hashes the whole file. @throws DOWNLOAD_MISMATCH, NOT_FOUND if nobody knows the hash */
    verify: procedure.input(z.object({ id: modelIdSchema })).output(nothing),
    /** Fetches the damaged parts of a downloaded file again. */
    repair: procedure.input(z.object({ id: modelIdSchema })).output(nothing),
    test: procedure.input(z.object({ id: modelIdSchema })).output(nothing),
    benchmark: procedure.input(z.object({ id: modelIdSchema })).output(nothing),
    /** Ends the check, self-test or measurement that runs on a model. */
    /** Finds the fewest bits for keys and values that change little; a minute at most. */
    checkKv: procedure.input(z.object({ id: modelIdSchema })).output(nothing),
    cancelJob: procedure.input(z.object({ id: modelIdSchema })).output(nothing),
    /** What a reply of the model took, with `nPast` positions in the context: predictions learn from it. */
    measured: procedure
      .input(z.object({ id: modelIdSchema, tokensPerSecond: z.number().gt(0), nPast: z.number().min(0) }))
      .output(nothing),
    /** Measures how fast this machine reads weights of these types, as far as it is not known. Takes seconds. */
    /** What GPUs have free now comes with the next state. */
    lookAtGpus: procedure.output(nothing),
    measureSpeeds: procedure
      .input(z.object({ types: z.array(z.string().max(20)).max(40), device: z.string().max(40) }))
      .output(nothing),
    /** Shows a folder dialog and moves what was downloaded; null if the user cancels. */
    moveFolder: procedure.output(z.object({ folder: z.string() }).nullable()),
    /** For gated models; kept in the system's keychain. Null forgets it. */
    setToken: procedure.input(z.object({ token: z.string().min(1).max(1000).nullable() })).output(nothing),
  },
  processes: {
    restart: procedure.input(z.object({ process: z.enum(['engine', 'workspace']) })).output(nothing),
    /** Most people open no terminal: its process starts with the first one. Nothing happens if it runs. */
    startTerminal: procedure.output(nothing),
  },
  conversations: {
    list: procedure.output(z.array(conversationSchema)),
    create: procedure.input(z.object({ title: z.string().max(200) })).output(conversationSchema),
    rename: procedure.input(z.object({ id, title: z.string().min(1).max(200) })).output(nothing),
    delete: procedure.input(z.object({ id })).output(nothing),
    messages: procedure.input(z.object({ id })).output(z.array(storedMessageSchema)),
    /** Adds a message or replaces the one with the same id. */
    putMessage: procedure.input(z.object({ conversationId: id, message: storedMessageSchema })).output(nothing),
    /** Another branch is shown. */
    setLeaf: procedure.input(z.object({ id, leafId: id })).output(nothing),
    /** Conversations with a message that holds the text, the one used last first. */
    search: procedure.input(z.object({ text: z.string().min(1).max(200) })).output(z.array(id)),
  },
  backups: {
    list: procedure.output(z.array(backupSchema)),
    put: procedure.input(backupSchema).output(nothing),
    delete: procedure.input(z.object({ id })).output(nothing),
  },
  lifecycle: {
    /** The window is drawn and takes keys: what is large may start. */
    started: procedure.output(nothing),
    /** `problem`: why unsaved text could not be brought to safety; main then asks the user. */
    readyToClose: procedure.input(z.object({ problem: errorInfoSchema.nullable() })).output(nothing),
  },
  shell: {
    /** Opens an https link in the user's browser, after the renderer has asked. @throws NETWORK_OFF */
    openExternal: procedure.input(z.object({ url: z.url({ protocol: /^https$/ }).max(2000) })).output(nothing),
    /** Shows the save dialog and writes a text; null if the user cancels. @throws IO_ERROR */
    saveText: procedure
      .input(z.object({ name: z.string().min(1).max(200), text: z.string().max(100_000_000) }))
      .output(z.object({ path: z.string() }).nullable()),
    writeClipboard: procedure.input(z.object({ text: z.string().max(4_000_000) })).output(nothing),
  },
};
