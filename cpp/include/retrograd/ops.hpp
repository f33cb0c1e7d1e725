// Operations on nodes: the arithmetic of expressions, and those that losses of one's own are made of. Every
// other operation is apply(name, attributes, inputs), with the names and attributes of rg.ops.
#pragma once

#include <cstdint>
#include <vector>

#include <retrograd/graph.hpp>

namespace retrograd {

[[nodiscard]] inline Node number(double value) { return constant({}, {value}); }

[[nodiscard]] inline Node operator+(const Node& a, const Node& b) { return apply("add", {}, {a, b}); }
[[nodiscard]] inline Node operator-(const Node& a, const Node& b) { return apply("subtract", {}, {a, b}); }
[[nodiscard]] inline Node operator*(const Node& a, const Node& b) { return apply("multiply", {}, {a, b}); }
[[nodiscard]] inline Node operator/(const Node& a, const Node& b) { return apply("divide", {}, {a, b}); }
[[nodiscard]] inline Node operator-(const Node& a) { return apply("negative", {}, {a}); }

[[nodiscard]] inline Node operator+(const Node& a, double b) { return a + number(b); }
[[nodiscard]] inline Node operator-(const Node& a, double b) { return a - number(b); }
[[nodiscard]] inline Node operator*(const Node& a, double b) { return a * number(b); }
[[nodiscard]] inline Node operator/(const Node& a, double b) { return a / number(b); }
[[nodiscard]] inline Node operator+(double a, const Node& b) { return number(a) + b; }
[[nodiscard]] inline Node operator-(double a, const Node& b) { return number(a) - b; }
[[nodiscard]] inline Node operator*(double a, const Node& b) { return number(a) * b; }
[[nodiscard]] inline Node operator/(double a, const Node& b) { return number(a) / b; }

namespace ops {

// f(x), element by element: exp, log, sqrt, square, abs, relu, tanh, ...; member_names("unary") lists them,
// member_names("activation") those that are activations too.
[[nodiscard]] inline Node unary(const char* name, const Node& x) { return apply(name, {}, {x}); }

// Over the axes given, counted as in NumPy with the batch as axis 0, which cannot be reduced; none: over all
// axes but the batch.
[[nodiscard]] inline Node sum(const Node& x, std::vector<std::int64_t> axes = {}, bool keepdims = false) {
    Attributes attributes = {{"keepdims", keepdims}};
    if (!axes.empty()) attributes["axis"] = std::move(axes);
    return apply("sum", attributes, {x});
}
[[nodiscard]] inline Node mean(const Node& x, std::vector<std::int64_t> axes = {}, bool keepdims = false) {
    Attributes attributes = {{"keepdims", keepdims}};
    if (!axes.empty()) attributes["axis"] = std::move(axes);
    return apply("mean", attributes, {x});
}
[[nodiscard]] inline Node maximum(const Node& x, double bound) {
    return apply("maximum", {}, {x, number(bound)});
}

}  // namespace ops

}  // namespace retrograd
