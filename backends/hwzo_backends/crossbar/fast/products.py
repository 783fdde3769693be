"""Matrix products with the batch as the contiguous axis: the one place where vectors are written by hand.

A block of the product stays in registers while the rows go by, which no compiler makes out of plain loops: `BLOCK`
outputs times `WIDTH` samples. Narrower machines split the vectors, so this is right on any that LLVM knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # pyright: ignore[reportMissingTypeStubs]
from llvmlite.binding import get_host_cpu_features  # pyright: ignore[reportMissingTypeStubs]
from numba.core import types  # pyright: ignore[reportMissingTypeStubs]
from numba.extending import intrinsic  # pyright: ignore[reportMissingTypeStubs]

from hwzo_backends.crossbar.fast.compiler import Floats, compiled

Node = Any
"""Whatever llvmlite, which has no types, hands in or out."""

WIDTH = 16
"""Samples of a block; batches are padded to a multiple of it."""
BLOCK: int = 8 if get_host_cpu_features().get("avx512vl") else 4
"""Outputs of a block: as many as registers hold. Each is summed row by row whatever this is, so it changes no bit."""
ROWS = 128
"""Rows that are summed in one go: those of a block of weights then stay in the first cache."""


def _summed(n_outputs: int) -> Node:
    """An intrinsic that adds up ``rows`` >= 1 rows for ``n_outputs`` outputs and ``WIDTH`` samples, onto what is there.

    Its arguments are addresses and numbers of elements: weights, from one row to the next; inputs, likewise; outputs,
    from one output to the next; rows.
    """

    def summed(
        context: Node, w: Node, w_step: Node, x: Node, x_step: Node, out: Node, out_step: Node, rows: Node
    ) -> Node:
        def generate(context: Node, builder: Node, signature: Node, arguments: Node) -> Node:
            w, w_step, x, x_step, out, out_step, rows = arguments
            scalar, index = ir.FloatType(), ir.IntType(64)
            vector = ir.VectorType(scalar, WIDTH)
            nowhere: Node = ir.Constant(vector, ir.Undefined)  # pyright: ignore[reportUnknownArgumentType]
            first_lane = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
            w, x, out = (builder.inttoptr(a, scalar.as_pointer()) for a in (w, x, out))
            targets = [
                builder.bitcast(builder.gep(out, [builder.mul(index(j), out_step)]), vector.as_pointer())
                for j in range(n_outputs)
            ]
            before = [builder.load(target, align=4) for target in targets]
            head, loop = builder.block, builder.append_basic_block("rows")
            after = builder.append_basic_block("summed")
            builder.branch(loop)
            builder.position_at_end(loop)
            row = builder.phi(index)
            sums = [builder.phi(vector) for _ in range(n_outputs)]
            address = builder.gep(x, [builder.mul(row, x_step)])
            inputs = builder.load(builder.bitcast(address, vector.as_pointer()), align=4)
            weights = builder.gep(w, [builder.mul(row, w_step)])
            for j, total in enumerate(sums):
                weight = builder.load(builder.gep(weights, [index(j)]), align=4)
                lane = builder.insert_element(nowhere, weight, index(0))
                spread = builder.shuffle_vector(lane, lane, first_lane)
                term = builder.fmul(inputs, spread, flags=("contract",))
                total.add_incoming(before[j], head)
                total.add_incoming(builder.fadd(total, term, flags=("contract",)), loop)
            following = builder.add(row, index(1))
            row.add_incoming(index(0), head)
            row.add_incoming(following, loop)
            added = [total.incomings[1][0] for total in sums]
            builder.cbranch(builder.icmp_signed("<", following, rows), loop, after)
            builder.position_at_end(after)
            for target, value in zip(targets, added, strict=True):
                builder.store(value, target, align=4)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 7), generate

    return intrinsic(summed)


_block, _two, _one = _summed(BLOCK), _summed(2), _summed(1)


@compiled
def add_product(weights: Floats, x: Floats, first: int, out: Floats) -> None:
    """Add to ``out`` (outputs, batch) the product of weights (rows, outputs), transposed, and as many rows of x (rows
    of x, batch) from ``first`` on.

    All float32 and C-contiguous, the batch a multiple of `WIDTH`; `ROWS` rows or fewer are quickest.
    """
    n_rows, n_out, n_samples = weights.shape[0], out.shape[0], out.shape[1]
    if n_rows == 0:
        return
    blocks, twos = n_out - n_out % BLOCK, n_out - n_out % 2
    w = weights.ctypes.data
    for b in range(0, n_samples, WIDTH):
        inputs, sums = x.ctypes.data + 4 * (first * n_samples + b), out.ctypes.data + 4 * b
        for j in range(0, blocks, BLOCK):
            _block(w + 4 * j, n_out, inputs, n_samples, sums + 4 * j * n_samples, n_samples, n_rows)
        for j in range(blocks, twos, 2):
            _two(w + 4 * j, n_out, inputs, n_samples, sums + 4 * j * n_samples, n_samples, n_rows)
        for j in range(twos, n_out):
            _one(w + 4 * j, n_out, inputs, n_samples, sums + 4 * j * n_samples, n_samples, n_rows)


@compiled
def product(weights: Floats, x: Floats, start: int, stop: int, out: Floats) -> None:
    """``out`` (outputs, batch) = weights[start:stop] transposed (rows, outputs) times x[start:stop] (rows, batch)."""
    out[:] = np.float32(0.0)
    for first in range(start, stop, ROWS):
        add_product(weights[first : min(first + ROWS, stop)], x, first, out)
