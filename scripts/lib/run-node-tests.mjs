// Node's test runner over files in the order in which they are given; `node --test` sorts them by name, so that a long
// one may start last. What is printed and written is the same.
//
//   node scripts/lib/run-node-tests.mjs REPORT.tap CONCURRENCY FILE...
import { createWriteStream } from 'node:fs';
import { run } from 'node:test';
import { spec, tap } from 'node:test/reporters';

const [report = '', concurrency = '1', ...files] = process.argv.slice(2);
const events = run({ files, concurrency: Number(concurrency) });
events.on('test:fail', () => {
  process.exitCode = 1;
});
events.compose(new spec()).pipe(process.stdout);
events.compose(tap).pipe(createWriteStream(report));
