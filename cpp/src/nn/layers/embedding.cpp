// Layers of tables: an index becomes a row.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

// Embedding(count, units, weight_init): a[i] = W[x[i]]; W is (count, units) and begins as N(0, 1).
Node build_embedding(LayerCall& call) {
    const Node& x = call.only_input();
    const std::int64_t count = get_int(call.config(), "count"), units = get_int(call.config(), "units");
    if (count < 1)
        throw ArgumentError(call.who() + ": count must be at least 1, got " + std::to_string(count));
    if (units < 1)
        throw ArgumentError(call.who() + ": units must be at least 1, got " + std::to_string(units));
    if (x.dtype() != DType::index) {
        throw DTypeError(call.who() + ": its input has shape " + x.shape().str() +
                         " and holds floats, expected indices; make it by rg.Input(shape, dtype=\"int64\")");
    }
    Initial initial = call.initial("weight_init", "", units, count);
    if (get_string(call.config(), "weight_init") == "auto") {
        initial.rule = "normal";
        initial.a = 1;
    }
    const Node weight = call.parameter("weight", {count, units}, std::move(initial));
    return call.named(apply("gather", {}, {weight, x}, call.who()), "a");
}

}  // namespace retrograd
