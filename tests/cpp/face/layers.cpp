// A model for each builder of layers, with arguments that are not the defaults and with those that are.
#include <utility>

#include "face.hpp"

namespace {

namespace layers = rg::layers;

// layer(input) as a model in NAME.safetensors.
void made(const std::filesystem::path& folder, const std::string& name, std::vector<std::int64_t> dims,
          rg::Layer layer, rg::DType dtype = rg::DType::real) {
    const rg::Node x = rg::input(std::move(dims), dtype);
    rg::Model<float>({x}, {layer(x)}, 3).save(folder / (name + ".safetensors"));
}

// The same of several inputs of equal shape.
void joined(const std::filesystem::path& folder, const std::string& name, const std::vector<rg::Node>& inputs,
            rg::Layer layer) {
    rg::Model<float>(inputs, {layer(inputs)}, 3).save(folder / (name + ".safetensors"));
}

}  // namespace

void make_layers(const std::filesystem::path& folder) {
    made(folder, "dense", {4}, layers::dense(3));
    made(folder, "dense_more", {4},
         layers::dense(2, {.activation = "relu",
                           .use_bias = false,
                           .weight_init = rg::Init::normal(0.5),
                           .name = "first"}));
    made(folder, "dense_values", {2},
         layers::dense(2, {.activation = [](const rg::Node& z) { return z * z + 1.0; },
                           .weight_init = std::vector<double>{1, 2, 3, 4},
                           .bias_init = rg::Init::uniform(-1, 1)}));
    made(folder, "activation", {4}, layers::activation("tanh"));
    made(folder, "flatten", {2, 3}, layers::flatten());
    made(folder, "reshape", {6}, layers::reshape({2, -1}));
    made(folder, "rescale", {3}, layers::rescale(0.5, 2));
    made(folder, "standardize", {2}, layers::standardize({1, 2}, {0.5, 3}));
    made(folder, "dropout", {4}, layers::dropout(0.25));
    made(folder, "batch_norm", {4}, layers::batch_norm({.eps = 1e-3, .momentum = 0.2}));
    made(folder, "batch_norm_plain", {4}, layers::batch_norm({.affine = false}));
    made(folder, "layer_norm", {4}, layers::layer_norm());
    made(folder, "rms_norm", {4}, layers::rms_norm(1e-4));
    made(folder, "conv2d", {5, 6, 2}, layers::conv2d(4, 3, {.padding = "same", .activation = "relu"}));
    made(folder, "conv2d_more", {7, 9, 4},
         layers::conv2d(4, {3, 2}, {.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2}));
    made(folder, "conv1d", {9, 2}, layers::conv1d(3, 3, {.stride = 2, .padding = 1}));
    made(folder, "conv_transpose2d", {3, 4, 2},
         layers::conv_transpose2d(3, {2, 3}, {.stride = 2, .output_padding = {1, 0}}));
    made(folder, "max_pool2d", {4, 6, 2}, layers::max_pool2d(2));
    made(folder, "avg_pool2d", {5, 6, 2}, layers::avg_pool2d({3, 2}, {.stride = 1, .padding = 1}));
    made(folder, "global_avg_pool2d", {4, 4, 3}, layers::global_avg_pool2d());
    made(folder, "up_sample2d", {2, 3, 1}, layers::up_sample2d({2, 3}, "bilinear"));
    made(folder, "embedding", {5}, layers::embedding(10, 4), rg::DType::index);
    made(folder, "simple_rnn", {5, 3}, layers::simple_rnn(4, "relu", {.reverse = true}));
    made(folder, "lstm", {5, 3}, layers::lstm(4, {.return_sequences = true}));
    made(folder, "gru", {5, 3}, layers::gru(4, {.recurrent_init = rg::Init::normal(0.1)}));
    made(folder, "positional_embedding", {5, 4}, layers::positional_embedding(8));
    made(folder, "multi_head_attention", {5, 4},
         layers::multi_head_attention(2, {.causal = true, .dropout = 0.1}));
    joined(folder, "add", {rg::input({3}), rg::input({3})}, layers::add());
    joined(folder, "multiply", {rg::input({3}), rg::input({3})}, layers::multiply());
    joined(folder, "concatenate", {rg::input({3}), rg::input({2})}, layers::concatenate());

    rg::Sequential<double>(rg::input({4}), {layers::dense(5, {"tanh"}), layers::dense(2)}, 7)
        .save(folder / "sequential.safetensors");

    check_throws<rg::ArgumentError>([] { (void)layers::conv2d(1, 1, {.padding = "valid"}); },
                                    "padding: it is 'valid'");
    check_throws<rg::ShapeError>([] { (void)layers::standardize({1}, {}); }, "mean has 1 numbers and std 0");
}
