// Layers whose weights slide over an image or a sequence.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

namespace {

std::string shown(const std::vector<std::int64_t>& sizes) { return Shape{sizes, false}.str(); }

// What the three kinds have in common: sizes that make sense, as far as they do not depend on the input.
struct ConvConfig {
    std::int64_t filters, groups;
    std::vector<std::int64_t> kernel;
    std::int64_t taps = 1;

    ConvConfig(const LayerCall& call, std::size_t axes)
        : filters(get_int(call.config(), "filters")),
          groups(get_int(call.config(), "groups")),
          kernel(get_ints(call.config(), "kernel_size")) {
        if (filters < 1)
            throw ArgumentError(call.who() + ": filters must be at least 1, got " + std::to_string(filters));
        if (groups < 1)
            throw ArgumentError(call.who() + ": groups must be at least 1, got " + std::to_string(groups));
        if (filters % groups != 0) {
            throw ArgumentError(call.who() + ": groups=" + std::to_string(groups) +
                                " does not divide filters=" + std::to_string(filters));
        }
        if (kernel.size() != axes) {
            throw ArgumentError(call.who() + ": kernel_size is " + shown(kernel) + ", expected " +
                                std::to_string(axes) + (axes == 1 ? " number" : " numbers"));
        }
        for (const std::int64_t size : kernel) {
            if (size < 1) {
                throw ArgumentError(call.who() + ": kernel_size must be at least 1, got " + shown(kernel));
            }
            taps = checked_mul(taps, size);
        }
        const Shape& x = call.only_input().shape();
        if (x.dims.size() != axes + 1) {
            throw ShapeError(call.who() + ": input has shape " + x.str() + ", expected " +
                             (axes == 1 ? "(batch, time, channels)" : "(batch, height, width, channels)") +
                             (x.dims.size() == axes ? "; rg.Reshape can add the axis of channels" : ""));
        }
        if (x.last() % groups != 0) {
            throw ShapeError(call.who() + ": groups=" + std::to_string(groups) + " does not divide the " +
                             std::to_string(x.last()) + " channels of the input " + x.str());
        }
    }
};

// z of the operation; the fans are PyTorch's: the weight's second axis there, and its first, times the taps.
Node convolved(LayerCall& call, const std::string& op, std::size_t axes, bool transposed) {
    const ConvConfig config(call, axes);
    const Node& x = call.only_input();
    const std::int64_t channels = x.shape().last();
    const std::int64_t first = transposed ? channels : config.filters;
    const std::int64_t last = (transposed ? config.filters : channels) / config.groups;
    const std::int64_t fan_in = checked_mul(last, config.taps), fan_out = checked_mul(first, config.taps);
    std::vector<std::int64_t> dims = config.kernel;
    dims.insert(dims.begin(), first);
    dims.push_back(last);

    Attributes attributes;
    for (const char* name : {"stride", "padding", "output_padding", "dilation", "groups"}) {
        if (call.config().contains(name)) attributes[name] = call.config().at(name);
    }
    const OpPtr convolution = make_op(op, attributes);
    std::vector<Node> operands = {
        x,
        call.parameter("weight", dims, call.initial("weight_init", call.activation_name(), fan_in, fan_out))};
    if (get_bool(call.config(), "use_bias")) {
        operands.push_back(
            call.parameter("bias", {config.filters}, call.initial("bias_init", "", fan_in, fan_out)));
    }
    return call.activated(call.named(apply(convolution, std::move(operands), call.who()), "z"));
}

}  // namespace

// Conv2D(filters, kernel_size, stride, padding, dilation, groups, activation, use_bias, weight_init,
// bias_init): z = x * W + b, a = activation(z); W is (filters, kh, kw, channels / groups).
Node build_conv2d(LayerCall& call) { return convolved(call, "conv2d", 2, false); }

// Conv1D: the same over a sequence (time, channels); W is (filters, k, channels / groups).
Node build_conv1d(LayerCall& call) { return convolved(call, "conv1d", 1, false); }

// ConvTranspose2D(..., output_padding, ...): W is (channels, kh, kw, filters / groups).
Node build_conv_transpose2d(LayerCall& call) { return convolved(call, "conv_transpose2d", 2, true); }

}  // namespace retrograd
