// Runs an operation by hand: every buffer an allocation of exactly the promised size, NaN before.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <retrograd/error.hpp>
#include <retrograd/op.hpp>

#include "base/parallel.hpp"
#include "ops/shape_rules.hpp"

namespace test {

using retrograd::Attributes;
using retrograd::DType;
using retrograd::Input;
using retrograd::Member;
using retrograd::OpPtr;
using retrograd::Run;
using retrograd::Shape;

inline int failures = 0, checks = 0;
inline std::atomic<std::int64_t> allocations = 0;  // of the whole program

inline void expect(bool ok, const std::string& what) {
    ++checks;
    if (ok) return;
    if (++failures <= 50) std::printf("FAILED  %s\n", what.c_str());
}

inline Input batched(std::vector<std::int64_t> dims, DType dtype = DType::real) {
    return {Shape{std::move(dims), true}, dtype};
}
inline Input plain(std::vector<std::int64_t> dims, DType dtype = DType::real) {
    return {Shape{std::move(dims), false}, dtype};
}
inline Input labels(std::vector<std::int64_t> dims = {}) { return batched(std::move(dims), DType::index); }

template <class T>
std::vector<T> nans(std::int64_t n) {
    return std::vector<T>(static_cast<std::size_t>(n), std::numeric_limits<T>::quiet_NaN());
}

// The numbers an operation is run on, in double; `index` for operands that are indices.
struct Values {
    std::vector<std::vector<double>> x;
    std::vector<std::vector<std::int32_t>> index;
    std::vector<double> dy;
};

struct Wanted {
    std::vector<bool> gradient = {};  // of each operand; empty: all
    std::vector<std::vector<double>> onto =
        {};  // what dx holds before, where it is accumulated; empty: it is not
};

template <class T>
struct Result {
    std::vector<T> y;
    std::vector<std::vector<T>> dx;
    std::vector<T> delta;          // dy as backward left it
    std::int64_t allocations = 0;  // in forward and backward, with one member
};

template <class T>
Result<T> run(const OpPtr& op, const std::vector<Input>& inputs, std::int64_t batch, const Values& values,
              int team, const Wanted& wanted = {}, bool backward = true) {
    const Shape shape = op->infer(inputs, "test");
    const std::size_t n = inputs.size();
    std::vector<std::vector<T>> x(n), dx(n), scratch;
    for (std::size_t i = 0; i < n; ++i) x[i].assign(values.x[i].begin(), values.x[i].end());
    std::vector<T> y = nans<T>(retrograd::elements(shape, batch));
    std::vector<T> saved = nans<T>(op->saved_size(inputs, shape, batch));
    std::vector<T> shared = nans<T>(op->shared_size(inputs, shape, batch));
    for (int m = 0; m < team; ++m) scratch.push_back(nans<T>(op->scratch_size(inputs, shape, batch)));
    std::vector<T> dy(values.dy.begin(), values.dy.end());
    std::vector<std::uint8_t> accumulate(n, 0);

    std::vector<std::span<const T>> x_spans(n);
    std::vector<std::span<const std::int32_t>> index_spans(n);
    std::vector<std::span<T>> dx_spans(n), scratch_spans;
    for (std::size_t i = 0; i < n; ++i) {
        if (inputs[i].dtype == DType::index) {
            index_spans[i] = values.index[i];
            continue;
        }
        x_spans[i] = x[i];
        if (!wanted.gradient.empty() && !wanted.gradient[i]) continue;
        if (wanted.onto.empty()) {
            dx[i] = nans<T>(static_cast<std::int64_t>(x[i].size()));
        } else {
            dx[i].assign(wanted.onto[i].begin(), wanted.onto[i].end());
            accumulate[i] = 1;
        }
        dx_spans[i] = dx[i];
    }
    for (auto& one : scratch) scratch_spans.push_back(one);

    Run<T> r;
    r.x = x_spans;
    r.index = index_spans;
    r.y = y;
    r.dx = dx_spans;
    r.dy = dy;
    r.saved = saved;
    r.shared = shared;
    r.scratch = scratch_spans;
    r.accumulate = accumulate;
    r.batch = batch;
    r.training = true;
    r.inputs = inputs;
    r.shape = &shape;

    std::int64_t allocated = 0;
    const auto call = [&](auto&& f) {
        const std::int64_t before = allocations;
        if (team == 1)
            f(Member::alone());
        else
            retrograd::run_team(team, [&](const Member& member) { f(member); });
        allocated += allocations - before;
    };
    call([&](const Member& member) { op->forward(r, member); });
    const std::vector<T> kept = y;
    if (backward) {
        // What backward did not ask for may be gone by then.
        if (!op->needs().output) y = nans<T>(static_cast<std::int64_t>(y.size()));
        if (!op->needs().inputs)
            for (auto& one : x) std::fill(one.begin(), one.end(), std::numeric_limits<T>::quiet_NaN());
        std::fill(shared.begin(), shared.end(), std::numeric_limits<T>::quiet_NaN());
        for (auto& one : scratch) std::fill(one.begin(), one.end(), std::numeric_limits<T>::quiet_NaN());
        r.y = y;
        call([&](const Member& member) { op->backward(r, member); });
    }
    return {kept, dx, dy, allocated};
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

inline std::string described(const std::string& name, const std::vector<Input>& inputs, std::int64_t batch) {
    std::string all;
    for (const Input& input : inputs) all += (all.empty() ? "" : ", ") + input.shape.str();
    return retrograd::text(name, "[", all, "] batch ", batch);
}

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    double between(double low, double high) {
        return low + (high - low) * static_cast<double>(engine_() >> 11) * 0x1p-53;
    }
    std::int64_t below(std::int64_t n) {
        return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(n));
    }
    std::vector<double> directions(std::size_t n) {
        std::vector<double> v(n);
        for (double& one : v) one = between(-1, 1);
        return v;
    }

  private:
    std::mt19937_64 engine_;
};

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

}  // namespace test
