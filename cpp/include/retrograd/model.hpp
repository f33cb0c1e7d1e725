// A network: the immutable graph, its parameters and gradients as two flat buffers, and prediction.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <retrograd/data.hpp>
#include <retrograd/graph.hpp>
#include <retrograd/plan.hpp>

namespace retrograd {

template <class T>
struct ModelBuffers;  // flat storage that never moves; views hold on to it
template <class T>
class Workspace;

// Who uses a model at this moment: any number that read, or one that trains.
class ModelUse {
  public:
    void begin_reading();  // throws StateError while somebody trains
    void end_reading() { state_.fetch_sub(1); }
    void begin_training();  // throws StateError while somebody trains or predicts
    void end_training() { state_.store(0); }

  private:
    std::atomic<int> state_{0};
};

// Reads for as long as it lives.
class Reading {
  public:
    explicit Reading(ModelUse& use) : use_(use) { use_.begin_reading(); }
    ~Reading() { use_.end_reading(); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

  private:
    ModelUse& use_;
};

template <class T>
class Model {
  public:
    // Collects the graph and initialises the parameters. Throws GraphError, ShapeError or ArgumentError.
    Model(const std::vector<Node>& inputs, const std::vector<Node>& outputs, std::uint64_t seed = 0);
    ~Model();

    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    // The same network with its own memory, in either type.
    template <class U>
    [[nodiscard]] std::unique_ptr<Model<U>> copy_as() const;

    [[nodiscard]] const std::shared_ptr<const Graph>& graph() const { return graph_; }
    [[nodiscard]] const std::vector<int>& inputs() const { return inputs_; }
    [[nodiscard]] const std::vector<int>& outputs() const { return outputs_; }

    // All parameters, one after the other; gradients and constants likewise. The memory never moves. Whoever
    // has asked for gradients() may write into them, so from then on every call that trains begins by
    // clearing all of them, also where it could do with few rows of a large table.
    [[nodiscard]] std::span<T> parameters() const;
    [[nodiscard]] std::span<T> gradients() const;
    [[nodiscard]] std::span<T> constants() const;
    [[nodiscard]] std::shared_ptr<const void> owner() const;  // keeps that memory alive

    // For training: the gradients without that consequence; the rows of each node's that are not 0; and what
    // to call before relying on those after a stranger may have run.
    [[nodiscard]] std::span<T> own_gradients() const;
    [[nodiscard]] std::span<TouchedRows> touched_rows() const;
    void review_touched_rows() const;

    [[nodiscard]] std::vector<bool> frozen() const;  // per node of the graph
    void set_frozen(std::string_view parameter, bool frozen);
    [[nodiscard]] std::uint64_t frozen_version() const { return frozen_version_.load(); }

    // Rows that a prediction computes at once where nothing else is asked for.
    static constexpr std::int64_t default_batch = 256;

    // out[k]: rows x output k, row-major. threads 0: chosen by the work. From many threads at once is fine.
    void predict(std::span<const ArrayView> x, std::span<const std::span<T>> out,
                 std::int64_t batch_size = default_batch, int threads = 0,
                 const std::function<bool()>& interrupted = {});

    // The same bits with less around them, for one input and one output: x has rows of the input's shape in
    // C order and native bytes, out has room for their values. False where that is not all, as for long work
    // or a value that is not finite: `predict` must be called then, and says what is wrong.
    [[nodiscard]] bool predict_few(const void* x, ElementType type, std::int64_t rows, T* out);

    // Multiply-adds of a prediction for one row.
    [[nodiscard]] std::int64_t inference_cost() const { return inference_->forward_cost(); }
    [[nodiscard]] std::int64_t inference_bytes(std::int64_t batch) const;
    [[nodiscard]] ModelUse& use() const { return use_; }

    std::map<std::string, std::string> metadata;  // strings that are saved with the model

    // Where several threads save or read metadata, each holds this meanwhile.
    [[nodiscard]] std::mutex& saving() const { return saving_; }

  private:
    struct Pool;

    [[nodiscard]] std::unique_ptr<Workspace<T>> workspace(std::int64_t batch, int members);

    std::shared_ptr<const Graph> graph_;
    std::vector<int> inputs_, outputs_;
    std::shared_ptr<ModelBuffers<T>> buffers_;
    std::vector<bool> frozen_;
    std::atomic<std::uint64_t> frozen_version_{0};
    mutable std::mutex freezing_, saving_;
    std::shared_ptr<const Plan> inference_;
    bool few_ = false;  // one input of finite real numbers and one output: what predict_few can do
    std::unique_ptr<Pool> pool_;
    mutable ModelUse use_;
};

extern template class Model<float>;
extern template class Model<double>;

}  // namespace retrograd
