#include <retrograd/layers.hpp>

#include <algorithm>
#include <utility>

#include <retrograd/error.hpp>

#include "kernels/table.hpp"
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

namespace {

struct Builder {
    const char* kind;
    Node (*build)(LayerCall&);
};

// clang-format off
constexpr Builder builders[] = {
    {"dense", build_dense},
    {"activation", build_activation},
    {"flatten", build_flatten},
    {"reshape", build_reshape},
    {"rescale", build_rescale},
    {"add", build_add},
    {"multiply", build_multiply},
    {"concatenate", build_concatenate},
    {"batch_norm", build_batch_norm},
    {"dropout", build_dropout},
    {"max_pool2d", build_max_pool2d},
    {"avg_pool2d", build_avg_pool2d},
    {"global_avg_pool2d", build_global_avg_pool2d},
    {"up_sample2d", build_up_sample2d},
    {"standardize", build_standardize},
    {"embedding", build_embedding},
    {"simple_rnn", build_simple_rnn},
    {"lstm", build_lstm},
    {"gru", build_gru},
    {"layer_norm", build_layer_norm},
    {"rms_norm", build_rms_norm},
    {"positional_embedding", build_positional_embedding},
    {"multi_head_attention", build_multi_head_attention},
    {"conv1d", build_conv1d},
    {"conv2d", build_conv2d},
    {"conv_transpose2d", build_conv_transpose2d},
};
// clang-format on

}  // namespace

Layer::Layer(std::string kind, Attributes config, std::string name, Function activation,
             std::map<std::string, Initial> initial)
    : state_(new LayerState{
          std::make_shared<const LayerTag>(LayerTag{std::move(kind), std::move(name), std::move(config)}),
          std::move(activation), std::move(initial)}) {}

const std::string& Layer::kind() const { return state_->tag->kind; }
const std::string& Layer::name() const { return state_->tag->name; }
const Attributes& Layer::config() const { return state_->tag->config; }

Node Layer::operator()(const std::vector<Node>& inputs) {
    LayerState& s = *state_;
    for (const Builder& builder : builders) {
        if (kind() != builder.kind) continue;
        const std::lock_guard lock(s.calling);
        LayerCall call(s, inputs);
        try {
            Node result = builder.build(call);
            ++s.calls;
            return result;
        } catch (...) {
            if (s.calls == 0) s.parameters.clear();  // a first call that failed leaves no parameters behind
            throw;
        }
    }
    std::string known;
    for (const Builder& builder : builders) known += (known.empty() ? "" : ", ") + std::string(builder.kind);
    throw ArgumentError("layer: unknown kind '" + kind() + "'; choose one of " + known);
}

std::vector<std::string> layer_kinds() {
    std::vector<std::string> kinds;
    for (const Builder& builder : builders) kinds.emplace_back(builder.kind);
    return kinds;
}

std::vector<std::string> activation_names() {
    std::vector<std::string> names;
    for (const auto& kernel : kernels<float>().unary) {
        if (kernel.is_activation) names.emplace_back(kernel.name);
    }
    names.insert(names.end(), {"softmax", "log_softmax"});
    return names;
}

Node activate(const std::string& activation, const Node& z, const std::string& who) {
    const std::vector<std::string> names = activation_names();
    if (std::ranges::find(names, activation) == names.end()) {
        std::string known;
        for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
        throw ArgumentError(who + ": unknown activation '" + activation + "'; choose one of " + known);
    }
    return apply(activation, {}, {z}, who);
}

}  // namespace retrograd
