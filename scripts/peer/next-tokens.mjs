// Run by the tests in a process of its own: a PeerRequest on stdin, a PeerReply on stdout, both JSON.
import { openPeer, peerConfigurations } from './peer.mjs';
import { readStdin } from './stdin.mjs';

const input = await readStdin();
/** @type {import('../lib/peer.mjs').PeerRequest} */
const { model, prompts = [], texts = [], nTop = 40, configurations: wanted } = JSON.parse(input);

const peer = await openPeer(model);
const ids = prompts.map((text) => [peer.bos, ...peer.tokenize(text)]);
const configurations = [];
if (prompts.length > 0) {
  for (const configuration of peerConfigurations) {
    if (wanted !== undefined && !wanted.includes(configuration.name)) continue;
    configurations.push({ name: configuration.name, top: await peer.nextTokens(ids, configuration, nTop) });
  }
}
const tokenized = texts.map((text) => peer.tokenize(text));
const reply = { ids, configurations, tokenized, build: peer.build };
process.stdout.write(JSON.stringify(reply), () => process.exit(0));
