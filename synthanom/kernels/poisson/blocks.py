"""The innermost block of a matrix product: four rows of sixteen sums, kept in registers while the terms run by.

Numba has no way to say so: sums held in memory reached 60 to 90 GFLOP/s, these 120 to 160. The plain form is beside
the compiled one; both add the terms in ascending order, and no product is fused with a sum, so that the bits are the
same on every processor.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

ROWS, LANES = 4, 16
TILE = 128  # numbers from one row of a tile to the next


def product_block(a: Any, first: int, side: int, tile: Any, source: int, out: Any, target: int) -> None:
    """Write ROWS x LANES sums of `side` terms to out[target:], from flat arrays.

    `a` holds the rows of a matrix, `side` numbers each, from `first` on; `tile` the terms' rows from `source` on.
    """
    for r in range(ROWS):
        total = np.zeros(LANES, np.float32)
        for k in range(side):
            total += a[first + r * side + k] * tile[source + k * TILE :][:LANES]
        out[target + r * TILE :][:LANES] = total


def _block(typing: Any, a: Any, first: Any, side: Any, tile: Any, source: Any, out: Any, target: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, integer = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)

        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        def at(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array, [index]), vector.as_pointer())

        matrix, terms, result = data(0), data(3), data(5)
        nothing, lane = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        totals = [builder.alloca(vector) for _ in range(ROWS)]
        for total in totals:
            builder.store(ir.Constant(vector, None), total)
        with cgutils.for_range(builder, args[2]) as loop:
            place = builder.add(args[4], builder.mul(loop.index, ir.Constant(integer, TILE)))
            row = builder.load(at(terms, place), align=4)
            for r, total in enumerate(totals):
                index = builder.add(builder.add(args[1], loop.index), builder.mul(ir.Constant(integer, r), args[2]))
                factor = builder.insert_element(nothing, builder.load(builder.gep(matrix, [index])), lane)
                product = builder.fmul(builder.shuffle_vector(factor, nothing, everywhere), row)
                builder.store(builder.fadd(builder.load(total), product), total)
        for r, total in enumerate(totals):
            place = builder.add(args[6], ir.Constant(integer, r * TILE))
            builder.store(builder.load(total), at(result, place), align=4)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(a, integer, integer, tile, integer, out, integer), code


block: Any = intrinsic(_block)


@overload(product_block)
def _compiled(a: Any, first: Any, side: Any, tile: Any, source: Any, out: Any, target: Any) -> Any:
    def compiled(a: Any, first: Any, side: Any, tile: Any, source: Any, out: Any, target: Any) -> None:
        block(a, first, side, tile, source, out, target)

    return compiled
