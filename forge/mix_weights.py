"""Two weights of one model -> those between them.

    python3 forge/mix_weights.py BEFORE.safetensors AFTER.safetensors --share 0.5 --out FILE.safetensors

A short training with small batches pays for what it teaches with noise; between it and where it began lie weights that
have most of the one and little of the other (arXiv:2109.01903). Which share is best, texts say that are in no report.
"""
import argparse
import json

import torch

from model import open_model, write_safetensors


def sizes(metadata):
    """Without the numbers that a GGUF file has rounded"""
    return {name: value for name, value in json.loads(metadata["hparams"]).items() if isinstance(value, int)}


@torch.no_grad()
def mixed(before, after, share):
    """Weights by name. @param share of `after`, 0 to 1"""
    others = dict(after.named_parameters())
    return {name: torch.lerp(weights, others[name], share) for name, weights in before.named_parameters()}


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--share", type=float, default=0.5, help="of AFTER")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args(words)
    (before, before_metadata), (after, metadata) = open_model(arguments.before), open_model(arguments.after)
    if sizes(before_metadata) != sizes(metadata):
        raise SystemExit(f"{arguments.before} and {arguments.after} are of different models.")
    write_safetensors(arguments.out, mixed(before, after, arguments.share), metadata, torch.bfloat16)


if __name__ == "__main__":
    main()
