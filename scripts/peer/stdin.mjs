/** Everything on stdin, as text. */
export async function readStdin() {
  let input = '';
  // A chunk can end inside of a character; with the encoding set, Node waits for the rest of it.
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) input += chunk;
  return input;
}
