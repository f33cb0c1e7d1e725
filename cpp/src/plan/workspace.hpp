// A Workspace holds what changes while a plan runs: values, deltas, saved data, and how many samples there
// are.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <retrograd/plan.hpp>

#include "base/aligned_buffer.hpp"
#include "base/parallel.hpp"

namespace retrograd {

template <class T>
struct Storage {  // what outlives a workspace: the model's flat buffers
    std::span<T> parameters, gradients, constants;
    std::span<T> further = {};  // constants of a longer graph than the model's
    std::span<TouchedRows> touched =
        {};  // of the gradient of each node of the model; none: no account is kept
};

template <class T>
class Workspace {
  public:
    Workspace(std::shared_ptr<const Plan> plan, Storage<T> storage, int members);

    // Makes room for `batch` samples and binds every span. Growing allocates; a smaller batch is free.
    void bind(std::int64_t batch);

    [[nodiscard]] const Plan& plan() const { return *plan_; }
    [[nodiscard]] std::int64_t batch() const { return batch_; }
    [[nodiscard]] int members() const { return members_; }
    [[nodiscard]] std::int64_t arena_bytes() const {
        return arena_.size() * static_cast<std::int64_t>(sizeof(T));
    }

    // The bound buffers; valid until the next bind that grows. A node without one has an empty span.
    [[nodiscard]] std::span<T> value(int node);
    [[nodiscard]] std::span<T> delta(int node);
    [[nodiscard]] std::span<std::int32_t> index(int node);

    // What the next passes are for, and whether the gradients of parameters add to what stands there. Called
    // by one thread, with a barrier (or the beginning of the region) behind it.
    void prepare(bool training, bool accumulate);

    // Whose random numbers the next pass draws: seed, step, and as `stream` the pass within that step. Called
    // like prepare().
    void draw(const RandomKey& key);

    // Changes the states of the operations by what the last forward has seen; by one thread.
    void commit();

    [[nodiscard]] T loss() const { return *loss_; }

    // Every member of a team calls these; they end with a barrier.
    void forward(const Member& member);
    void backward(const Member& member);

  private:
    struct Record;

    void bind_step(std::size_t s);
    void keep_accounts();
    [[nodiscard]] std::span<T> constant(const GraphNode& node);
    void set_mode();
    void add_repeated(const Record& record, const Member& member);

    std::shared_ptr<const Plan> plan_;
    Storage<T> storage_;
    int members_;
    std::int64_t capacity_ = 0, batch_ = 0;
    Plan::Layout layout_;
    AlignedBuffer<T> arena_, scratch_;
    AlignedBuffer<std::int32_t> indices_;

    struct Record {
        const Op* op;
        std::int64_t cost = 0;  // of one sample
        std::int64_t work = 0;  // of the batch
        Run<T> run;
        std::vector<Input> operands;
        std::vector<std::span<const T>> x;
        std::vector<std::span<const std::int32_t>> index;
        std::vector<std::span<T>> dx;
        std::vector<std::uint8_t> accumulate,
            accumulate_parameters;  // the second: parameters keep what they have
        std::vector<std::span<T>> repeated, states;
        std::span<const int> repeated_operands;
    };
    std::vector<Record> records_;
    std::vector<const Record*> forward_, backward_;  // in the order in which they run
    std::vector<Record*> drawing_;                   // those that read their key
    std::vector<const Record*> changing_;            // those with states to commit
    std::vector<TouchedRows*> accounts_;             // per node; null where other operations write all of it
    std::vector<TouchedRows*> written_whole_;        // of those parameters
    std::vector<std::span<T>> member_scratch_;
    T *loss_ = nullptr, *loss_delta_ = nullptr;
    bool training_ = false, accumulate_ = false;
    std::int64_t work_ = 0;  // of forward
};

}  // namespace retrograd
