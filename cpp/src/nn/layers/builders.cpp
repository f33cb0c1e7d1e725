// The builders of layers.hpp: named arguments become the attributes that a layer is made and saved with.
#include <memory>
#include <utility>

#include <retrograd/error.hpp>
#include <retrograd/layers.hpp>

namespace retrograd {

Init Init::normal(double std) {
    Init init("normal");
    init.a = std;
    return init;
}

Init Init::uniform(double low, double high) {
    Init init("uniform");
    init.a = low;
    init.b = high;
    return init;
}

namespace layers {

namespace {

std::vector<std::int64_t> sizes(const Pair& pair) { return {pair.rows, pair.columns}; }

Initial numbers(std::vector<double> values) {
    Initial initial;
    initial.rule = "values";
    initial.values = std::make_shared<const std::vector<double>>(std::move(values));
    return initial;
}

// What is gathered of one layer's arguments.
struct Made {
    Attributes config = {};
    std::map<std::string, Initial> initial = {};
    Layer::Function function = {};

    void activation(const Activation& given) {
        config["activation"] = given.name == "linear" ? std::string() : given.name;
        function = given.function;
    }

    // The argument `role`_init, for the parameter of that name unless another is given.
    void begins(const std::string& role, const Init& init, const std::string& parameter = {}) {
        const std::string key = role + "_init";
        config[key] = init.values.empty() ? init.rule : std::string("zeros");
        if (!init.values.empty()) {
            initial[parameter.empty() ? role : parameter] = numbers(init.values);
        } else if (init.rule == "normal") {
            config[key + "_a"] = init.a;
        } else if (init.rule == "uniform") {
            config[key + "_a"] = init.a;
            config[key + "_b"] = init.b;
        }
    }

    template <class Options>
    void units_of(const Options& options) {
        activation(options.activation);
        config["use_bias"] = options.use_bias;
        begins("weight", options.weight_init);
        begins("bias", options.bias_init);
    }

    [[nodiscard]] Layer layer(const char* kind, const std::string& name) && {
        return Layer(kind, std::move(config), name, std::move(function), std::move(initial));
    }
};

Layer pooling(const char* kind, Pair size, const PoolOptions& options) {
    Made made{{{"size", sizes(size)},
               {"stride", sizes(options.stride.value_or(size))},
               {"padding", sizes(options.padding)}}};
    return std::move(made).layer(kind, options.name);
}

Layer recurrent(const char* kind, std::int64_t units, const RecurrentOptions& options, Attributes config) {
    config["units"] = units;
    config["return_sequences"] = options.return_sequences;
    config["reverse"] = options.reverse;
    Made made{std::move(config)};
    made.begins("weight", options.weight_init, "weight_ih");
    made.begins("recurrent", options.recurrent_init, "weight_hh");
    made.begins("bias", options.bias_init, "bias_ih");
    return std::move(made).layer(kind, options.name);
}

}  // namespace

Layer dense(std::int64_t units, const DenseOptions& options) {
    Made made{{{"units", units}}};
    made.units_of(options);
    return std::move(made).layer("dense", options.name);
}

Layer activation(const Activation& activation, const std::string& name) {
    Made made{{{"activation", activation.name.empty() ? std::string("linear") : activation.name}}};
    made.function = activation.function;
    return std::move(made).layer("activation", name);
}

Layer flatten(const std::string& name) { return Layer("flatten", {}, name); }

Layer reshape(std::vector<std::int64_t> shape, const std::string& name) {
    return Layer("reshape", {{"shape", std::move(shape)}}, name);
}

Layer rescale(double scale, double offset, const std::string& name) {
    return Layer("rescale", {{"scale", scale}, {"offset", offset}}, name);
}

Layer add(const std::string& name) { return Layer("add", {}, name); }
Layer multiply(const std::string& name) { return Layer("multiply", {}, name); }
Layer concatenate(std::int64_t axis, const std::string& name) {
    return Layer("concatenate", {{"axis", axis}}, name);
}

Layer standardize(std::vector<double> mean, std::vector<double> std, const std::string& name) {
    if (mean.size() != std.size()) {
        throw ShapeError("standardize: mean has " + std::to_string(mean.size()) + " numbers and std " +
                         std::to_string(std.size()) + "; give one of each for every feature");
    }
    Made made;
    if (!mean.empty()) made.initial = {{"mean", numbers(std::move(mean))}, {"std", numbers(std::move(std))}};
    return std::move(made).layer("standardize", name);
}

Layer dropout(double rate, const std::string& name) { return Layer("dropout", {{"rate", rate}}, name); }

Layer batch_norm(const BatchNormOptions& options) {
    return Layer("batch_norm",
                 {{"eps", options.eps}, {"momentum", options.momentum}, {"affine", options.affine}},
                 options.name);
}

Layer layer_norm(double eps, const std::string& name) { return Layer("layer_norm", {{"eps", eps}}, name); }
Layer rms_norm(double eps, const std::string& name) { return Layer("rms_norm", {{"eps", eps}}, name); }

Padding::Padding(const char* word) : same(true) {
    if (std::string(word) != "same") {
        throw ArgumentError("padding: it is '" + std::string(word) + "', expected \"same\" or whole numbers");
    }
}

Layer conv2d(std::int64_t filters, Pair kernel_size, const Conv2DOptions& options) {
    Made made{{{"filters", filters},
               {"kernel_size", sizes(kernel_size)},
               {"stride", sizes(options.stride)},
               {"dilation", sizes(options.dilation)},
               {"groups", options.groups}}};
    made.config["padding"] =
        options.padding.same ? Attribute("same") : Attribute(sizes(options.padding.sizes));
    made.units_of(options);
    return std::move(made).layer("conv2d", options.name);
}

Layer conv1d(std::int64_t filters, std::int64_t kernel_size, const Conv1DOptions& options) {
    using Sizes = std::vector<std::int64_t>;
    Made made{{{"filters", filters},
               {"kernel_size", Sizes{kernel_size}},
               {"stride", Sizes{options.stride}},
               {"dilation", Sizes{options.dilation}},
               {"groups", options.groups}}};
    made.config["padding"] =
        options.padding.same ? Attribute("same") : Attribute(Sizes{options.padding.sizes.rows});
    made.units_of(options);
    return std::move(made).layer("conv1d", options.name);
}

Layer conv_transpose2d(std::int64_t filters, Pair kernel_size, const ConvTranspose2DOptions& options) {
    Made made{{{"filters", filters},
               {"kernel_size", sizes(kernel_size)},
               {"stride", sizes(options.stride)},
               {"padding", sizes(options.padding)},
               {"output_padding", sizes(options.output_padding)},
               {"dilation", sizes(options.dilation)},
               {"groups", options.groups}}};
    made.units_of(options);
    return std::move(made).layer("conv_transpose2d", options.name);
}

Layer max_pool2d(Pair size, const PoolOptions& options) { return pooling("max_pool2d", size, options); }
Layer avg_pool2d(Pair size, const PoolOptions& options) { return pooling("avg_pool2d", size, options); }
Layer global_avg_pool2d(const std::string& name) { return Layer("global_avg_pool2d", {}, name); }
Layer up_sample2d(Pair factor, const std::string& mode, const std::string& name) {
    return Layer("up_sample2d", {{"factor", sizes(factor)}, {"mode", mode}}, name);
}

Layer embedding(std::int64_t count, std::int64_t units, const EmbeddingOptions& options) {
    Made made{{{"count", count}, {"units", units}}};
    made.begins("weight", options.weight_init);
    return std::move(made).layer("embedding", options.name);
}

Layer simple_rnn(std::int64_t units, const std::string& activation, const RecurrentOptions& options) {
    return recurrent("simple_rnn", units, options, {{"activation", activation}});
}
Layer lstm(std::int64_t units, const RecurrentOptions& options) {
    return recurrent("lstm", units, options, {});
}
Layer gru(std::int64_t units, const RecurrentOptions& options) {
    return recurrent("gru", units, options, {});
}

Layer positional_embedding(std::int64_t length, const PositionalEmbeddingOptions& options) {
    Made made{{{"length", length}}};
    made.begins("weight", options.weight_init);
    return std::move(made).layer("positional_embedding", options.name);
}

Layer multi_head_attention(std::int64_t heads, const MultiHeadAttentionOptions& options) {
    return Layer("multi_head_attention",
                 {{"heads", heads}, {"causal", options.causal}, {"dropout", options.dropout}}, options.name);
}

}  // namespace layers

}  // namespace retrograd
