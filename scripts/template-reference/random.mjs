// Random templates and variables as JSON lines, for record.py --render: what the interpreter does with odd
// combinations is compared with what Jinja2 does.
//   node scripts/template-reference/random.mjs FIRST_SEED COUNT | python3 scripts/template-reference/record.py --render
import { Random, TemplateMaker } from '../../electron/engine/jinja/testing/random-templates.ts';

const [firstSeed = 1, count = 1000] = process.argv.slice(2).map(Number);

for (let seed = firstSeed; seed < firstSeed + count; seed++) {
  const maker = new TemplateMaker(new Random(seed));
  console.log(JSON.stringify({ template: maker.template(), context: maker.variables() }));
}
