// An expression run for the sake of its numbers: no model, no loss, no batch needed, and every value and
// every gradient stays readable.
//
// Its numbers belong to one run at a time: while a thread runs it, every other call that would touch them
// throws StateError. Many threads may read.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <retrograd/data.hpp>
#include <retrograd/graph.hpp>

namespace retrograd {

template <class T>
class Evaluation {
  public:
    // The graph that `result` reaches. Parameters begin as those of a model of this seed would. Throws
    // GraphError where the result is a leaf or two nodes have one name.
    explicit Evaluation(const Node& result, std::uint64_t seed = 0);
    ~Evaluation();
    Evaluation(const Evaluation&) = delete;
    Evaluation& operator=(const Evaluation&) = delete;

    [[nodiscard]] const Graph& graph() const;
    [[nodiscard]] int result() const;
    [[nodiscard]] std::int64_t batch() const;  // samples of the last forward; 1 before

    // Operations in the order in which backward visits them.
    [[nodiscard]] const std::vector<int>& visits() const;

    // All values. An array for every input (axis 0: samples, as many in each) and placeholder; parameters
    // keep what they have unless they are among them. Operations run as in prediction: nothing is dropped.
    // Throws ShapeError, DTypeError or ArgumentError, and StateError where an input or placeholder is
    // missing.
    void forward(const std::vector<std::pair<int, ArrayView>>& fed);

    // All gradients of sum(seed * result): `seed` has the result's shape. Throws StateError before a forward.
    void backward(std::span<const T> seed);

    // The numbers of a node, as a copy; empty where it has none: of indices, and gradients of what has no
    // derivative.
    [[nodiscard]] std::vector<T> value(int node) const;
    [[nodiscard]] std::vector<T> gradient(int node) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace retrograd
