// The Node addon as JavaScript sees it: promises, callbacks, errors and wrong arguments.
//
//   node --test native/tests/binding_test.mjs      after building with -DOUTPOST_TESTS=ON
//
// OUTPOST_ADDON and OUTPOST_WRITE_TINY_MODEL name the addon and outpost-write-tiny-model, if they are not in
// build/native/release. What the model says is written in tools/write_tiny_model.cpp. Types: electron/engine/native.d.ts.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const release = fileURLToPath(new URL('../../build/native/release/', import.meta.url));
const addonPath = process.env.OUTPOST_ADDON ?? join(release, 'outpost_engine.node');
const writerPath = process.env.OUTPOST_WRITE_TINY_MODEL ?? join(release, 'outpost-write-tiny-model');
const { loadModel, listDevices } = createRequire(import.meta.url)(addonPath);

const bos = 1;
const again = 262;
const euro = 263;
const nVocab = 264;

let directory;
let modelPath;
let model;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'outpost-binding-'));
  modelPath = join(directory, 'tiny.gguf');
  execFileSync(writerPath, [modelPath]);
  model = await loadModel(modelPath, { nThreads: 1 }).promise;
});

after(() => {
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    // It keeps what is still mapped: a model, until its object is collected.
    if (process.platform !== 'win32') throw error;
  }
});

/** Submits and collects everything until onDone; `during` is called with each event and the request's id. */
function generate(engine, request, during = () => {}) {
  return new Promise((resolve) => {
    const events = [];
    const id = engine.submit(
      { temperature: 0, nPredict: 20, ...request },
      {
        onPrefill: (nDone, nTotal) => events.push(['prefill', nDone, nTotal]),
        onText: (text, nDecoded) => {
          events.push(['text', text, nDecoded]);
          during(id);
        },
        onDone: (reason, stats, error) => {
          events.push(['done']);
          // One turn later: what comes after onDone would be seen.
          setImmediate(() => setImmediate(() => resolve({ events, reason, stats, error, text: textOf(events) })));
        },
      },
    );
  });
}

const textOf = (events) =>
  events
    .filter(([kind]) => kind === 'text')
    .map(([, text]) => text)
    .join('');

const nativeError = (code) => (error) => {
  assert.ok(error instanceof Error);
  assert.ok(!(error instanceof TypeError), `a TypeError: ${error.message}`);
  assert.equal(error.code, code);
  assert.match(error.message, /\w+ .*\.$/);
  return true;
};

const typeError = (name) => (error) => {
  assert.ok(error instanceof TypeError, `no TypeError: ${error}`);
  assert.ok(error.message.startsWith(name), `"${error.message}" does not start with "${name}"`);
  return true;
};

/** Runs a module in a process of its own; `loadModel` and `modelPath` are defined there. */
async function runChild(body) {
  const prelude = `import { createRequire } from 'node:module';
    const addonPath = ${JSON.stringify(addonPath)};
    const { loadModel } = createRequire(${JSON.stringify(import.meta.url)})(addonPath);
    const modelPath = ${JSON.stringify(modelPath)};`;
  const options = { timeout: 20_000 };
  return promisify(execFile)(process.execPath, ['--input-type=module', '-e', prelude + body], options);
}

describe('loadModel', () => {
  it('reports progress that rises to at most 1 and resolves with what the model is', async () => {
    const fractions = [];
    const loaded = await loadModel(modelPath, { cpuKernels: 'scalar', onProgress: (f) => fractions.push(f) }).promise;
    assert.ok(fractions.length > 0);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
    assert.ok(fractions[0] > 0 && fractions.at(-1) <= 1);
    assert.equal(loaded.info.path, modelPath);
    assert.equal(loaded.info.name, 'tiny');
    assert.equal(loaded.info.architecture, 'llama');
    assert.equal(loaded.info.nVocab, nVocab);
    assert.equal(loaded.info.nLayer, 1);
    assert.equal(loaded.info.nCtxTrain, 512);
    assert.equal(loaded.info.fileBytes, readFileSync(modelPath).length);
    assert.match(loaded.info.backend, /^cpu \(scalar, \d+ threads?\)$/);
  });

  it('can be shared by two devices, and says who has what', async () => {
    const path = join(directory, 'shared.gguf');
    execFileSync(writerPath, [path, 'experts']); // of two layers
    const load = (options) => loadModel(path, { nThreads: 1, ...options }).promise;
    const { shares: whole, weightBytes } = (await load({})).info;
    assert.deepEqual(whole, [{ device: 'cpu', firstLayer: 0, nLayer: 2, weightBytes }]);
    const { shares } = (await load({ nDeviceLayers: 1, nDevicePositions: 1024 })).info;
    assert.deepEqual(
      shares.map(({ weightBytes: _, ...share }) => share),
      [
        { device: 'cpu', firstLayer: 0, nLayer: 1 },
        { device: 'cpu', firstLayer: 1, nLayer: 1 },
      ],
    );
    assert.equal(shares[0].weightBytes + shares[1].weightBytes, weightBytes);
    assert.equal((await load({ nDeviceLayers: 0 })).info.shares.length, 1);
    assert.deepEqual((await load({ device: ['cpu', 'cpu'], nDeviceLayers: [1, 1] })).info.shares, shares);
    await assert.rejects(load({ device: ['cuda:7', 'cuda:7'] }), { code: 'invalid_argument', message: /named twice/ });
    await assert.rejects(load({ device: ['cpu', 'cpu'], nDeviceLayers: [1] }), { code: 'invalid_argument' });
    assert.throws(() => loadModel(path, { device: ['cpu', 1] }), { name: 'TypeError' });
    assert.throws(() => loadModel(path, { nDeviceLayers: [1, 'all'] }), { name: 'TypeError' });
    await assert.rejects(load({ nDeviceLayers: -2 }), { code: 'invalid_argument' });
    assert.throws(() => loadModel(path, { nDeviceLayers: 1.5 }), { name: 'TypeError' });
  });

  it('rejects with a code that says what is wrong with the file', async () => {
    const write = (name, bytes) => {
      const path = join(directory, name);
      writeFileSync(path, bytes);
      return path;
    };
    const bytes = readFileSync(modelPath);
    const mamba = Buffer.from(bytes);
    mamba.write('mamba', mamba.indexOf('llama'), 'latin1');
    await assert.rejects(loadModel(join(directory, 'absent.gguf')).promise, nativeError('file_not_found'));
    await assert.rejects(loadModel(directory).promise, nativeError('file_not_found'));
    await assert.rejects(loadModel('').promise, nativeError('file_not_found'));
    await assert.rejects(loadModel(write('text.gguf', 'no model')).promise, nativeError('model_invalid'));
    await assert.rejects(loadModel(write('cut.gguf', bytes.subarray(0, -1))).promise, nativeError('model_invalid'));
    await assert.rejects(loadModel(write('mamba.gguf', mamba)).promise, nativeError('model_unsupported'));
    for (const nThreads of [-1, 1e6, 2 ** 31 - 1]) {
      await assert.rejects(loadModel(modelPath, { nThreads }).promise, nativeError('invalid_argument'));
    }
  });

  it('rejects as cancelled when cancelled, and ignores a late cancel', async () => {
    const cancelAtOnce = () => {
      const handle = loadModel(modelPath);
      handle.cancel();
      handle.cancel();
      return handle.promise.then(
        () => null,
        (error) => error,
      );
    };
    // A tiny model can be there before this thread gets to cancel it.
    let error = null;
    for (let i = 0; error === null && i < 50; i++) error = await cancelAtOnce();
    await assert.rejects(Promise.reject(error), nativeError('cancelled'));
    const late = loadModel(modelPath);
    await late.promise;
    late.cancel();
  });

  it('throws a TypeError that names the wrong argument', () => {
    assert.throws(() => loadModel(), typeError('path'));
    for (const path of [null, 5, {}, Symbol('path')]) assert.throws(() => loadModel(path), typeError('path'));
    assert.throws(() => loadModel(modelPath, 5), typeError('options'));
    assert.throws(() => loadModel(modelPath, null), typeError('options'));
    for (const nThreads of [NaN, 0.5, '2', null, Infinity, 2 ** 31, 2n]) {
      assert.throws(() => loadModel(modelPath, { nThreads }), typeError('options.nThreads'));
    }
    for (const cpuKernels of ['sse', 1, null, '']) {
      assert.throws(() => loadModel(modelPath, { cpuKernels }), typeError('options.cpuKernels'));
    }
    for (const expertCacheBytes of [-1, 0.5, '1', null, 2 ** 60]) {
      assert.throws(() => loadModel(modelPath, { expertCacheBytes }), typeError('options.expertCacheBytes'));
    }
    assert.throws(() => loadModel(modelPath, { onProgress: 1 }), typeError('options.onProgress'));
  });
});

describe('experts', () => {
  it('of a model without any are reported as none', () => {
    assert.equal(model.info.nExpert, 0);
    assert.equal(model.info.nExpertUsed, 0);
    assert.deepEqual(model.expertUsage(), []);
    const engine = model.createEngine();
    const { hitRate, ...counts } = engine.stats().experts;
    assert.equal(hitRate, 1);
    assert.ok(Object.values(counts).every((count) => count === 0));
    engine.dispose();
  });

  it('are counted per layer, and the cache says how well it served', async () => {
    const path = join(directory, 'experts.gguf');
    execFileSync(writerPath, [path, 'experts']);
    for (const expertCacheBytes of [0, 1]) {
      const mixture = await loadModel(path, { nThreads: 1, expertCacheBytes }).promise;
      assert.equal(mixture.info.nExpert, 6);
      assert.equal(mixture.info.nExpertUsed, 2);
      const engine = mixture.createEngine();
      const before = engine.stats().experts;
      assert.ok(before.totalBytes > 0 && before.budgetBytes > 0);
      assert.equal(before.residentBytes, expertCacheBytes === 1 ? 0 : before.totalBytes);
      const { stats } = await generate(engine, { tokens: Int32Array.of(bos, 5, 6, 7) });
      const usage = mixture.expertUsage();
      assert.deepEqual(
        usage.map(({ layer }) => layer),
        [0, 1],
      );
      for (const { nTokens } of usage) {
        assert.ok(nTokens instanceof Float64Array);
        assert.equal(nTokens.length, 6);
        const nComputed = nTokens.reduce((a, b) => a + b) / 2;
        // The last token of a reply is not computed, unless it ended by itself.
        assert.ok([0, 1].includes(stats.nPrompt + stats.nDecoded - nComputed), `${nComputed} tokens`);
      }
      const after = engine.stats().experts;
      assert.equal(after.hitRate, after.nHits / (after.nHits + after.nMisses));
      assert.equal(after.nHits > 0, expertCacheBytes === 0);
      assert.equal(after.nMisses > 0, expertCacheBytes === 1);
      engine.dispose();
    }
  });
});

describe('tokens', () => {
  it('go from text and back', () => {
    const ids = model.tokenize('Hello world');
    assert.ok(ids instanceof Int32Array);
    assert.equal(ids[0], bos);
    assert.equal(model.detokenize(model.tokenize('a€\0😀', { addBos: false })).slice(-5), 'a€\0😀');
    assert.equal(model.tokenize('</s>', { addBos: false, parseSpecial: true }).at(-1), 2);
    assert.notEqual(model.tokenize('</s>', { addBos: false }).at(-1), 2);
    assert.deepEqual([...model.tokenize('', { addBos: false })], []);
    assert.equal(model.detokenize(new Int32Array()), '');
  });

  it('of the wrong type or outside the vocabulary are refused', () => {
    for (const text of [undefined, null, 5, {}]) assert.throws(() => model.tokenize(text), typeError('text'));
    assert.throws(() => model.tokenize('a', { addBos: 1 }), typeError('options.addBos'));
    for (const tokens of [undefined, [1, 2], new Uint32Array(2), new Float32Array(2), 'x', new ArrayBuffer(8)]) {
      assert.throws(() => model.detokenize(tokens), typeError('tokens'));
    }
    for (const id of [-1, nVocab, 2 ** 31 - 1]) {
      assert.throws(() => model.detokenize(Int32Array.of(id)), nativeError('invalid_argument'));
    }
  });
});

describe('the check of keys and values', () => {
  it('says what the calibration is that it was made with, and keeps one that fits', async () => {
    const path = join(directory, 'checked.gguf');
    execFileSync(writerPath, [path]);
    const checked = await loadModel(path, { nThreads: 1 }).promise;
    const tokens = Int32Array.from({ length: 400 }, (_, i) => (i * 31) % nVocab);
    const check = (calibration) => checked.checkKv(calibration, tokens, 400, ['compact', 'safe']).promise;
    assert.equal((await check(new Int32Array())).calibration, 'none');
    const made = await check(tokens);
    assert.equal(made.calibration, 'made');
    assert.equal(made.results.length, 2);
    assert.equal(made.results[0].nTokens, 199);
    const beside = readFileSync(`${path}.kv-calibration`);
    assert.equal((await check(tokens.toReversed())).calibration, 'kept');
    assert.deepEqual(readFileSync(`${path}.kv-calibration`), beside);
  });
});

describe('the list of devices', () => {
  it('begins with the processor, and has a reason for each that cannot be used and for no other', async () => {
    const [cpu, ...gpus] = await listDevices();
    assert.equal(cpu.id, 'cpu');
    assert.ok(!('unusable' in cpu));
    for (const gpu of gpus.filter((device) => 'unusable' in device)) {
      assert.match(gpu.unusable, /./);
      assert.equal(gpu.freeBytes, 0);
    }
  });
});

describe('generate', () => {
  it('reports prefill, text and the end, in this order and the end once', async () => {
    const engine = model.createEngine();
    const { events, text, reason, stats, error } = await generate(engine, { tokens: Int32Array.of(bos) });
    assert.equal(text, 'Hello world');
    assert.equal(reason, 'end_of_text');
    assert.equal(error, undefined);
    assert.deepEqual(events[0], ['prefill', 1, 1]);
    assert.deepEqual(events.at(-1), ['done']);
    assert.equal(events.filter(([kind]) => kind === 'done').length, 1);
    assert.equal(events.findLast(([kind]) => kind === 'text')[2], 3);
    assert.equal(stats.nPrompt, 1);
    assert.equal(stats.nDecoded, 3);
    assert.equal(stats.nCtx, 512);
    for (const name of ['queueMs', 'prefillMs', 'decodeMs', 'ttftMs']) assert.ok(stats[name] >= 0, name);
    assert.equal(engine.stats().nActive, 0);
    assert.ok(engine.stats().kvBytesTotal >= engine.stats().kvBytesUsed);
    assert.equal(engine.stats().headKvBytes, 0);
    engine.dispose();
  });

  it('saves what it has read, and another engine goes on from there', async () => {
    const path = join(directory, 'context.kv');
    const tokens = Int32Array.from({ length: 150 }, (_, i) => (i === 0 ? bos : 3 + ((i * 7) % 250)));
    const engine = model.createEngine({ kv: 'compact' });
    const first = await generate(engine, { tokens });
    const saved = await engine.saveCache(path);
    assert.ok(saved.nTokens >= 149 && saved.nBytes > 0); // a reply that ends at once leaves the last one out
    assert.ok(engine.stats().nKvTokens >= 149 && engine.stats().nKvPages >= 3);
    engine.dispose();
    const next = model.createEngine({ kv: 'compact' });
    assert.deepEqual((await next.restoreCache(path)).nTokens, saved.nTokens);
    const again = await generate(next, { tokens });
    assert.equal(again.text, first.text);
    assert.equal(again.stats.nReused, 149);
    assert.equal(next.stats().nReused, 149);
    await assert.rejects(model.createEngine().restoreCache(path), nativeError('invalid_argument'));
    await assert.rejects(next.restoreCache(join(directory, 'none.kv')), nativeError('file_not_found'));
    await assert.rejects(next.saveCache(join(directory, 'none', 'context.kv')), nativeError('file_unreadable'));
    assert.throws(() => next.saveCache(5), typeError('path'));
    const saving = next.saveCache(path); // an engine that goes away meanwhile
    next.dispose();
    await saving;
  });

  it('begins a reply with beginWith and reports what follows it', async () => {
    const engine = model.createEngine();
    const tokens = Int32Array.of(bos, 259); // "Hello"
    const reply = await generate(engine, { tokens, beginWith: ' w' });
    assert.deepEqual([reply.text, reply.stats.nDecoded, reply.reason], ['orld', 2, 'end_of_text']);
    const euros = await generate(engine, { tokens: Int32Array.of(euro), beginWith: '€', stop: ['€'] });
    assert.deepEqual([euros.text, euros.stats.nDecoded, euros.reason], ['', 3, 'end_of_text']);
    for (const beginWith of ['', undefined]) assert.equal((await generate(engine, { tokens, beginWith })).text, ' world');
    // How likely each token was that said more than this, if it is asked: " wor" and "ld".
    assert.equal(reply.stats.logProbs.length, 0);
    const sure = await generate(engine, { tokens, beginWith: ' w', logProbs: true });
    assert.equal(sure.stats.logProbs.length, 2);
    assert.ok(sure.stats.logProbs.every((logProb) => logProb <= 0 && logProb > -1));
    engine.dispose();
  });

  it('heeds nPredict, stop and nCtx', async () => {
    const engine = model.createEngine({ nCtx: 16, nPrefill: 4 });
    const hello = Int32Array.of(bos);
    assert.equal((await generate(engine, { tokens: hello, nPredict: 2 })).text, 'Hello wor');
    assert.equal((await generate(engine, { tokens: hello, nPredict: 2 })).reason, 'length');
    const stopped = await generate(engine, { tokens: hello, stop: ['xyz', 'o wo'] });
    assert.deepEqual([stopped.text, stopped.reason], ['Hell', 'stop_string']);
    const full = await generate(engine, { tokens: Int32Array.of(again), nPredict: 2 ** 31 - 1 });
    assert.deepEqual([full.text, full.reason], ['again'.repeat(16), 'context_full']);
    const sliced = await generate(engine, { tokens: new Int32Array(9).fill(again), nPredict: 1 });
    assert.equal(sliced.stats.nPrompt, 9);
    engine.dispose();
  });

  it('gives a character whole though its bytes are three tokens', async () => {
    const engine = model.createEngine();
    const { events } = await generate(engine, { tokens: Int32Array.of(euro) });
    const texts = events.filter(([kind]) => kind === 'text');
    assert.deepEqual(texts, [['text', '€', 3]]);
    engine.dispose();
  });

  it('takes every sampling parameter', async () => {
    const engine = model.createEngine();
    const sampler = {
      temperature: 0.5,
      topK: 5,
      topP: 0.9,
      minP: 0.1,
      repeatPenalty: 1.1,
      repeatLastN: 8,
      seed: 2 ** 53,
    };
    const result = await generate(engine, { tokens: Int32Array.of(bos), ...sampler, priority: 'inline' });
    assert.equal(result.text, 'Hello world'); // other tokens are e^-17 as probable
    engine.dispose();
  });

  it('runs several requests at once', async () => {
    const engine = model.createEngine();
    const requests = Array.from({ length: 8 }, (_, i) =>
      generate(engine, { tokens: Int32Array.of(i % 2 ? bos : euro) }),
    );
    const texts = (await Promise.all(requests)).map((result) => result.text);
    assert.deepEqual(texts, ['€', 'Hello world', '€', 'Hello world', '€', 'Hello world', '€', 'Hello world']);
    engine.dispose();
  });

  it('ends as cancelled after cancel, and cancel ignores unknown ids', async () => {
    const engine = model.createEngine({ nCtx: 100_000, kvBytes: 0 });
    for (const id of [0, -1, 1e9, NaN, 0.5]) engine.cancel(id);
    const request = { tokens: Int32Array.of(again), nPredict: 90_000 };
    const result = await generate(engine, request, (id) => engine.cancel(id));
    assert.equal(result.reason, 'cancelled');
    assert.equal(result.error, undefined);
    assert.ok(result.stats.nDecoded < 90_000);
    assert.equal(result.text, 'again'.repeat(result.stats.nDecoded));
    assert.equal(result.events.filter(([kind]) => kind === 'done').length, 1);
    for (const id of [undefined, '1', {}, null]) assert.throws(() => engine.cancel(id), typeError('requestId'));
    engine.dispose();
  });

  it('ends as cancelled when the engine is disposed of, also from a callback', async () => {
    const engine = model.createEngine({ nCtx: 100_000 });
    const request = { tokens: Int32Array.of(again), nPredict: 90_000 };
    const result = await generate(engine, request, () => engine.dispose());
    assert.equal(result.reason, 'cancelled');
    assert.throws(() => engine.stats(), nativeError('invalid_argument'));
    assert.throws(() => engine.submit({ ...request }, { onDone() {} }), nativeError('invalid_argument'));
    engine.cancel(1);
    engine.dispose();
  });
});

describe('wrong requests', () => {
  const sink = { onDone: () => assert.fail('a refused request has no end') };
  let engine;
  before(() => {
    engine = model.createEngine({ nCtx: 64 });
  });
  after(() => {
    assert.equal(engine.stats().nActive, 0);
    engine.dispose();
  });
  const submit = (request, listener = sink) => engine.submit({ tokens: Int32Array.of(1), ...request }, listener);

  it('of the wrong type throw a TypeError that names the field', () => {
    for (const request of [undefined, null, 5, 'x']) assert.throws(() => engine.submit(request, sink), TypeError);
    for (const tokens of [
      undefined,
      null,
      [1],
      'x',
      new Float64Array(1),
      new Uint8Array(4),
      new DataView(new ArrayBuffer(4)),
    ]) {
      assert.throws(() => submit({ tokens }), typeError('request.tokens'));
    }
    for (const nPredict of [NaN, Infinity, -Infinity, 1.5, '5', null, true, 2 ** 31, -(2 ** 31) - 1, 5n]) {
      assert.throws(() => submit({ nPredict }), typeError('request.nPredict'));
    }
    for (const field of ['temperature', 'topP', 'minP', 'repeatPenalty']) {
      for (const value of [NaN, Infinity, '1', null, [], 1n]) {
        assert.throws(() => submit({ [field]: value }), typeError(`request.${field}`));
      }
    }
    for (const field of ['topK', 'repeatLastN'])
      assert.throws(() => submit({ [field]: 0.5 }), typeError(`request.${field}`));
    for (const seed of [-1, 0.5, 2 ** 54, NaN, 1n]) assert.throws(() => submit({ seed }), typeError('request.seed'));
    for (const stop of ['x', {}, [1], [null], [undefined, 'x']])
      assert.throws(() => submit({ stop }), typeError('request.stop'));
    for (const beginWith of [1, null, ['x'], {}, true]) {
      assert.throws(() => submit({ beginWith }), typeError('request.beginWith'));
    }
    for (const priority of ['urgent', 1, null, '__proto__']) {
      assert.throws(() => submit({ priority }), typeError('request.priority'));
    }
  });

  it('without callbacks, or with callbacks that are none, throw a TypeError', () => {
    for (const listener of [undefined, null, 5, {}, { onText() {} }, { onDone: 1 }, { onDone() {}, onText: 'x' }]) {
      assert.throws(() => engine.submit({ tokens: Int32Array.of(1) }, listener), typeError('sink'));
    }
  });

  it('out of range throw an error with a code', () => {
    for (const id of [-1, nVocab, 2 ** 31 - 1]) {
      assert.throws(() => submit({ tokens: Int32Array.of(id) }), nativeError('invalid_argument'));
    }
    for (const nPredict of [0, -1, -(2 ** 31)])
      assert.throws(() => submit({ nPredict }), nativeError('invalid_argument'));
    const outOfRange = [{ temperature: -1 }, { temperature: 1e300 }, { topP: 2 }, { minP: -1 }, { topK: -1 }];
    for (const sampler of outOfRange) assert.throws(() => submit(sampler), nativeError('invalid_argument'));
    for (const beginWith of ['x'.repeat(257), 'é'.repeat(129)]) {
      assert.throws(() => submit({ beginWith }), nativeError('invalid_argument'));
    }
    assert.throws(() => submit({ tokens: new Int32Array(64).fill(1) }), nativeError('context_full'));
  });

  it('that throw while they are read pass the exception on', () => {
    const boom = new Error('boom');
    const throwing = (name) =>
      Object.defineProperty({}, name, {
        enumerable: true,
        get: () => {
          throw boom;
        },
      });
    assert.throws(() => engine.submit(throwing('tokens'), sink), boom);
    assert.throws(() => engine.submit({ tokens: Int32Array.of(1) }, throwing('onDone')), boom);
  });

  it('for engines that cannot be made are refused', () => {
    assert.throws(() => model.createEngine(5), typeError('options'));
    for (const nCtx of [NaN, 0.5, '64', 2 ** 31])
      assert.throws(() => model.createEngine({ nCtx }), typeError('options.nCtx'));
    for (const kvBytes of [-1, 2 ** 60, null])
      assert.throws(() => model.createEngine({ kvBytes }), typeError('options.kvBytes'));
    assert.throws(() => model.createEngine({ kv: 'tiny' }), typeError('options.kv'));
    assert.throws(() => model.createEngine({ nCtx: -1 }), nativeError('invalid_argument'));
    assert.throws(() => model.createEngine({ nPrefill: -1 }), nativeError('invalid_argument'));
    assert.throws(() => model.createEngine({ kvBytes: 1 }), nativeError('invalid_argument'));
    assert.throws(() => new (Object.getPrototypeOf(engine).constructor)(), typeError('Engine'));
    assert.throws(() => new (Object.getPrototypeOf(model).constructor)({}), typeError('Model'));
  });
});

describe('a process', () => {
  it('ends by itself when nothing runs', async () => {
    const { stdout } = await runChild(`
      const model = await loadModel(modelPath).promise;
      const engine = model.createEngine();
      engine.submit({ tokens: Int32Array.of(1), nPredict: 9, temperature: 0 }, { onDone: (reason) => console.log(reason) });`);
    assert.equal(stdout, 'end_of_text\n');
  });

  it('ends by itself after a request to a disposed engine', async () => {
    const { stdout } = await runChild(`
      const engine = (await loadModel(modelPath).promise).createEngine();
      engine.dispose();
      try {
        engine.submit({ tokens: Int32Array.of(1), nPredict: 9 }, { onDone() {} });
      } catch (error) {
        console.log(error.code);
      }`);
    assert.equal(stdout, 'invalid_argument\n');
  });

  it('ends while a reply is running', async () => {
    const { stdout } = await runChild(`
      const engine = (await loadModel(modelPath).promise).createEngine({ nCtx: 100000 });
      engine.submit({ tokens: Int32Array.of(262), nPredict: 90000, temperature: 0 },
        { onText: () => { console.log('bye'); process.exit(0); }, onDone() {} });`);
    assert.equal(stdout, 'bye\n');
  });

  it('still hears of the end after a callback threw', async () => {
    for (const name of ['onPrefill', 'onText']) {
      const { stdout } = await runChild(`
        process.on('uncaughtException', (error) => console.log(error.message));
        const engine = (await loadModel(modelPath).promise).createEngine();
        let hasThrown = false;
        const listener = {
          ${name}() { if (!hasThrown) { hasThrown = true; throw new Error('from the test'); } },
          onDone: (reason) => console.log(reason),
        };
        engine.submit({ tokens: Int32Array.of(1), nPredict: 9, temperature: 0 }, listener);
        // JavaScript is busy until the reply is over: all of it is delivered at once.
        while (engine.stats().nActive > 0);`);
      assert.equal(stdout, 'from the test\nend_of_text\n', name);
    }
  });

  it('still has its promise settled after onProgress threw', async () => {
    const { stdout } = await runChild(`
      process.on('uncaughtException', (error) => console.log(error.message));
      let hasThrown = false;
      const onProgress = () => { if (!hasThrown) { hasThrown = true; throw new Error('from the test'); } };
      const model = await loadModel(modelPath, { onProgress }).promise;
      console.log(model.info.name);`);
    assert.equal(stdout, 'from the test\ntiny\n');
  });

  it('survives a worker that is terminated in the middle of a reply', async () => {
    const { stdout } = await runChild(`
      const { Worker } = await import('node:worker_threads');
      for (let i = 0; i < 3; ++i) {
        const worker = new Worker(\`
          const { parentPort, workerData } = require('node:worker_threads');
          const { loadModel } = require(workerData.addonPath);
          loadModel(workerData.modelPath).promise.then((model) => {
            const engine = model.createEngine({ nCtx: 100000 });
            let isTold = false;
            const onText = () => { if (!isTold) { isTold = true; parentPort.postMessage('running'); } };
            engine.submit({ tokens: Int32Array.of(262), nPredict: 90000, temperature: 0 }, { onText, onDone() {} });
          });\`, { eval: true, execArgv: [], workerData: { addonPath, modelPath } });
        await new Promise((resolve) => worker.once('message', resolve));
        await worker.terminate();
      }
      console.log((await loadModel(modelPath).promise).info.name);`);
    assert.equal(stdout, 'tiny\n');
  });
});
