// The scripts for a lent GPU, with stubs in place of the compiler, the driver and the programs: what becomes of failures,
// of hangs and of an end in the middle.
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { leaveBehind, putBack } from '../tasks/gpu-lease.mjs';
import { bundledModelFile } from './bundled-models.mjs';

/** @type {string} */
let tree;
/** @param {string} path @param {string} content @param {number} [mode] */
function write(path, content, mode = 0o644) {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content, { mode });
}
/** @param {string} path @param {string} body of a shell script */
const program = (path, body) => write(path, `#!/bin/bash\n${body}\n`, 0o755);
/** @param {string} path */
const read = (path) => readFileSync(join(tree, path), 'utf8');

const environment = () => ({
  ...process.env,
  PATH: `${join(tree, 'bin')}:${process.env.PATH}`,
  OUT: join(tree, 'out'),
  TMPDIR: join(tree, 'models'),
  OUTPOST_GPU_MODELS: join(tree, 'models'),
  OUTPOST_GPU_MODEL_SECONDS: '1',
  OUTPOST_GPU_MOST_HUNG: '3',
});

/** @param {string} script @param {string[]} args */
function runScript(script, ...args) {
  const { status, stdout, stderr } = spawnSync(join(tree, script), args, { env: environment(), encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

const speed = `outpost, q4_K, cuda
prefill    12000.0 tok/s  (2048 tokens; weights of layers alone are 445.00 TFLOP/s)
decode       600.0 tok/s  (128 tokens; reads 3000.0 GB/s of weights, 75.3 % of the 4000.0 GB/s measured)
steps     1: 2.00 ms, 8: 2.20 ms  (tokens at once, at depth 128; 8 take 1.10 x as long as 1)`;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'outpost-gpu-check-'));
  for (const path of ['gpu-check.sh', 'gpu-peer.sh', 'lib', 'peer/gpu_report.py', 'peer/gpu_goals.py'])
    cpSync(join('scripts', path), join(tree, 'scripts', path), { recursive: true });
  for (const folder of ['out', 'docs', 'models', 'native', 'kernels']) mkdirSync(join(tree, folder));
  write('carry/commit', 'abc1234 0\n');
  program('bin/git', 'exit 1');
  program(
    'bin/nvidia-smi',
    'case "$*" in *=name*) echo A GPU ;; *cap*) echo 9.0 ;; *clocks*) echo 1980, 3201, 50, 600.5 ;; esac',
  );
  program(
    'bin/cmake',
    'case "$*" in *outpost-gpu-tests*) [ ! -f broken ] || { echo error: no tests; exit 1; } ;; esac',
  );
  program(
    'build/native/gpu/outpost-gpu-bench',
    '[ $1 != codes ] || echo "codes  1 tokens at  32768, layers as compact: 1.90 x"; echo $1: 890 TFLOP/s of bf16 products alone',
  );
  program('build/native/gpu/outpost-write-large-model', 'echo model >"$1"');
  program('build/native/gpu/outpost-engine', `[ "$1" = devices ] || cat <<'END'\n${speed}\nEND`);
  program(
    'build/native/gpu/outpost-gpu-tests',
    'case "$1" in --list*) printf "gpu good: a\\ngpu bad: b\\n" ;; *bad*) echo "ERROR: wrong"; exit 1 ;; *) echo "[doctest] test cases: 1 | 1 passed | 0 failed" ;; esac',
  );
  program(
    'build/native/gpu/outpost-gpu-models',
    `case "$2$OUTPOST_GPU_NO_STREAM" in
       *hang.gguf) sleep 30 ;;
       *crash.gguf) echo "a sentence"; exit 3 ;;
       *bad.gguf) echo "FAILED bad.gguf  few: median 1"; exit 1 ;;
       *) echo "ok     $(basename $2)  few: median 0" ;;
     esac`,
  );
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

it('goes on after models that fail, crash or hang, and says which switch helps', () => {
  for (const name of ['good', 'bad', 'crash', 'hang']) write(`models/${name}.gguf`, '');
  const { status, text } = runScript('scripts/gpu-check.sh', '--models');
  expect(status).toBe(1);
  expect(text).toMatch(/^ok {5}good.gguf/m);
  expect(text).toMatch(/^FAILED bad.gguf/m);
  expect(text).toMatch(/^FAILED crash.gguf: exit code 3: a sentence/m);
  expect(text).toMatch(/^HUNG {3}hang.gguf: not done after 1 s/m);
  expect(text).toContain('-- alone, OUTPOST_NONE: hang.gguf did not end');
  expect(text).toContain('-- alone, OUTPOST_GPU_NO_STREAM: ok     hang.gguf');
  expect(text).toContain('-- alone, OUTPOST_GPU_UNRECORDED=1 CUDA_LAUNCH_BLOCKING: FAILED bad.gguf');
  expect(text).toContain('1 of 4 models are good, 0 were not reached');
  expect(read('out/models.log')).toBe(read('build/gpu-logs/models.log'));
  expect(read('out/models.log')).toMatch(/^# .* A GPU, .* commit abc1234 and changes/);
});

it('leaves models out where many hang, so that there is time to find out why', () => {
  for (let i = 1; i <= 4; ++i) write(`models/${i}hang.gguf`, '');
  const { text } = runScript('scripts/gpu-check.sh', '--deadline', '6', '--models');
  expect(text).toMatch(/^HUNG {3}2hang.gguf/m);
  expect(text).toMatch(/^LEFT {3}4hang.gguf: 3 others hang/m);
  expect(text).toContain('-- alone, OUTPOST_NONE: 1hang.gguf did not end');
});

it('measures with a switch what is not measured as it is, and all that follows', () => {
  const engine = 'build/native/gpu/outpost-engine';
  program(engine, `[ "$1" = devices ] || [ -n "$OUTPOST_GPU_IN_ORDER" ] || exit 1\ncat <<'END'\n${speed}\nEND`);
  program(
    'build/native/gpu/outpost-gpu-bench',
    '[ "$1" != matvec ] || [ -n "$OUTPOST_GPU_NO_STREAM" ] || exit 1; echo $1 measured',
  );
  const tests = 'build/native/gpu/outpost-gpu-tests';
  program(tests, 'echo "gpu a: with $OUTPOST_GPU_IN_ORDER.test cases:"');
  const parts = ['--speed', '--bench', '--kernels'];
  const { status, text } = runScript('scripts/gpu-check.sh', '--shapes', '1b-q4_K 1b-q8_0', ...parts);
  expect(status).toBe(1);
  expect(text).toContain('the speed of 1b-q4_K is not known');
  expect(text).not.toContain('the speed of 1b-q8_0 is not known');
  const log = read('out/speed.log');
  expect(log).toMatch(/^-- 1b-q4_K, OUTPOST_GPU_NO_STREAM\n(gpu: .*\n)?-- 1b-q4_K, OUTPOST_GPU_IN_ORDER\noutpost/m);
  expect(log).toMatch(/^-- what follows is with OUTPOST_GPU_IN_ORDER\n-- 1b-q8_0\noutpost/m);
  expect(log.match(/^decode/gm)).toHaveLength(2);
  expect(read('out/kernels.log')).toContain('with .test cases');
  expect(read('out/bench.log')).toMatch(/^-- what follows is with OUTPOST_GPU_NO_STREAM\nmatvec measured/m);
});

it('tells where a kernel hangs, and which access was bad', () => {
  program(
    'build/native/gpu/outpost-gpu-tests',
    `case "$1" in
       --list*) printf "gpu float a: x\\ngpu float b: x\\ngpu good: a\\ngpu hang: b\\n" ;;
       *hang*) echo "0.1 s: gpu hang: a"; sleep 30 ;;
       *float\\ a*) echo "ERROR: an illegal memory access (cudaErrorIllegalAddress)"; exit 1 ;;
       *) echo "[doctest] test cases: 1 | 1 passed | 0 failed" ;;
     esac`,
  );
  program('bin/compute-sanitizer', 'echo "========= Invalid __global__ read of size 4 bytes at $*"');
  const { text } = runScript('scripts/gpu-check.sh', '--deadline', '4', '--kernels');
  expect(text).toMatch(/^=+ Invalid __global__ read .*-tc=gpu float a:\*$/m);
  expect(text).toMatch(/^-- the last that ended: 0.1 s: gpu hang: a$/m);
  runScript('scripts/gpu-check.sh', '--page', 'out');
  expect(read('docs/gpu-results.md')).toContain('| kernels as their definitions | all | 2 of 4 |');
});

it('measures several GPUs together, without those that cannot be used', () => {
  program(
    'build/native/gpu/outpost-engine',
    `echo "$*" >>calls
     [ "$1" = devices ] || exec cat <<'END'
${speed}
END
     echo 'cpu      the processor   9 of 9 MiB free'
     echo 'cuda:0   A GPU           9 of 9 MiB free'
     echo 'cuda:1   A GPU           cannot be used: cuda:1 (A GPU) refuses this program: out of memory'
     echo 'cuda:2   A GPU           9 of 9 MiB free'`,
  );
  runScript('scripts/gpu-check.sh', '--speed');
  expect(read('calls')).toContain('--device cuda:0,cuda:2 ');
  expect(read('calls')).not.toContain('cuda:0,cuda:1');
});

it('builds and runs the rest where tests cannot be compiled', () => {
  write('broken', '');
  const { status, text } = runScript('scripts/gpu-check.sh', '--kernels', '--bench');
  expect(status).toBe(1);
  expect(text).toContain('error: no tests');
  expect(text).toContain('experts: 890 TFLOP/s');
});

it('ends at the deadline with what it has', () => {
  program('build/native/gpu/outpost-gpu-bench', '[ $1 = codes ] || sleep 20; echo $1 measured');
  const start = performance.now();
  const { status, text } = runScript('scripts/gpu-check.sh', '--deadline', '2', '--bench', '--kernels');
  expect(performance.now() - start).toBeLessThan(10_000);
  expect(status).toBe(1);
  expect(text).toContain('the bench of matvec failed');
  expect(text).toContain('kernels: not begun before the deadline');
  expect(read('out/bench.log')).toContain('codes measured');
});

it('has told what it measured when it is killed', async () => {
  program('build/native/gpu/outpost-gpu-bench', '[ $1 = codes ] || sleep 20; echo $1 measured');
  const child = spawn(join(tree, 'scripts/gpu-check.sh'), ['--bench'], { env: environment(), detached: true });
  const isThere = () => existsSync(join(tree, 'out/bench.log')) && read('out/bench.log').includes('gpu: ');
  while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 50));
  process.kill(-(child.pid ?? Number.NaN), 'SIGKILL');
  await new Promise((resolve) => child.on('close', resolve));
  expect(read('out/bench.log')).toContain('gpu: 1980 to 1980 MHz, memory 3201 MHz, at most 50 C and 600 W');
});

it('measures the peer in turns, keeps earlier lines, and writes a page from several runs', () => {
  const [line] = recorded('testdata/llama-bench.jsonl');
  const [ours] = recorded('testdata/outpost-bench.jsonl');
  program(
    'build/gpu-peer/build/bin/llama-bench',
    `cat <<'END'\n${JSON.stringify({ ...JSON.parse(line ?? ''), gpu_info: 'A GPU' })}\nEND`,
  );
  program('build/native/gpu/outpost-engine', `[ "$1" = devices ] || cat <<'END'\n${ours}\nEND`);
  expect(runScript('scripts/gpu-peer.sh', '--measure', '--pairs', '1', '--shapes', '1b-q4_K').status).toBe(0);
  const { status, text } = runScript('scripts/gpu-peer.sh', '--measure', '--pairs', '2', '--shapes', '1b-q4_K');
  expect(text.match(/medians of \d pairs/g)).toEqual(['medians of 2 pairs', 'medians of 3 pairs']);
  expect(status).toBe(0);
  const programs = read('out/peer.jsonl')
    .trim()
    .split('\n')
    .map((entry) => JSON.parse(entry).program);
  expect(programs.slice(-6)).toEqual(['llama.cpp', 'llama.cpp', 'outpost', 'outpost', 'llama.cpp', 'llama.cpp']);

  program('build/native/gpu/outpost-engine', `[ "$1" = devices ] || cat <<'END'\n${speed}\nEND`);
  cpSync(join(tree, 'out'), join(tree, 'first'), { recursive: true });
  rmSync(join(tree, 'out'), { recursive: true });
  mkdirSync(join(tree, 'out'));
  runScript('scripts/gpu-check.sh', '--speed', '--bench', '--kernels', '--shapes', '8b-q4_K');
  cpSync(join(tree, 'out'), join(tree, 'second'), { recursive: true });
  write('first/peer.jsonl', `${read('first/peer.jsonl')}{"shape":"1b-q4_K","pa`);
  expect(runScript('scripts/gpu-check.sh', '--page', 'first', 'second').status).toBe(0);
  const page = read('docs/gpu-results.md');
  expect(page).toContain('1 lines were broken');
  expect(page).toContain(
    "| decode of 8b-q4_K, of a copy's bandwidth | ≥ 75 % | 75.3 % (600.0 tok/s; a copy: 4000.0 GB/s) |",
  );
  expect(page).toContain('| 8 tokens of 8b-q4_K against 1 | ≤ 1.2 x | 1.10 x |');
  expect(page).toContain('| 445.00 TFLOP/s, 50 % of 890 (12000.0 tok/s) |');
  expect(page).toContain('| attention at 32,768, compact against f16 | ≥ 1.7 x | 1.90 x |');
  expect(page).toContain('| models as on the CPU | all | not measured |');
  expect(page).toContain('| kernels as their definitions | all | 1 of 2 |');
  expect(page).toContain('commit abc1234 and changes');
});

/** @param {string} path below scripts/peer */
const recorded = (path) => readFileSync(join('scripts/peer', path), 'utf8').trim().split('\n');

it('does not compile again what was only sent again', () => {
  write('kernels/a.cu', 'a');
  write('kernels/b.cu', 'b');
  const settle = () =>
    spawnSync('bash', ['-c', '. scripts/lib/gpu-common.sh; settle_times'], { cwd: tree, encoding: 'utf8' });
  const time = (/** @type {string} */ path) => statSync(join(tree, path)).mtimeMs;
  settle();
  const first = time('kernels/a.cu');
  for (const path of ['a', 'b']) utimesSync(join(tree, `kernels/${path}.cu`), 4e9, 4e9);
  write('kernels/b.cu', 'changed');
  settle();
  expect(time('kernels/a.cu')).toBe(first);
  expect(time('kernels/b.cu')).toBeGreaterThan(first);
  expect(time('kernels/b.cu')).toBeLessThan(4e12);
});

it('leaves behind what the machine does not need, and puts it back, twice', async () => {
  write(bundledModelFile('outpost-code'), 'large');
  write('docs/pictures/a.png', 'picture');
  expect(await leaveBehind(tree)).toHaveLength(2);
  expect(await leaveBehind(tree)).toEqual([]);
  expect(existsSync(join(tree, 'docs/pictures'))).toBe(false);
  expect(await putBack(tree)).toHaveLength(2);
  expect(await putBack(tree)).toEqual([]);
  expect(read('docs/pictures/a.png')).toBe('picture');
  await leaveBehind(tree);
  write('docs/pictures/b.png', 'another');
  await expect(putBack(tree)).rejects.toThrow('are both there');
});
