// A network: the immutable graph, its parameters and gradients as two flat buffers, and prediction.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
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

// Whether a file of another type may be read: double to float rounds, so it has to be asked for.
enum class Convert : std::uint8_t { no, yes };

// In a model's metadata: what makes probabilities of each output, separated by commas: "softmax", "sigmoid",
// "none", or nothing before it was trained.
inline constexpr std::string_view link_key = "retrograd.link";

// A handle: copies of a Model are the same network, as two names of one object are in Python; copy_as makes
// another network. A trainer holds one, so it keeps its model alive.
template <class T>
class Model {
  public:
    // Collects the graph and initialises the parameters. Throws GraphError, ShapeError or ArgumentError.
    Model(const std::vector<Node>& inputs, const std::vector<Node>& outputs, std::uint64_t seed = 0);

    // A file that Python or C++ saved (model_file.hpp). Throws FileFormatError; DTypeError where the file
    // holds the other type and no conversion was asked for.
    [[nodiscard]] static Model load(const std::filesystem::path& path, Convert convert = Convert::no);
    void save(const std::filesystem::path& path) const;

    // The same network with its own memory, in either type.
    template <class U>
    [[nodiscard]] Model<U> copy_as() const;

    [[nodiscard]] const std::shared_ptr<const Graph>& graph() const;
    [[nodiscard]] const std::vector<int>& inputs() const;
    [[nodiscard]] const std::vector<int>& outputs() const;

    // All parameters, one after the other; gradients and constants likewise. The memory never moves. Whoever
    // has asked for gradients() may write into them, so from then on every call that trains begins by
    // clearing all of them, also where it could do with few rows of a large table.
    [[nodiscard]] std::span<T> parameters() const;
    [[nodiscard]] std::span<T> gradients() const;
    [[nodiscard]] std::span<T> constants() const;
    [[nodiscard]] std::shared_ptr<const void> owner() const;  // keeps that memory alive

    // One parameter, its gradient or a constant, by its name such as "dense_0.weight". Throws ArgumentError.
    [[nodiscard]] std::span<T> parameter(std::string_view name) const;
    [[nodiscard]] std::span<T> gradient(std::string_view parameter) const;
    [[nodiscard]] std::span<T> buffer(std::string_view name) const;

    // For training: the gradients without that consequence; the rows of each node's that are not 0; and what
    // to call before relying on those after a stranger may have run.
    [[nodiscard]] std::span<T> own_gradients() const;
    [[nodiscard]] std::span<TouchedRows> touched_rows() const;
    void review_touched_rows() const;

    // Leaves parameters out of training, or trains them again: those whose name, or whose layer's name,
    // matches the pattern (* is any text, ? one character). Throws ArgumentError where none does.
    void freeze(std::string_view pattern = "*") { freeze_matching("freeze", pattern, true); }
    void unfreeze(std::string_view pattern = "*") { freeze_matching("unfreeze", pattern, false); }
    [[nodiscard]] std::vector<bool> frozen() const;  // per node of the graph
    void set_frozen(std::string_view parameter, bool frozen);
    [[nodiscard]] std::uint64_t frozen_version() const;

    // Rows that a prediction computes at once where nothing else is asked for.
    static constexpr std::int64_t default_batch = 256;

    // One input of real numbers and one output, both row-major: x [rows, inputs], out [rows, outputs]. The
    // number of rows follows from the size of x. From many threads at once is fine. Throw ShapeError where a
    // size does not fit, ArgumentError for numbers that are not finite.
    void predict(std::span<const T> x, std::span<T> out) const;
    [[nodiscard]] std::vector<T> predict(std::span<const T> x) const;

    // The same for any inputs and outputs, read in place; out[k]: rows x output k. threads 0: chosen by the
    // work. `interrupted` is asked every 20 ms; true ends it by Interrupted.
    void predict(std::span<const ArrayView> x, std::span<const std::span<T>> out,
                 std::int64_t batch_size = default_batch, int threads = 0,
                 const std::function<bool()>& interrupted = {}) const;

    // The same bits with less around them, for one input and one output: x has rows of the input's shape in
    // C order and native bytes, out has room for their values. False where that is not all, as for long work
    // or a value that is not finite: `predict` must be called then, and says what is wrong.
    [[nodiscard]] bool predict_few(const void* x, ElementType type, std::int64_t rows, T* out) const;

    // Multiply-adds of a prediction for one row.
    [[nodiscard]] std::int64_t inference_cost() const;
    [[nodiscard]] std::int64_t inference_bytes(std::int64_t batch) const;
    [[nodiscard]] ModelUse& use() const;

    [[nodiscard]] std::map<std::string, std::string>& metadata() const;  // strings that are saved with it

    // Where several threads save or read metadata, each holds this meanwhile.
    [[nodiscard]] std::mutex& saving() const;

  private:
    struct State;

    void freeze_matching(const char* who, std::string_view pattern, bool frozen);
    [[nodiscard]] std::span<T> part(std::string_view name, NodeKind kind, std::span<T> flat) const;

    std::shared_ptr<State> state_;
};

extern template class Model<float>;
extern template class Model<double>;

}  // namespace retrograd
