// One maker for each operation; registry.cpp lists them. The families return null for a name that the kernel
// table does not have.
#pragma once

#include <retrograd/op.hpp>

namespace retrograd {

OpPtr make_linear(const Attributes&);
OpPtr make_conv1d(const Attributes&);
OpPtr make_conv2d(const Attributes&);
OpPtr make_conv_transpose2d(const Attributes&);

OpPtr make_unary(std::string_view name, const Attributes&);  // the family of the table: relu, exp, ...
OpPtr make_clip(const Attributes&);
OpPtr make_identity(const Attributes&);
OpPtr make_stop_gradient(const Attributes&);

OpPtr make_binary(std::string_view name, const Attributes&);  // the family of the table: add, multiply, ...
OpPtr make_comparison(std::string_view name, const Attributes&);  // greater, equal, ...
OpPtr make_where(const Attributes&);

OpPtr make_sum(const Attributes&);
OpPtr make_mean(const Attributes&);
OpPtr make_max(const Attributes&);
OpPtr make_logsumexp(const Attributes&);

OpPtr make_reshape(const Attributes&);
OpPtr make_flatten(const Attributes&);
OpPtr make_transpose(const Attributes&);
OpPtr make_concatenate(const Attributes&);
OpPtr make_slice(const Attributes&);
OpPtr make_expand(const Attributes&);
OpPtr make_one_hot(const Attributes&);
OpPtr make_gather(const Attributes&);

OpPtr make_softmax(const Attributes&);
OpPtr make_log_softmax(const Attributes&);

OpPtr make_batch_norm(const Attributes&);
OpPtr make_dropout(const Attributes&);

OpPtr make_loss(std::string_view name, const Attributes&);  // the family of the table: huber, hinge, ...
OpPtr make_cross_entropy(const Attributes&);
OpPtr make_label_weight(const Attributes&);
OpPtr make_weighted_mean(const Attributes&);

OpPtr make_matmul(const Attributes&);

OpPtr make_max_pool2d(const Attributes&);
OpPtr make_avg_pool2d(const Attributes&);
OpPtr make_upsample2d(const Attributes&);
OpPtr make_standardize(const Attributes&);
OpPtr make_simple_rnn(const Attributes&);
OpPtr make_lstm(const Attributes&);
OpPtr make_gru(const Attributes&);
OpPtr make_layer_norm(const Attributes&);
OpPtr make_rms_norm(const Attributes&);
OpPtr make_attention(const Attributes&);

}  // namespace retrograd
