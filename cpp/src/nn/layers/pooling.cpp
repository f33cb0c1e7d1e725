// Layers that make images smaller or larger without weights: samples of (height, width, channels).
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

namespace {

Node pooled(LayerCall& call, const char* op) {
    const Attributes& config = call.config();
    Attributes windows;
    for (const char* key : {"size", "stride", "padding"}) windows[key] = get_ints(config, key);
    return call.named(apply(op, windows, {call.only_input()}, call.who()), "a");
}

}  // namespace

// MaxPool2D(size, stride, padding): the largest of each window.
Node build_max_pool2d(LayerCall& call) { return pooled(call, "max_pool2d"); }

// AvgPool2D(size, stride, padding): the mean of each window, its padding counted as zeros.
Node build_avg_pool2d(LayerCall& call) { return pooled(call, "avg_pool2d"); }

// GlobalAvgPool2D(): the mean of each channel.
Node build_global_avg_pool2d(LayerCall& call) {
    const Node& x = call.only_input();
    if (x.shape().rank() != 3 || !x.shape().batched) {
        throw ShapeError(call.who() + ": expected images (batch, height, width, channels), got " +
                         x.shape().str());
    }
    return call.named(apply("mean", {{"axis", std::vector<std::int64_t>{1, 2}}}, {x}, call.who()), "a");
}

// UpSample2D(factor, mode): images that are factor times as large.
Node build_up_sample2d(LayerCall& call) {
    const Attributes& config = call.config();
    return call.named(
        apply("upsample2d", {{"factor", get_ints(config, "factor")}, {"mode", get_string(config, "mode")}},
              {call.only_input()}, call.who()),
        "a");
}

}  // namespace retrograd
