#include <retrograd/initializers.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <retrograd/error.hpp>

namespace retrograd {
namespace {

constexpr std::array<std::string_view, 11> rules = {
    "zeros",         "ones",           "normal",       "uniform",       "he_normal", "he_uniform",
    "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform", "orthogonal"};

// Rows or columns, whichever are fewer, orthonormal: a matrix of the normal numbers from `first` on, made
// orthogonal by Gram and Schmidt, twice over because once loses digits.
std::vector<double> orthogonal(std::int64_t rows, std::int64_t columns, std::size_t first,
                               const RandomKey& key) {
    const std::int64_t count = std::min(rows, columns), length = std::max(rows, columns);
    std::vector<double> q(static_cast<std::size_t>(rows * columns));
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = normal(key, first + i);
    const auto vector = [&](std::int64_t v) { return q.data() + v * length; };
    for (std::int64_t v = 0; v < count; ++v) {
        for (int pass = 0; pass < 2; ++pass) {
            for (std::int64_t u = 0; u < v; ++u) {
                double dot = 0;
                for (std::int64_t i = 0; i < length; ++i) dot += vector(u)[i] * vector(v)[i];
                for (std::int64_t i = 0; i < length; ++i) vector(v)[i] -= dot * vector(u)[i];
            }
        }
        double square = 0;
        for (std::int64_t i = 0; i < length; ++i) square += vector(v)[i] * vector(v)[i];
        const double norm = std::sqrt(square);
        for (std::int64_t i = 0; i < length; ++i) vector(v)[i] /= norm;
    }
    if (rows <= columns) return q;
    std::vector<double> transposed(q.size());
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) {
            transposed[static_cast<std::size_t>(r * columns + c)] = q[static_cast<std::size_t>(c * rows + r)];
        }
    }
    return transposed;
}

}  // namespace

std::vector<std::string> initializer_names() { return {rules.begin(), rules.end()}; }

std::string initializer_for(const std::string& activation) {
    static constexpr std::array<std::string_view, 8> relu_family = {
        "relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "hard_swish"};
    if (activation == "selu") return "lecun_normal";
    return std::ranges::find(relu_family, activation) != relu_family.end() ? "he_normal" : "glorot_uniform";
}

template <class T>
void initialise(const Initial& initial, const Shape& shape, const RandomKey& key, std::span<T> out) {
    const std::string& rule = initial.rule;
    const auto fill = [&](auto&& f) {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(f(i));
    };
    const auto normals = [&](double deviation) {
        fill([&](std::size_t i) { return deviation * normal(key, i); });
    };
    const auto uniforms = [&](double low, double high) {
        fill([&](std::size_t i) { return low + (high - low) * uniform(key, i); });
    };
    const double in = static_cast<double>(initial.fan_in), both = in + static_cast<double>(initial.fan_out);
    if (rule == "values") return fill([&](std::size_t i) { return (*initial.values)[i]; });
    if (rule == "zeros") return fill([](std::size_t) { return 0.0; });
    if (rule == "ones") return fill([](std::size_t) { return 1.0; });
    if (rule == "normal") return normals(initial.a);
    if (rule == "uniform") return uniforms(initial.a, initial.b);
    if (rule == "he_normal") return normals(std::sqrt(2 / in));
    if (rule == "he_uniform") return uniforms(-std::sqrt(6 / in), std::sqrt(6 / in));
    if (rule == "glorot_normal") return normals(std::sqrt(2 / both));
    if (rule == "glorot_uniform") return uniforms(-std::sqrt(6 / both), std::sqrt(6 / both));
    if (rule == "lecun_normal") return normals(std::sqrt(1 / in));
    if (rule == "lecun_uniform") return uniforms(-std::sqrt(3 / in), std::sqrt(3 / in));
    if (rule == "orthogonal") {
        const std::int64_t rows = (shape.dims.empty() ? 1 : shape.dims[0]) / initial.stacked;
        const std::int64_t columns = shape.size() / initial.stacked / rows;
        for (std::size_t first = 0; first < out.size(); first += static_cast<std::size_t>(rows * columns)) {
            const std::vector<double> q = orthogonal(rows, columns, first, key);
            for (std::size_t i = 0; i < q.size(); ++i) out[first + i] = static_cast<T>(q[i]);
        }
        return;
    }
    std::string known;
    for (const std::string_view name : rules) known += (known.empty() ? "" : ", ") + std::string(name);
    throw ArgumentError("weight_init: unknown initialiser '" + rule + "'; choose one of " + known);
}

template void initialise<float>(const Initial&, const Shape&, const RandomKey&, std::span<float>);
template void initialise<double>(const Initial&, const Shape&, const RandomKey&, std::span<double>);

}  // namespace retrograd
