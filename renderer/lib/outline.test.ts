import { expect, it } from 'vitest';
import { declarationAround, enclosing, outline } from './outline.ts';

const names = (text: string, languageId: string) => outline(text, languageId).map(({ name }) => name);

it('finds declarations of many languages', () => {
  const typescript = `export class Queue<T> {
  #items: T[] = [];
  push(item: T): boolean {
    if (full()) {
    return this.#items.includes(item);
  }
  get size(): number {
}
export async function load(path: string) {
const twice = (x: number) => x * 2;
interface Options {`;
  expect(names(typescript, 'typescript')).toEqual(['Queue', 'push', 'size', 'load', 'twice', 'Options']);
  expect(names('class A:\n    async def run(self):\n        if x:\n', 'python')).toEqual(['A', 'run']);
  expect(names('func (s *Server) Serve() error {\ntype Point struct {\n', 'go')).toEqual(['Serve', 'Point']);
  expect(names('pub fn main() {\nimpl Display for Point {\npub(crate) struct P;\n', 'rust')).toEqual([
    'main',
    'Point',
    'P',
  ]);
  expect(
    names('int main(int argc, char** argv) {\nvoid Engine::run() const {\n  while (x) {\n  f(x);\n', 'cpp'),
  ).toEqual(['main', 'Engine::run']);
  expect(names('# One\n```\n# not one\n```\n## Two\n', 'markdown')).toEqual(['One', 'Two']);
});

it('tells what surrounds a line', () => {
  const text =
    'class A:\n    def one(self):\n        pass\n\n    def two(self):\n        pass\n\ndef three():\n    pass\n';
  const symbols = outline(text, 'python');
  const around = (line: number, depth?: number) => enclosing(symbols, line, depth).map(({ name }) => name);
  expect(around(3, 8)).toEqual(['A', 'one']);
  expect(around(6, 8)).toEqual(['A', 'two']);
  expect(around(9, 4)).toEqual(['three']);
  expect(around(8, 0)).toEqual(['three']);
});

it('finds nothing in lines made to keep it busy, and comes back', () => {
  const text = [
    'a '.repeat(150),
    'export '.repeat(40),
    `f(${'('.repeat(200)}`,
    `${'x<'.repeat(140)}`,
    'y'.repeat(1_000_000),
  ].join('\n');
  expect(outline(text.repeat(20), 'cpp')).toEqual([]);
});

it('cuts out the declaration around a line', () => {
  const script = 'const x = 1;\n\nclass A {\n  one() {\n    go();\n\n    stop();\n  }\n\n  two() {\n  }\n}\nx;\n';
  const at = (line: number) => declarationAround(script, 'typescript', line);
  expect(at(5)).toEqual({ name: 'one', startLine: 4, text: '  one() {\n    go();\n\n    stop();\n  }' });
  expect(at(3)?.text.split('\n')).toHaveLength(10);
  expect(at(13)).toBeNull();
  const python = 'def f():\n    a\n\n    b\n\ndef g():\n    pass\n';
  expect(declarationAround(python, 'python', 2)?.text).toBe('def f():\n    a\n\n    b');
  expect(declarationAround('# A\na\n## B\nb\n# C\nc\n', 'markdown', 4)?.text).toBe('## B\nb');
});
