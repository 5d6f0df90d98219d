// Run by the tests in a process of its own: a DistributionRequest on stdin, the distributions on stdout, both JSON.
import { openPeer } from './peer.mjs';
import { readStdin } from './stdin.mjs';

/** @type {import('../lib/peer.mjs').DistributionRequest} */
const { model, nCtx, prompts, configurations } = JSON.parse(await readStdin());
const peer = await openPeer(model);
const reply = [];
for (const configuration of configurations) reply.push(await peer.distributions(prompts, configuration, nCtx));
process.stdout.write(JSON.stringify({ distributions: reply, build: peer.build }), () => process.exit(0));
