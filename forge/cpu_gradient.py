"""The decoder's loss and gradient on a CPU, by cpu/cpu_gradient.cpp: PyTorch has no fast products in bf16 there."""
import ctypes
import os

import torch

import compiled

_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cpu", "cpu_gradient.cpp")


class _Sizes(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("n_vocab", "n_embd", "n_layer", "n_head", "n_ff", "n_ctx")),
        ("rope_freq_base", ctypes.c_float),
        ("rms_eps", ctypes.c_float),
    ]


def has_fast_products():
    """Whether the processor has AMX for bf16; without it cpu/cpu_gradient.cpp multiplies in plain loops."""
    try:
        with open("/proc/cpuinfo") as file:
            return "amx_bf16" in file.read()
    except OSError:
        return False


class CpuGradient:
    def __init__(self, model, folder, n_threads=None, flags=()):
        hp = model.hp
        sizes = (hp.n_embd, hp.head_dim, hp.n_ff, hp.n_vocab)
        if hp.n_head_kv != 1 or any(size % 32 for size in sizes):
            raise ValueError(f"cpu/cpu_gradient.cpp needs one KV head and sizes that are multiples of 32, not {hp}")
        self._hp = hp
        self._parameters = list(model.parameters())
        self._library = compiled.load(folder, [_SOURCE], ["-ffast-math", *flags])
        self._library.loss_and_gradient.restype = ctypes.c_double
        self._library.orthogonalize_all.restype = None
        self._n_threads = n_threads or os.cpu_count()

    def orthogonalized(self, matrices):
        """As train.orthogonalized: [n, rows, columns] f32, sizes multiples of 32"""
        is_tall = matrices.shape[-2] > matrices.shape[-1]
        result = (matrices.transpose(-1, -2) if is_tall else matrices).contiguous().clone()
        n, n_rows, n_columns = result.shape
        words = [ctypes.c_int32(size) for size in (n, n_rows, n_columns, self._n_threads)]
        self._library.orthogonalize_all(ctypes.c_void_p(result.data_ptr()), *words)
        return result.transpose(-1, -2) if is_tall else result

    def add(self, sequences, weights):
        """Adds the gradient of the weighted sum of losses to the parameters'.

        @param sequences [n, n_ctx + 1] int64 ids, n_ctx a multiple of 32
        @param weights [n, n_ctx] f32 of the losses of ids 1 to n_ctx
        @return that sum in nats
        """
        hp, n_ctx = self._hp, sequences.shape[1] - 1
        if n_ctx % 32 != 0 or weights.shape != (len(sequences), n_ctx):
            raise ValueError(f"{n_ctx} tokens are no multiple of 32, or weights are {list(weights.shape)}")
        if int(sequences.min()) < 0 or int(sequences.max()) >= hp.n_vocab:
            raise ValueError(f"ids reach from {int(sequences.min())} to {int(sequences.max())}, not 0 to {hp.n_vocab - 1}")
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        sequences, weights = sequences.contiguous(), weights.float().contiguous()
        sizes = _Sizes(hp.n_vocab, hp.n_embd, hp.n_layer, hp.n_head, hp.n_ff, n_ctx, hp.rope_freq_base, hp.rms_eps)
        n_elements = (ctypes.c_int64 * len(self._parameters))(*[parameter.numel() for parameter in self._parameters])
        return self._library.loss_and_gradient(
            ctypes.byref(sizes),
            _pointers(self._parameters),
            n_elements,
            _pointers([parameter.grad for parameter in self._parameters]),
            ctypes.c_void_p(sequences.data_ptr()),
            ctypes.c_void_p(weights.data_ptr()),
            ctypes.c_int32(len(sequences)),
            ctypes.c_int32(min(self._n_threads, len(sequences))),
        )


def _pointers(tensors):
    return (ctypes.c_void_p * len(tensors))(*[tensor.data_ptr() for tensor in tensors])
