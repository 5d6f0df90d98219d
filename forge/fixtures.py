"""What tests are done with: files that toy/chain.mjs makes, and a model that is small.

    OUTPOST_TOY=build/forge/toy OUTPOST_ENGINE=... python3 -m unittest     (in forge/)
"""
import os

import torch

from model import Decoder, Hparams
from vocabulary import Vocabulary

TOY = os.environ["OUTPOST_TOY"]
TOKENS = os.path.join(TOY, "tokens")
VOCABULARY = Vocabulary(os.path.join(TOY, "vocabulary.json"))


def tiny_model():
    torch.manual_seed(0)
    return Decoder(Hparams(n_vocab=40, n_embd=16, n_layer=2, n_head=4, n_head_kv=1, n_ff=24, n_ctx=12))
