"""How high the rate of a training is, by how far the training is.

A training is one cycle or several. In each the rate warms up, stays, and falls to nothing (WSD), so that there are weights
worth having at the end of each, while the next may still be cut off. "share" is of the whole training, 0 to 1.
"""
import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Schedule:
    n_cycles: int
    decay: float  # the part of a cycle in which the rate falls
    n_warmup: int  # steps
    quantized: float = 0.0  # the part of a decay, its end, in which the model computes with quantized weights

    def cycle(self, share):
        """From 0"""
        return min(self.n_cycles - 1, int(share * self.n_cycles))

    def decayed(self, share):
        """How much of the cycle's decay is over, 0 to 1"""
        within = share * self.n_cycles - self.cycle(share)
        return min(1.0, max(0.0, (within - (1 - self.decay)) / self.decay))

    def rate(self, share, n_steps):
        """Of the highest. `n_steps`: since the cycle began, or the optimizers' state.

        It falls as 1 - sqrt (arXiv:2405.18392): fast at first, and long where it is low.
        """
        warmup = min(1.0, (n_steps + 1) / self.n_warmup)
        return warmup * (1 - math.sqrt(self.decayed(share)))

    def is_quantized(self, share):
        return self.decayed(share) > 1 - self.quantized
