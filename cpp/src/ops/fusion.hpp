// Pairs of operations that can be one. Fused operations are made by a plan and never stand in a graph or a file.
#pragma once

#include <retrograd/op.hpp>

namespace retrograd {

// y = activation(linear(x)) in one pass, the same bits as the pair; null where the two cannot be one. The operands
// are linear's. dL/dz is in dy once backward has passed.
[[nodiscard]] OpPtr fuse_linear_activation(const Op& linear, const Op& activation);

}  // namespace retrograd
