"""How often a target would accept what a draft proposes, on held-out token shards.

    python3 forge/acceptance.py TARGET.safetensors DRAFT.safetensors --data DIR --vocabulary FILE.json

Greedy: how often both find the same token the most probable. Sampled: the probability that speculative sampling
accepts (arXiv:2211.17192), the mean of sum(min(p, q)). Both after the true text: a draft of several tokens does a
little worse.
"""
import argparse
import contextlib

import torch

from model import open_model
from stream import StreamOptions, TokenStream, next_segment
from vocabulary import Vocabulary


@torch.no_grad()
def acceptance(target, draft, batches, device):
    """@return (greedy, sampled, the target's loss, the draft's loss), losses in nats per token"""
    # On CUDA the model computes in bf16, its weights are f32.
    autocast = torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext()
    sums, n = torch.zeros(4, dtype=torch.float64), 0
    for sequences in batches:
        for row in torch.from_numpy(sequences).to(device).split(1):
            with autocast:
                logits = [model(row[:, :-1]) for model in (target, draft)]
            p, q = (rows.float().log_softmax(-1)[0] for rows in logits)
            true = row[0, 1:, None]
            sums += torch.stack([
                (p.argmax(-1) == q.argmax(-1)).sum(),
                torch.minimum(p.exp(), q.exp()).sum(),
                -p.gather(1, true).sum(),
                -q.gather(1, true).sum(),
            ]).double().cpu()
            n += len(true)
    return (sums / n).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("draft")
    parser.add_argument("--data", required=True, help="folder of held-out *.tokens")
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--ctx", type=int, default=4096, help="tokens of a sequence, at most the models' context")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target, draft = (open_model(path)[0].to(device).eval() for path in (arguments.target, arguments.draft))
    options = StreamOptions(n_ctx=min(target.hp.n_ctx, draft.hp.n_ctx, arguments.ctx), n_batch=8)
    segment = next_segment(arguments.data, {}, 0, options)
    stream = TokenStream(arguments.data, segment, Vocabulary(arguments.vocabulary), options)
    batches = (stream.batch(step) for step in range(max(1, arguments.sequences // 8)))
    greedy, sampled, target_loss, draft_loss = acceptance(target, draft, batches, device)
    n_tokens = options.n_ctx * options.n_batch * max(1, arguments.sequences // 8)
    print(f"accepted, of {n_tokens} tokens: greedy {greedy:.3f}, sampled {sampled:.3f}")
    print(f"loss: target {target_loss:.4f}, draft {draft_loss:.4f}")


if __name__ == "__main__":
    main()
