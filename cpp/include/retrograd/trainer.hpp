// Training: forward, backward, update; a step is a transaction.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <retrograd/data.hpp>
#include <retrograd/losses.hpp>
#include <retrograd/model.hpp>
#include <retrograd/optimizer.hpp>

namespace retrograd {

struct TrainerOptions {
    Loss loss = {};
    std::vector<double> loss_weights = {};  // one for each term, or none
    Optimizer optimizer = {};               // with its rate
    std::vector<ParamGroup> groups = {};
    double l1 = 0, l2 = 0;
    double clip_norm = 0, clip_value = 0;  // 0: none
    int threads = 0;                       // 0: chosen by the work
    std::uint64_t seed = 0;
    bool fuse = true, reuse = true, touched_rows = true;  // plan passes; the bits are the same either way
};

struct Batch {  // arrays of equal length: one for each input, one for each target, weights or none
    std::span<const ArrayView> x;
    std::span<const ArrayView> y;
    const ArrayView* sample_weight = nullptr;
};

// Of the iterations of an epoch the first, and then every sixteenth: recording costs a fifth of such a step.
inline constexpr std::int64_t recorded_every = 16;

struct EpochOptions {
    std::int64_t batch_size = 32;
    bool shuffle = true;
    const std::vector<std::int64_t>* rows = nullptr;  // these rows only
    bool collect = false;                             // keep every output
    bool record_layers = false;                       // norms per parameter, each recorded_every iterations
    bool resume = false;                              // go on with the epoch that was broken off
    std::function<bool()> interrupted = {};           // asked every 20 ms; true drops the running step
    std::function<bool(std::int64_t, double)> on_iteration = {};  // true: stop after this one
    // samples done, in all, loss so far
    std::function<void(std::int64_t, std::int64_t, double)> progress = {};
};

// How far an epoch has come that is not complete; all 0 where there is none.
struct EpochCursor {
    std::int64_t rows = 0, total = 0;  // whose steps are done, and all of them
    std::int64_t batch_size = 0;
    bool shuffle = false;
};

// A loss over some samples: sum w_i L_i and sum w_i, which add up over batches.
struct WeightedLoss {
    double sum = 0, weight = 0;

    [[nodiscard]] double mean() const { return weight > 0 ? sum / weight : 0; }
};

template <class T>
struct EpochResult {
    WeightedLoss loss;
    double last_loss = 0;                   // of the last iteration
    double penalty = 0, gradient_norm = 0;  // means over the iterations
    std::int64_t iterations = 0, samples = 0;
    bool stopped = false;
    std::vector<std::vector<T>> outputs;
    std::vector<std::int64_t> order;
    std::map<std::string, double> gradient_norms, update_norms;  // means over the recorded iterations
};

template <class T>
struct TraceResult {
    double loss = 0;
    struct Array {
        std::string name;
        std::vector<std::int64_t> shape;
        std::vector<T> numbers;
    };
    std::vector<Array> values, deltas, gradients;
};

template <class T>
struct TrainerState;
struct TrainerFile;  // io/checkpoint.cpp

// One thread trains; a second call that trains throws StateError. Meanwhile other threads may ask for
// iteration, epoch, lr, penalty, gradient_norm and threads_used, set the schedule, and stop; what looks into
// it (unfinished, plan, memory, evaluate, save, trace) or sets iteration and epoch throws StateError.
template <class T>
class Trainer {
  public:
    // Throws ArgumentError or ShapeError.
    Trainer(Model<T> model, TrainerOptions options);
    Trainer(Trainer&&) noexcept;
    Trainer& operator=(Trainer&&) noexcept;
    ~Trainer();

    // Model, optimizer, schedule, counters and the epoch that is running, between two iterations or from
    // on_iteration: see checkpoint.hpp. What is loaded goes on bit for bit; run_epoch with `resume` goes on
    // within the epoch. `loss` replaces a loss function of one's own; without it the graph that it made is
    // used. Throw FileFormatError, and nothing is loaded.
    void save(const std::filesystem::path& path) const;
    [[nodiscard]] static Trainer load(const std::filesystem::path& path, LossFunction loss = {});

    [[nodiscard]] const Model<T>& model() const;
    [[nodiscard]] const TrainerOptions& options() const;

    // For a model with one input of real numbers and one output, both row-major: x [rows, inputs], and
    // targets [rows, outputs] or one label for each sample (or each of its places). A step is a transaction:
    // it is done whole, or NonFiniteError names the first layer and the parameters are as before. Returns the
    // loss of the batch before the update, without penalty.
    double step(std::span<const T> x, std::span<const T> targets);
    double step(std::span<const T> x, std::span<const std::int64_t> labels);
    // The same data as what the calls below take, read in place. It points into x and y.
    struct Samples {
        ArrayView x, y;

        operator Batch() const { return {{&x, 1}, {&y, 1}}; }  // NOLINT: it is a batch
    };
    [[nodiscard]] Samples samples(std::span<const T> x, std::span<const T> targets) const;
    [[nodiscard]] Samples samples(std::span<const T> x, std::span<const std::int64_t> labels) const;

    // The three parts of a step; step() is exactly these three, bit for bit. forward returns the loss without
    // penalty.
    double forward(const Batch& batch);
    void backward(bool accumulate = false);
    void update();
    double step(const Batch& batch, const std::function<bool()>& interrupted = {});
    double gradients(const Batch& batch);  // forward and backward

    // With `resume` the data and the options must be those of the epoch that was broken off.
    EpochResult<T> run_epoch(const Batch& data, const EpochOptions& options);
    [[nodiscard]] EpochCursor unfinished() const;
    // The graph of the loss for such targets, which else the first call that trains makes.
    void prepare(const Batch& batch);
    // One iteration with all rows of `data`, which is no epoch: how an epoch is made of data that never is
    // one array. end_epoch() counts it.
    EpochResult<T> run_batch(const Batch& data, EpochOptions options);
    void end_epoch();

    // The loss over all rows, in inference mode; outputs of every row where `outputs` is given.
    WeightedLoss evaluate(const Batch& data, std::int64_t batch_size,
                          const std::vector<std::int64_t>* rows = nullptr,
                          std::vector<std::vector<T>>* outputs = nullptr,
                          const std::function<bool()>& interrupted = {});

    // Every value and every delta of one step that is not committed.
    TraceResult<T> trace(const Batch& batch);

    [[nodiscard]] std::int64_t iteration() const;
    void set_iteration(std::int64_t iteration);
    [[nodiscard]] std::int64_t epoch() const;
    void set_epoch(std::int64_t epoch);
    [[nodiscard]] double lr() const;  // of the next update
    void set_schedule(const Schedule& schedule);
    // How an epoch went, for a plateau schedule; StateError for others. What such a schedule remembers is its
    // state, empty for the others.
    void observe(double value);
    [[nodiscard]] std::map<std::string, double> schedule_state() const;
    void set_schedule_state(const std::map<std::string, double>& state);

    struct Slot {
        std::string parameter, name;
        std::span<T> numbers;
        std::vector<std::int64_t> shape;
    };
    [[nodiscard]] std::vector<Slot> optimizer_state();
    [[nodiscard]] std::shared_ptr<const void> state_owner() const;

    [[nodiscard]] int threads_used() const;
    [[nodiscard]] double penalty() const;
    [[nodiscard]] double gradient_norm() const;
    void stop();  // ends run_epoch after the running iteration; from any thread

    struct PlanReport {
        std::vector<std::string> steps, fused;
        std::int64_t arena_bytes = 0, cost = 0;
    };
    [[nodiscard]] PlanReport plan() const;  // of the last training call; StateError before

    // Bytes that training with such batches takes besides model and data. Before the first training call the
    // targets are taken to be labels for cross_entropy and otherwise of the output's shape, without weights.
    struct Memory {
        std::int64_t optimizer = 0;
        std::int64_t workspace = 0;  // activations, their gradients, labels, scratch of each thread
    };
    [[nodiscard]] Memory memory(std::int64_t batch_size) const;

  private:
    friend struct TrainerFile;

    std::unique_ptr<TrainerState<T>> state_;
};

extern template class Trainer<float>;
extern template class Trainer<double>;

}  // namespace retrograd
