// Pairs of operations that can be one. A plan makes fused operations; no graph and no file has them.
#pragma once

#include <retrograd/op.hpp>

namespace retrograd {

// y = activation(linear(x)) in one pass, the same bits as the pair; null where the two cannot be one. The
// operands are linear's. dL/dz is in dy once backward has passed.
[[nodiscard]] OpPtr fuse_linear_activation(const Op& linear, const Op& activation);
[[nodiscard]] OpPtr fuse_convolution_activation(const Op& convolution, const Op& activation);

}  // namespace retrograd
