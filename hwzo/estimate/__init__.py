"""Turn displacements and losses into a gradient.

`block` is the default. The others: `antithetic` for opposite pairs, `forward` for one baseline, `difference` for slow
noise, `least_squares` for unequal or correlated noise, `coordinate_differences` along single parameters,
`node_gradient` for noise at the nodes.
"""

from hwzo.estimate.antithetic import antithetic
from hwzo.estimate.block import block
from hwzo.estimate.coordinate import coordinate_differences
from hwzo.estimate.difference import difference
from hwzo.estimate.forward import forward
from hwzo.estimate.least_squares import least_squares
from hwzo.estimate.nodes import node_gradient

__all__ = ["antithetic", "block", "coordinate_differences", "difference", "forward", "least_squares", "node_gradient"]
