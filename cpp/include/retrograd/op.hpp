// What the author of an operation must know, and nothing more.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <retrograd/random.hpp>
#include <retrograd/shape.hpp>

namespace retrograd {

class Member;  // a thread's share of a loop (see base/parallel.hpp)

// The numbers of a node. The graph has no float type: `real` is float or double, as the workspace has it.
enum class DType : std::uint8_t { real, index };

// What an operation is made with, and what a model file keeps of it.
using Attribute =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;
using Attributes = std::map<std::string, Attribute>;

struct Input {  // what shape inference sees of an operand
    Shape shape;
    DType dtype = DType::real;
};

// What backward reads; all else may be overwritten once forward has passed.
struct Needs {
    bool inputs = false;  // the values x
    bool output = false;  // the value y
};

// The rows of a table's gradient that may differ from 0: what is not among them needs no clearing before the
// next backward, and no update where one with a gradient of 0 changes nothing.
struct TouchedRows {
    bool all = true;
    std::vector<std::int32_t> list;  // ascending, each row once; of use only where not all

    // A longer list costs more than it saves.
    [[nodiscard]] static constexpr std::int64_t most(std::int64_t rows) { return rows / 4; }
};

// The numbers an operation works on; bound once per batch size, owned by the workspace.
template <class T>
struct Run {
    std::span<const std::span<const T>> x;  // operands; empty span where the operand is an index
    std::span<const std::span<const std::int32_t>> index;  // operands that are indices; else empty
    std::span<T> y;                                        // result
    std::span<const std::span<T>> dx;                      // dL/dx; empty = not wanted
    std::span<T> dy;                           // dL/dy; backward may overwrite it (nobody reads it later)
    std::span<T> saved;                        // kept from forward to backward: saved_size() elements
    std::span<T> shared;                       // for all members, during one call: shared_size()
    std::span<const std::span<T>> scratch;     // one for each member, during one call: scratch_size()
    std::span<const std::uint8_t> accumulate;  // dx[i] += instead of dx[i] =
    std::span<const std::span<T>> states;      // the operands of states(), for commit alone
    TouchedRows* touched = nullptr;  // of dx[0], kept by backward (see Op::writes_rows); may be null
    std::span<const Input> inputs;   // the operands' shapes
    const Shape* shape = nullptr;    // the result's
    std::int64_t batch = 1;          // samples
    bool training = false;           // false, too, where a state of the operation is frozen
    RandomKey key;                   // of this node and this pass: the numbers below it are nobody else's
};

class Op {
  public:
    virtual ~Op() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual Attributes attributes() const { return {}; }
    [[nodiscard]] virtual Needs needs() const { return {}; }

    // Whether the result has a derivative with respect to operand i (targets, conditions and indices have
    // none).
    [[nodiscard]] virtual bool differentiable(std::size_t) const { return true; }

    // The shape of the result; throws ShapeError, DTypeError or GraphError with the shapes it was given.
    // `who` begins the message: the layer's name or the operation's.
    [[nodiscard]] virtual Shape infer(std::span<const Input> inputs, std::string_view who) const = 0;

    // Elements of T that the run must provide, for `batch` samples.
    [[nodiscard]] virtual std::int64_t saved_size(std::span<const Input>, const Shape&, std::int64_t) const {
        return 0;
    }
    [[nodiscard]] virtual std::int64_t shared_size(std::span<const Input>, const Shape&, std::int64_t) const {
        return 0;
    }
    [[nodiscard]] virtual std::int64_t scratch_size(std::span<const Input>, const Shape&,
                                                    std::int64_t) const {
        return 0;
    }

    // The operands that a committed training step changes, which must be constants of the graph: running
    // means. Only commit() writes them; forward and backward keep what it needs in `saved`.
    [[nodiscard]] virtual std::vector<std::size_t> states() const { return {}; }
    virtual void commit(const Run<float>&) const {}
    virtual void commit(const Run<double>&) const {}

    // Whether forward in training reads the run's key.
    [[nodiscard]] virtual bool is_random() const { return false; }

    // Samples that a training batch must have at least.
    [[nodiscard]] virtual std::int64_t least_batch(std::span<const Input>) const { return 1; }

    // Whether backward writes single rows of dx[0] (slices of its first axis), all others being 0. It then
    // keeps Run::touched: clears and forgets the rows that it has, unless it adds to them, and notes its own.
    [[nodiscard]] virtual bool writes_rows() const { return false; }

    // Multiply-adds of forward for one sample: what threads are worth is decided by it.
    [[nodiscard]] virtual std::int64_t cost(std::span<const Input>, const Shape& y) const { return y.size(); }

    // The values an operand may have, low and high among them: labels 0 to classes - 1, probabilities 0 to 1;
    // checked as a batch is gathered.
    struct Range {
        double low, high;
        bool bounded = false;
        std::int64_t ignore = -1;  // an index that is allowed outside of the range
    };
    [[nodiscard]] virtual Range range(std::span<const Input>, std::size_t) const { return {0, 0}; }

    // Every member of a team calls these with the same run, and takes its share of the loops. The caller puts
    // a barrier after each call; `dx` of index operands is always empty.
    virtual void forward(const Run<float>&, const Member&) const = 0;
    virtual void forward(const Run<double>&, const Member&) const = 0;
    virtual void backward(const Run<float>&, const Member&) const = 0;
    virtual void backward(const Run<double>&, const Member&) const = 0;
};

using OpPtr = std::shared_ptr<const Op>;

// Lets an operation be written once for both types: `run_forward<T>` and `run_backward<T>` in the derived
// class, and `run_commit<T>` where there are states.
template <class Derived>
class OpBase : public Op {
  public:
    void forward(const Run<float>& r, const Member& m) const final {
        self().template run_forward<float>(r, m);
    }
    void forward(const Run<double>& r, const Member& m) const final {
        self().template run_forward<double>(r, m);
    }
    void backward(const Run<float>& r, const Member& m) const final {
        self().template run_backward<float>(r, m);
    }
    void backward(const Run<double>& r, const Member& m) const final {
        self().template run_backward<double>(r, m);
    }
    void commit(const Run<float>& r) const final { commit_states(r); }
    void commit(const Run<double>& r) const final { commit_states(r); }

  private:
    template <class T>
    void commit_states(const Run<T>& r) const {
        if constexpr (requires { self().template run_commit<T>(r); }) self().template run_commit<T>(r);
    }
    [[nodiscard]] const Derived& self() const { return static_cast<const Derived&>(*this); }
};

// The registry: an explicit list of every operation that can stand in a graph or a file.
[[nodiscard]] OpPtr make_op(std::string_view name, const Attributes& attributes);
[[nodiscard]] std::vector<std::string> op_names();

// An attribute by name; throws ArgumentError where it is missing or of another kind. Integers pass as
// doubles.
[[nodiscard]] std::int64_t get_int(const Attributes&, const std::string& name);
[[nodiscard]] double get_double(const Attributes&, const std::string& name);
[[nodiscard]] bool get_bool(const Attributes&, const std::string& name);
[[nodiscard]] std::string get_string(const Attributes&, const std::string& name);
[[nodiscard]] std::vector<std::int64_t> get_ints(const Attributes&, const std::string& name);
[[nodiscard]] std::vector<double> get_doubles(const Attributes&, const std::string& name);

}  // namespace retrograd
