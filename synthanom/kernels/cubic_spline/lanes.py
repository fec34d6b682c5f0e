"""The innermost sums of spline interpolation, the four taps of a row in one vector register.

Numba does not find these vectors by itself (its superword pass is off): left to it, a sum over 64 taps took 12 ns
instead of 3.5. Each function is plain Python with its compiled form beside it. Both add in the same order, and no
product is fused with a sum, so that the bits are the same on every processor.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

TAPS = 4


def picture_sum(values: Any, place: int, row_step: int, wy: Any, wx: Any, i: int) -> Any:
    """Weighted sum of 4 x 4 values of a flat array, the first at `place`, rows `row_step` apart.

    `wy` and `wx`, float32 (n, 4), hold the weights of point i in their rows i.
    """
    total = _weighted(wy[i], [values[place + b * row_step :][:TAPS] for b in range(TAPS)]) * wx[i]
    return (total[0] + total[1]) + (total[2] + total[3])


def volume_sum(values: Any, place: int, row_step: int, plane_step: int, wz: Any, wy: Any, wx: Any, i: int) -> Any:
    """Weighted sum of 4 x 4 x 4 values of a flat array, the first at `place`."""
    planes = []
    for a in range(TAPS):
        start = place + a * plane_step
        planes.append(_weighted(wy[i], [values[start + b * row_step :][:TAPS] for b in range(TAPS)]))
    total = _weighted(wz[i], planes) * wx[i]
    return (total[0] + total[1]) + (total[2] + total[3])


def _weighted(weights: Any, vectors: Sequence[Any]) -> Any:
    """Sum of four vectors, each times one of the weights, in pairs."""
    parts = [np.float32(w) * vector for w, vector in zip(weights, vectors, strict=True)]
    return (parts[0] + parts[1]) + (parts[2] + parts[3])


class Lanes:
    """Instructions on vectors of four float32 numbers."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder
        self.vector = ir.VectorType(ir.FloatType(), TAPS)

    def data(self, kind: Any, array: Any) -> Any:
        """Where an array's values begin."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def load(self, data: Any, index: Any) -> Any:
        """Four neighbouring values."""
        place = self.builder.bitcast(self.builder.gep(data, [index]), self.vector.as_pointer())
        return self.builder.load(place, align=4)

    def load_rows(self, data: Any, index: Any, step: Any) -> list[Any]:
        """Four vectors, `step` values apart."""
        rows = []
        for _ in range(TAPS):
            rows.append(self.load(data, index))
            index = self.builder.add(index, step)
        return rows

    def weights(self, kind: Any, array: Any, point: Any) -> Any:
        """A point's row of an array (n, 4)."""
        return self.load(self.data(kind, array), self.builder.mul(point, ir.Constant(ir.IntType(64), TAPS)))

    def weighted(self, weights: Any, vectors: Sequence[Any]) -> Any:
        """`_weighted`."""
        parts = [self.builder.fmul(self.pick(weights, lane), vector) for lane, vector in enumerate(vectors)]
        return self.in_pairs(parts)

    def pick(self, vector: Any, lane: int) -> Any:
        """One lane's value in all lanes."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), TAPS), [lane] * TAPS)
        return self.builder.shuffle_vector(vector, ir.Constant(self.vector, ir.Undefined), mask)

    def total(self, vector: Any) -> Any:
        """The sum of the lanes, in pairs."""
        lanes = [self.builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(TAPS)]
        return self.in_pairs(lanes)

    def in_pairs(self, parts: Sequence[Any]) -> Any:
        """(0 + 1) + (2 + 3)."""
        add = self.builder.fadd
        return add(add(parts[0], parts[1]), add(parts[2], parts[3]))


def _picture(typing: Any, values: Any, place: Any, row_step: Any, wy: Any, wx: Any, i: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes, kinds = Lanes(context, builder), signature.args
        rows = lanes.load_rows(lanes.data(kinds[0], args[0]), args[1], args[2])
        across, along = (lanes.weights(kinds[k], args[k], args[5]) for k in (3, 4))
        return lanes.total(builder.fmul(lanes.weighted(across, rows), along))

    return types.float32(values, types.int64, types.int64, wy, wx, types.int64), code


def _volume(
    typing: Any, values: Any, place: Any, row_step: Any, plane_step: Any, wz: Any, wy: Any, wx: Any, i: Any
) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes, kinds = Lanes(context, builder), signature.args
        data = lanes.data(kinds[0], args[0])
        deep, across, along = (lanes.weights(kinds[k], args[k], args[7]) for k in (4, 5, 6))
        planes, start = [], args[1]
        for _ in range(TAPS):
            planes.append(lanes.weighted(across, lanes.load_rows(data, start, args[2])))
            start = builder.add(start, args[3])
        return lanes.total(builder.fmul(lanes.weighted(deep, planes), along))

    integer = types.int64
    return types.float32(values, integer, integer, integer, wz, wy, wx, integer), code


picture: Any = intrinsic(_picture)
volume: Any = intrinsic(_volume)


@overload(picture_sum)
def _compiled_picture_sum(values: Any, place: Any, row_step: Any, wy: Any, wx: Any, i: Any) -> Any:
    def compiled(values: Any, place: Any, row_step: Any, wy: Any, wx: Any, i: Any) -> Any:
        return picture(values, place, row_step, wy, wx, i)

    return compiled


@overload(volume_sum)
def _compiled_volume_sum(
    values: Any, place: Any, row_step: Any, plane_step: Any, wz: Any, wy: Any, wx: Any, i: Any
) -> Any:
    def compiled(values: Any, place: Any, row_step: Any, plane_step: Any, wz: Any, wy: Any, wx: Any, i: Any) -> Any:
        return volume(values, place, row_step, plane_step, wz, wy, wx, i)

    return compiled
