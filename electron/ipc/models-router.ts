// Models, as main serves them to the window: one line of wiring each.
import { implement } from '@orpc/server';
import { appContract } from '../common/app-contract.ts';
import type { ModelsService } from '../services/models/models-service.ts';
import type { SettingsFile } from '../services/settings.ts';

export interface ModelsRouterDeps {
  models: ModelsService;
  settings: SettingsFile;
  updateSettings: (patch: Parameters<SettingsFile['update']>[0]) => unknown;
  /** The engine gets its models again. */
  reload: () => void;
  /** Native dialogs; null if the user cancels. */
  chooseModelFile: () => Promise<string | null>;
  chooseModelFiles: () => Promise<string[] | null>;
  chooseModelFolder: (title: string) => Promise<string | null>;
}

const done = () => ({});

export function createModelsRouter(deps: ModelsRouterDeps) {
  const { models, reload } = deps;
  const os = implement(appContract).models;
  return {
    choose: os.choose.handler(async () => {
      const modelPath = await deps.chooseModelFile();
      if (modelPath === null) return null;
      // A file that is no model is tried all the same: the engine says best what is wrong with it.
      const added = await models.import([modelPath], 'imported').catch(() => null);
      await models.chooseChat(added?.[0]?.id ?? `file:${modelPath}`);
      return { modelPath };
    }),
    useDefault: os.useDefault.handler(async () => {
      await models.chooseChat(null);
      return {};
    }),
    reload: os.reload.handler(() => {
      reload();
      return {};
    }),
    leaveGpus: os.leaveGpus.handler(() => {
      models.leaveGpus();
      return {};
    }),
    watch: os.watch.handler(({ signal }) => models.watch(signal)),
    search: os.search.handler(({ input, signal }) => models.search(input.text, signal)),
    files: os.files.handler(({ input, signal }) => models.files(input.repo, signal)),
    remoteFacts: os.remoteFacts.handler(({ input, signal }) => models.remoteFacts(input.repo, input.path, signal)),
    download: os.download.handler(({ input }) => models.download(input.repo, input.path).then(done)),
    downloadFromCatalog: os.downloadFromCatalog.handler(({ input }) => models.downloadFromCatalog(input.id).then(done)),
    pauseDownload: os.pauseDownload.handler(({ input }) => {
      models.downloads.pause(input.id);
      return {};
    }),
    resumeDownload: os.resumeDownload.handler(({ input }) => {
      models.downloads.resume(input.id);
      return {};
    }),
    removeDownload: os.removeDownload.handler(({ input }) => models.downloads.remove(input.id).then(done)),
    chooseImport: os.chooseImport.handler(async () => {
      const paths = await deps.chooseModelFiles();
      return paths === null ? null : models.import(paths, 'imported');
    }),
    import: os.import.handler(({ input }) => models.import(input.paths, 'linked')),
    scanFolder: os.scanFolder.handler(async () => {
      const folder = await deps.chooseModelFolder('Look for Models in a Folder');
      return folder === null ? null : models.findIn(folder);
    }),
    scanOthers: os.scanOthers.handler(() => models.findOthers()),
    remove: os.remove.handler(async ({ input }) => ({ freedBytes: await models.remove(input.id) })),
    setRole: os.setRole.handler(({ input }) => models.setRole(input.role, input.id, input.isEverywhere).then(done)),
    update: os.update.handler(({ input: { id, ...change } }) => {
      models.update(id, change);
      return {};
    }),
    verify: os.verify.handler(({ input }) => models.care.verify(input.id).then(done)),
    repair: os.repair.handler(({ input }) => models.care.repair(input.id).then(done)),
    test: os.test.handler(({ input }) => models.care.test(input.id).then(done)),
    benchmark: os.benchmark.handler(({ input }) => models.care.benchmark(input.id).then(done)),
    checkKv: os.checkKv.handler(({ input }) => models.care.checkKv(input.id).then(done)),
    cancelJob: os.cancelJob.handler(({ input }) => {
      models.care.cancel(input.id);
      return {};
    }),
    measured: os.measured.handler(({ input }) => {
      models.machine.measured(input.id, input.tokensPerSecond, input.nPast);
      return {};
    }),
    lookAtGpus: os.lookAtGpus.handler(() => models.machine.lookAtGpus().then(done)),
    measureSpeeds: os.measureSpeeds.handler(({ input }) =>
      models.machine.measureSpeeds(input.types, input.device).then(done),
    ),
    moveFolder: os.moveFolder.handler(async () => {
      const folder = await deps.chooseModelFolder('Move Models to a Folder');
      if (folder === null) return null;
      await models.moveFolder(folder);
      deps.updateSettings({ modelFolder: folder });
      return { folder };
    }),
    setToken: os.setToken.handler(({ input }) => {
      models.setToken(input.token);
      return {};
    }),
  };
}
