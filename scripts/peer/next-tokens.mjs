// Run by the tests in a process of its own: {model, prompts?, texts?} on stdin, results as JSON on stdout.
import { openPeer, peerConfigurations } from './peer.mjs';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const { model, prompts = [], texts = [], nTop = 40 } = JSON.parse(input);

const peer = await openPeer(model);
const ids = prompts.map((text) => [peer.bos, ...peer.tokenize(text)]);
const configurations = [];
if (prompts.length > 0) {
  for (const configuration of peerConfigurations) {
    configurations.push({ name: configuration.name, top: await peer.nextTokens(ids, configuration, nTop) });
  }
}
const tokenized = texts.map((text) => peer.tokenize(text));
process.stdout.write(JSON.stringify({ ids, configurations, tokenized }), () => process.exit(0));
