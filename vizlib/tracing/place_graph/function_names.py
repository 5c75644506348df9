"""What torch calls the functions that only move, keep or scale what stands at a place."""

from __future__ import annotations

SYNONYMS = {
    "iadd": "add", "radd": "add", "conv_transpose_2d": "conv_transpose2d", "imul": "mul", "rmul": "mul", "multiply": "mul", "isub":
    "sub", "rsub": "sub", "itruediv": "div", "truediv": "div", "rtruediv": "div", "divide": "div", "concat": "cat", "concatenate":
    "cat", "subtract": "sub", "true_divide": "div",
}  # fmt: skip
MOVES = frozenset({
    "T", "broadcast_to", "channel_shuffle", "chunk", "expand", "expand_as", "flatten", "flip", "gather", "getitem", "index_select",
    "mT", "moveaxis", "movedim", "narrow", "permute", "pixel_shuffle", "pixel_unshuffle", "repeat", "repeat_interleave", "reshape",
    "reshape_as", "roll", "rot90", "select", "split", "split_with_sizes", "squeeze", "swapaxes", "swapdims", "t", "take",
    "take_along_dim", "tensor_split", "tile", "transpose", "unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as",
})  # fmt: skip
STAYS = frozenset({
    "abs", "alpha_dropout", "batch_norm", "bfloat16", "celu", "clamp", "clamp_max", "clamp_min", "clone", "contiguous", "cos",
    "data", "detach", "double", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "erf", "exp", "feature_dropout",
    "fill_diagonal", "float", "fused_rms_norm", "gelu", "group_norm", "half", "hardswish", "hardtanh", "instance_norm",
    "layer_norm", "leaky_relu", "local_response_norm", "log", "masked_fill", "mish", "nan_to_num", "neg", "normalize", "pow",
    "prelu", "reciprocal", "relu", "relu6", "requires_grad", "rms_norm", "rms_norm2d", "rsqrt", "selu", "silu", "sin", "softplus",
    "softsign", "sqrt", "square", "tanh", "threshold", "to", "type", "type_as",
})  # fmt: skip
FRESH = frozenset({  # what they give holds nothing of the tensor whose shape or kind they take
    "empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "ones_like", "rand_like", "randn_like",
    "zeros_like",
})  # fmt: skip
GATES = frozenset({
    "argmax", "eq", "ge", "gt", "le", "linalg_norm", "linalg_vector_norm", "lt", "ne", "norm", "std",
    "std_mean", "var", "var_mean", "vector_norm",
})  # fmt: skip
