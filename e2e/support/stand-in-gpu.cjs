// For stories on machines without a GPU: the addon gets a GPU that is the processor by another name. The engine shares a
// model out to it as to any device. It has room for one layer of a small model: that is what it gets where the engine is to
// choose, which would look at the main memory here.
//
// The engine's process loses this GPU when it is sent SIGUSR2.
//
// Required by Electron before the app (`switches: standInGpu`), this file has the engine's process begin with itself: there
// it changes what is loaded as the addon, and goes on with the engine.
const { Module } = require('node:module');

const gpu = { id: 'cuda:0', name: 'Stand-in GPU', totalBytes: 2 ** 29, sharesMemory: false };
const room = 278e6;
const sensors = {
  temperatureC: 71,
  slowdownC: 90,
  powerWatts: 212.5,
  powerLimitWatts: 350,
  clockMhz: 1755,
  memoryClockMhz: null,
  busy: 0.83,
  usedBytes: 0,
};
let used = 0;

const onProcessor = ({ device, ...options } = {}) => ({
  ...options,
  device: device === gpu.id ? 'cpu' : (device ?? 'cpu'),
});

function standIn(addon) {
  return {
    ...addon,
    listDevices: async () => [...(await addon.listDevices()), { ...gpu, freeBytes: Math.max(0, room - used), sensors }],
    measureWeightSpeed: (type, options) => addon.measureWeightSpeed(type, onProcessor(options)),
    measureLayerSpeed: (options) => addon.measureLayerSpeed(onProcessor(options)),
    loadModel: (path, options = {}) => {
      const nDeviceLayers = options.nDeviceLayers === 0 ? 1 : options.nDeviceLayers;
      const shared = nDeviceLayers === undefined ? options : { ...options, nDeviceLayers };
      const { promise, cancel } = addon.loadModel(path, onProcessor(shared));
      return { promise: promise.then((model) => (options.device === gpu.id ? asOnGpu(model) : model)), cancel };
    },
  };
}

/** The last share is the GPU's. */
function asOnGpu(model) {
  const { info } = model;
  const shares = info.shares.map((share, i) => (i === info.shares.length - 1 ? { ...share, device: gpu.id } : share));
  const bytes = shares.at(-1).weightBytes;
  used += bytes;
  const { dispose } = model;
  Object.defineProperty(model, 'info', { value: { ...info, shares } });
  model.dispose = () => {
    used -= bytes;
    dispose.call(model);
  };
  return model;
}

const { utilityProcess } = process.parentPort === undefined ? require('electron') : {};
if (utilityProcess) {
  const { fork } = utilityProcess;
  utilityProcess.fork = (entry, args, options) =>
    entry.endsWith('engine-host.js')
      ? fork.call(utilityProcess, __filename, [entry, ...args], options)
      : fork.call(utilityProcess, entry, args, options);
} else {
  const load = Module._extensions['.node'];
  Module._extensions['.node'] = (module, path) => {
    load(module, path);
    if (path.endsWith('outpost_engine.node')) module.exports = standIn(module.exports);
  };
  process.on('SIGUSR2', () =>
    process.parentPort.postMessage({
      type: 'device-lost',
      message: 'The GPU failed while computing: unspecified failure.',
    }),
  );
  void import(process.argv[2]);
}
