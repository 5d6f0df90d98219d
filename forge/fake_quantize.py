"""What weights become in q4_K, as weights: quantization-aware training computes with these.

q4_K: superblocks of 256 elements, in each 8 groups of 32 with 16 levels, x = d * scale * q - dmin * min; scale and min
have 6 bits, d and dmin are f16 (kernels/common/block_layouts.h). The fit is that of the engine's quantizer
(native/quant/fit.h and quantize_k.cpp) with half of its sweep: weighted least squares, larger elements weigh more.
"""
import ctypes
import os

import torch

import compiled

SUPERBLOCK, GROUP, N_LEVELS, N_SCALES = 256, 32, 16, 64
SWEEP = tuple(1.5 * step / 3 for step in range(-3, 4))  # of the scale, in levels; the engine takes steps half as long
SMALLEST_NORMAL = 2.0**-14  # of f16


def can_be_quantized(weights):
    return weights.ndim == 2 and weights.shape[1] % SUPERBLOCK == 0


@torch.no_grad()
def fake_quantized(matrices):
    """[n_rows, n] each, n a multiple of 256 -> new ones of the same shapes and dtype. All in one: few, large operations."""
    flat = torch.cat([matrix.reshape(-1, SUPERBLOCK).float() for matrix in matrices])
    quantized = _superblocks(flat.view(-1, SUPERBLOCK // GROUP, GROUP)).view_as(flat)
    parts = quantized.split([matrix.numel() // SUPERBLOCK for matrix in matrices])
    return [part.reshape(matrix.shape).to(matrix.dtype) for matrix, part in zip(matrices, parts)]


class EngineQuantizer:
    """fake_quantized() on a CPU, by the engine's own code: what the file will have, to the bit."""

    def __init__(self, folder, n_threads=None):
        """@param folder where it is compiled"""
        forge = os.path.dirname(os.path.abspath(__file__))
        native = os.path.join(forge, "..", "native")
        sources = [os.path.join(forge, "cpu", "fake_quantize.cpp")]
        sources += [os.path.join(native, "quant", f"{name}_k.cpp") for name in ("quantize", "dequantize")]
        includes = [f"-I{path}" for path in (native, os.path.join(native, ".."))]
        library = compiled.load(folder, sources, ["-ffp-contract=off", *includes])
        library.fake_quantize_q4_k.restype = None
        self._quantize = library.fake_quantize_q4_k
        self._n_threads = ctypes.c_int32(n_threads or os.cpu_count())

    @torch.no_grad()
    def fake_quantized(self, matrices):
        """[n_rows, n] f32 each, n a multiple of 256 -> new ones"""
        results = [matrix.float().contiguous().clone() for matrix in matrices]
        for result in results:
            n_superblocks = ctypes.c_int64(result.numel() // SUPERBLOCK)
            self._quantize(ctypes.c_void_p(result.data_ptr()), n_superblocks, self._n_threads)
        return results


def _superblocks(x):
    """[n, 8, 32] f32"""
    weights = x.abs() + x.pow(2).mean(-1, keepdim=True).sqrt()
    scale, least = _fit(x, weights)
    # One factor each for the scales and the minimums of a superblock.
    d = _half(scale.amax(1, keepdim=True) / (N_SCALES - 1))
    dmin = _half(-least.amin(1, keepdim=True) / (N_SCALES - 1))
    n_scale, n_least = _ratio(scale, d).round(), _ratio(-least, dmin).round()
    best = None
    # They were rounded one by one: a neighbour of the pair may serve better.
    for ds in (0, -1, 1):
        for dm in (0, -1, 1):
            scale = d * (n_scale + ds).clamp(0, N_SCALES - 1)
            least = -dmin * (n_least + dm).clamp(0, N_SCALES - 1)
            quantized = scale * _levels(_ratio(x - least, scale)) + least
            error = (weights * (x - quantized).pow(2)).sum(-1, keepdim=True)
            best = _better(best, (error, quantized))
    return best[1]


def _fit(x, weights):
    """@return (scale, minimum), [n, 8, 1] each: x ~ scale * level + minimum with a minimum of at most 0"""
    lowest = x.amin(-1, keepdim=True).clamp(max=0.0)
    extent = x.amax(-1, keepdim=True) - lowest
    sum_w = weights.sum(-1, keepdim=True)
    sum_wx = (weights * x).sum(-1, keepdim=True)
    best = None
    for offset in SWEEP:
        # The scale fixes the levels, and these the best scale and minimum: a regression.
        q = _levels((x - lowest) * _ratio(torch.full_like(extent, N_LEVELS - 1 + offset), extent))
        wq = weights * q
        sum_wq, sum_wqq, sum_wqx = (t.sum(-1, keepdim=True) for t in (wq, wq * q, wq * x))
        determinant = sum_w * sum_wqq - sum_wq * sum_wq
        least = _ratio(sum_wqq * sum_wx - sum_wq * sum_wqx, determinant).clamp(max=0.0)
        scale = _ratio(sum_wqx - least * sum_wq, sum_wqq).clamp(min=0.0)
        error = (weights * (x - least - scale * q).pow(2)).sum(-1, keepdim=True)
        best = _better(best, (error, scale, least))
    return best[1:]


def _better(best, new):
    """Of two tuples that begin with an error, group by group"""
    if best is None:
        return new
    return tuple(torch.where(new[0] < best[0], b, a) for a, b in zip(best, new))


def _levels(y):
    return y.round().clamp(0, N_LEVELS - 1)


def _half(x):
    """To f16 and back; where f16 is subnormal rounded up, so that the levels still reach the largest element"""
    half = x.half()
    is_short = (x < SMALLEST_NORMAL) & (half.float() < x)
    return (half.view(torch.int16) + is_short.to(torch.int16)).view(torch.float16).float()


def _ratio(a, b):
    """0 where b is"""
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))
