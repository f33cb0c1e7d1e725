// The losses by name, with the arguments and defaults of rg.losses. Each has one value per sample; the loss
// of a batch is their mean. Probability losses take logits; an output that ends in softmax or sigmoid is
// taken before it.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <retrograd/graph.hpp>

namespace retrograd {

struct LossTerm {  // the loss of one output
    std::string name = "mean_squared_error";
    Attributes attributes = {};
};

// A loss of your own: one value per sample.
using LossFunction = std::function<Node(const std::vector<Node>& outputs, const std::vector<Node>& targets)>;

// One term for each output, or one function of all outputs and targets.
struct Loss {
    std::vector<LossTerm> terms;
    LossFunction function;

    Loss() = default;
    Loss(LossTerm term) { terms.push_back(std::move(term)); }  // NOLINT: a loss is a Loss
    Loss(std::initializer_list<LossTerm> several) : terms(several) {}
    Loss(std::vector<LossTerm> several) : terms(std::move(several)) {}  // NOLINT
    Loss(LossFunction own) : function(std::move(own)) {}                // NOLINT
    template <std::invocable<const std::vector<Node>&, const std::vector<Node>&> F>
    Loss(F own) : function(std::move(own)) {}  // NOLINT
};

[[nodiscard]] LossTerm half_squared_error();   // 1/2 sum_j (y_j - t_j)^2: the textbook's, with delta = y - t
[[nodiscard]] LossTerm mean_squared_error();   // mean_j (y_j - t_j)^2
[[nodiscard]] LossTerm mean_absolute_error();  // mean_j |y_j - t_j|
// mean_j of 1/2 e^2 where |e| <= delta, and delta (|e| - delta/2) beyond (Huber, 1964)
[[nodiscard]] LossTerm huber(double delta = 1);
[[nodiscard]] LossTerm
binary_cross_entropy();  // mean_j of -t_j log p_j - (1 - t_j) log(1 - p_j), p = sigmoid(z)

struct CrossEntropyOptions {
    double label_smoothing = 0;        // s: q becomes (1 - s) q + s / classes
    std::int64_t ignore_index = -100;  // positions with this label do not count
};
// -sum_k q_k log softmax(z)_k over the last axis; targets are labels, or probabilities q of the output's
// shape
[[nodiscard]] LossTerm cross_entropy(const CrossEntropyOptions& options = {});
[[nodiscard]] LossTerm poisson();  // mean_j of exp(z_j) - t_j z_j
[[nodiscard]] LossTerm hinge();    // mean_j of max(0, 1 - t_j z_j); targets are -1 and +1

// For a model of one output:
[[nodiscard]] LossFunction kl_divergence();      // sum_k q_k (log q_k - log softmax(z)_k), targets q
[[nodiscard]] LossFunction cosine_similarity();  // 1 - y.t / (|y| |t|), lengths at least 1e-8

}  // namespace retrograd
