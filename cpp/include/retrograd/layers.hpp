// A layer is a function that appends nodes. namespace layers has one builder for each kind, with the
// arguments and defaults of rg.layers.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <retrograd/graph.hpp>

namespace retrograd {

struct LayerState;

// A handle, as Model is: copies are the same layer, and share its parameters.
class Layer {
  public:
    using Function = std::function<Node(const Node&)>;

    // `kind` is a name of layer_kinds(); `config` has its arguments (see nn/layers.cpp, beside each builder).
    // `activation` stands instead of config["activation"]; `initial` (by role) instead of the initialisers in
    // config.
    explicit Layer(std::string kind, Attributes config = {}, std::string name = "", Function activation = {},
                   std::map<std::string, Initial> initial = {});

    // The first call makes the parameters, later calls share them; calls from several threads wait for each
    // other. Throws ShapeError, ArgumentError or GraphError.
    Node operator()(const std::vector<Node>& inputs);
    Node operator()(const Node& input) { return (*this)(std::vector<Node>{input}); }

    [[nodiscard]] const std::string& kind() const;
    [[nodiscard]] const std::string& name() const;  // as it was given; "" otherwise
    [[nodiscard]] const Attributes& config() const;

  private:
    std::shared_ptr<LayerState> state_;
};

[[nodiscard]] std::vector<std::string> layer_kinds();

// A named activation of a node; throws ArgumentError with the list of names.
[[nodiscard]] Node activate(const std::string& activation, const Node& z, const std::string& who);
[[nodiscard]] std::vector<std::string> activation_names();

// A name of activation_names(), or a function of a node; nothing: a = z.
struct Activation {
    std::string name;
    Layer::Function function;

    Activation() = default;
    Activation(const char* known) : name(known) {}             // NOLINT: a name is an activation
    Activation(std::string known) : name(std::move(known)) {}  // NOLINT
    template <std::invocable<const Node&> F>
    Activation(F own) : function(std::move(own)) {}  // NOLINT
};

// Where a parameter begins: a rule of initializers.hpp ("auto": by the activation), or numbers in C order of
// the parameter's own shape.
struct Init {
    std::string rule = "auto";
    double a = 0, b = 0;
    std::vector<double> values;

    Init(const char* name) : rule(name) {}                             // NOLINT: a name is a rule
    Init(std::string name) : rule(std::move(name)) {}                  // NOLINT
    Init(std::vector<double> numbers) : values(std::move(numbers)) {}  // NOLINT

    [[nodiscard]] static Init normal(double std = 0.05);
    [[nodiscard]] static Init uniform(double low = -0.05, double high = 0.05);
};

// A size for rows and columns: 3, or {3, 5}.
struct Pair {
    std::int64_t rows, columns;

    Pair(std::int64_t both) : rows(both), columns(both) {}  // NOLINT: one number stands for both
    Pair(std::int64_t rows_, std::int64_t columns_) : rows(rows_), columns(columns_) {}
};

namespace layers {

struct DenseOptions {
    Activation activation = {};
    bool use_bias = true;
    Init weight_init = "auto", bias_init = "zeros";
    std::string name = {};
};
// z = x W^T + b, a = activation(z). [batch, ..., inputs] -> [batch, ..., units]; W is [units, inputs].
[[nodiscard]] Layer dense(std::int64_t units, const DenseOptions& options = {});

// a = activation(x)
[[nodiscard]] Layer activation(const Activation& activation, const std::string& name = {});

[[nodiscard]] Layer flatten(const std::string& name = {});  // all axes of a sample become one
[[nodiscard]] Layer reshape(std::vector<std::int64_t> shape, const std::string& name = {});  // one may be -1
[[nodiscard]] Layer rescale(double scale, double offset = 0,
                            const std::string& name = {});   // a = x scale + offset
[[nodiscard]] Layer add(const std::string& name = {});       // of two or more nodes
[[nodiscard]] Layer multiply(const std::string& name = {});  // of two or more nodes
[[nodiscard]] Layer concatenate(std::int64_t axis = -1, const std::string& name = {});

// a = (x - mean) / std over the last axis, both given in C order; without them they are NaN until someone
// writes Model::buffer("standardize_0.mean"), and every use is refused.
[[nodiscard]] Layer standardize(std::vector<double> mean = {}, std::vector<double> std = {},
                                const std::string& name = {});

// a = x m / (1 - rate) in training, where m is 0 with probability rate; a = x otherwise.
[[nodiscard]] Layer dropout(double rate, const std::string& name = {});

struct BatchNormOptions {
    double eps = 1e-5, momentum = 0.1;
    bool affine = true;
    std::string name = {};
};
[[nodiscard]] Layer batch_norm(const BatchNormOptions& options = {});
[[nodiscard]] Layer layer_norm(double eps = 1e-5, const std::string& name = {});
[[nodiscard]] Layer rms_norm(double eps = 1e-6, const std::string& name = {});

// Zeros beyond each edge: a number, {rows, columns}, or "same" (with stride 1).
struct Padding {
    Pair sizes = 0;
    bool same = false;

    Padding(int both) : sizes(both) {}  // NOLINT
    Padding(std::int64_t rows, std::int64_t columns) : sizes(rows, columns) {}
    Padding(const char* word);  // NOLINT: throws ArgumentError for another word than "same"
};

struct Conv2DOptions {
    Pair stride = 1;
    Padding padding = 0;
    Pair dilation = 1;
    std::int64_t groups = 1;
    Activation activation = {};
    bool use_bias = true;
    Init weight_init = "auto", bias_init = "zeros";
    std::string name = {};
};
// [batch, h, w, channels] -> [batch, oh, ow, filters]; W is [filters, kh, kw, channels / groups].
[[nodiscard]] Layer conv2d(std::int64_t filters, Pair kernel_size, const Conv2DOptions& options = {});

struct Conv1DOptions {
    std::int64_t stride = 1;
    Padding padding = 0;  // of a pair the first counts
    std::int64_t dilation = 1, groups = 1;
    Activation activation = {};
    bool use_bias = true;
    Init weight_init = "auto", bias_init = "zeros";
    std::string name = {};
};
// [batch, time, channels] -> [batch, ot, filters]; W is [filters, k, channels / groups].
[[nodiscard]] Layer conv1d(std::int64_t filters, std::int64_t kernel_size, const Conv1DOptions& options = {});

struct ConvTranspose2DOptions {
    Pair stride = 1, padding = 0, output_padding = 0, dilation = 1;
    std::int64_t groups = 1;
    Activation activation = {};
    bool use_bias = true;
    Init weight_init = "auto", bias_init = "zeros";
    std::string name = {};
};
// The convolution that leads back; W is [channels, kh, kw, filters / groups].
[[nodiscard]] Layer conv_transpose2d(std::int64_t filters, Pair kernel_size,
                                     const ConvTranspose2DOptions& options = {});

struct PoolOptions {
    std::optional<Pair> stride = {};  // none: windows side by side
    Pair padding = 0;
    std::string name = {};
};
[[nodiscard]] Layer max_pool2d(Pair size, const PoolOptions& options = {});
[[nodiscard]] Layer avg_pool2d(Pair size, const PoolOptions& options = {});
[[nodiscard]] Layer global_avg_pool2d(const std::string& name = {});
[[nodiscard]] Layer up_sample2d(Pair factor, const std::string& mode = "nearest",
                                const std::string& name = {});

struct EmbeddingOptions {
    Init weight_init = "auto";
    std::string name = {};
};
// a[i] = W[x[i]] of indices; W is [count, units].
[[nodiscard]] Layer embedding(std::int64_t count, std::int64_t units, const EmbeddingOptions& options = {});

struct RecurrentOptions {
    bool return_sequences = false, reverse = false;
    Init weight_init = "auto", recurrent_init = "orthogonal", bias_init = "zeros";
    std::string name = {};
};
// [batch, time, features] -> [batch, units] or [batch, time, units]; called with (x) or (x, mask).
[[nodiscard]] Layer simple_rnn(std::int64_t units, const std::string& activation = "tanh",
                               const RecurrentOptions& options = {});
[[nodiscard]] Layer lstm(std::int64_t units, const RecurrentOptions& options = {});
[[nodiscard]] Layer gru(std::int64_t units, const RecurrentOptions& options = {});

struct PositionalEmbeddingOptions {
    Init weight_init = Init::normal(0.02);
    std::string name = {};
};
[[nodiscard]] Layer positional_embedding(std::int64_t length, const PositionalEmbeddingOptions& options = {});

struct MultiHeadAttentionOptions {
    bool causal = false;
    double dropout = 0;
    std::string name = {};
};
// Called with (x), (q, k, v), and a mask after either.
[[nodiscard]] Layer multi_head_attention(std::int64_t heads, const MultiHeadAttentionOptions& options = {});

}  // namespace layers

}  // namespace retrograd
