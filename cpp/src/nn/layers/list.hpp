// One builder for each kind of layer; nn/layers.cpp lists them.
#pragma once

#include <retrograd/graph.hpp>

namespace retrograd {

class LayerCall;

// dense.cpp
Node build_dense(LayerCall&);
Node build_activation(LayerCall&);

// embedding.cpp
Node build_embedding(LayerCall&);
// convolution.cpp
Node build_conv1d(LayerCall&);
Node build_conv2d(LayerCall&);
Node build_conv_transpose2d(LayerCall&);

// shapes.cpp
Node build_flatten(LayerCall&);
Node build_reshape(LayerCall&);
Node build_rescale(LayerCall&);
Node build_add(LayerCall&);
Node build_multiply(LayerCall&);
Node build_concatenate(LayerCall&);

// normalisation.cpp
Node build_batch_norm(LayerCall&);
Node build_dropout(LayerCall&);

// pooling.cpp
Node build_max_pool2d(LayerCall&);
Node build_avg_pool2d(LayerCall&);
Node build_global_avg_pool2d(LayerCall&);
Node build_up_sample2d(LayerCall&);

// standardize.cpp
Node build_standardize(LayerCall&);
// recurrent.cpp
Node build_simple_rnn(LayerCall&);
Node build_lstm(LayerCall&);
Node build_gru(LayerCall&);
Node build_layer_norm(LayerCall&);
Node build_rms_norm(LayerCall&);

// attention.cpp
Node build_positional_embedding(LayerCall&);
Node build_multi_head_attention(LayerCall&);

}  // namespace retrograd
