"""Weights kept in half precision: files of half the size, the same arithmetic.

Each large tensor is stored as float16 with a Cast after it. ONNX Runtime folds the Cast when it loads the
model, so that nothing is computed in half precision and no frame costs more.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST_ELEMENTS = 256
"""Smaller tensors (biases, sizes) stay as they are: there is nothing to save."""


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of *model* whose large float32 weights are stored as float16.

    Raises ValueError if a weight does not fit into float16.
    """
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    graph = copied.graph
    casts, kept = [], []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims, dtype=int) < LEAST_ELEMENTS:
            kept.append(weight)
            continue
        values = numpy_helper.to_array(weight)
        if not np.isfinite(small := values.astype(np.float16)).all():
            raise ValueError(
                f"{weight.name} has weights too large for half precision: train with weight decay"
            )
        kept.append(numpy_helper.from_array(small, f"{weight.name}_half"))
        casts.append(helper.make_node("Cast", [f"{weight.name}_half"], [weight.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(copied)
    return copied
