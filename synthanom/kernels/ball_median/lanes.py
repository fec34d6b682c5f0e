"""How many voxels of a ball have smaller ranks, for neighbouring balls in vector registers.

numba's own vectors, which keep the counts in memory, take twice the time. The function is plain Python with its
compiled form beside it; all are whole numbers, the same on every processor.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic, overload

LANES = 64  # balls counted together
cgutils: Any = untyped_cgutils


def count_below(ranks: Any, begin: int, steps: Any, limits: Any, count: Any) -> None:
    """Count, for `LANES` balls from the one around `begin` on, the voxels with ranks below each ball's limit."""
    count[:] = 0
    for step in steps:
        count += ranks[begin + step :][:LANES] < limits


def _count(typing: Any, ranks: Any, begin: Any, steps: Any, limits: Any, count: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        values, moves, cuts, out = (context.make_array(kinds[k])(context, builder, args[k]) for k in (0, 2, 3, 4))
        lane = context.get_data_type(kinds[0].dtype)
        vector = ir.VectorType(lane, LANES)
        bytes_a_lane = lane.width // 8

        def at(place: Any) -> Any:
            return builder.bitcast(place, vector.as_pointer())

        cut = builder.load(at(cuts.data), align=bytes_a_lane)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * LANES))
        middle = builder.gep(values.data, [args[1]])
        with cgutils.for_range(builder, builder.extract_value(moves.shape, 0)) as loop:
            step = builder.load(builder.gep(moves.data, [loop.index]))
            near = builder.load(at(builder.gep(middle, [step])), align=bytes_a_lane)
            below = builder.sext(builder.icmp_signed("<", near, cut), vector)  # -1 where it is
            builder.store(builder.sub(builder.load(total), below), total)
        builder.store(builder.load(total), at(out.data), align=bytes_a_lane)
        return context.get_dummy_value()

    return types.void(ranks, types.int64, steps, limits, count), code


counted: Any = intrinsic(_count)


@overload(count_below)
def _compiled_count_below(ranks: Any, begin: Any, steps: Any, limits: Any, count: Any) -> Any:
    def compiled(ranks: Any, begin: Any, steps: Any, limits: Any, count: Any) -> Any:
        return counted(ranks, begin, steps, limits, count)

    return compiled
