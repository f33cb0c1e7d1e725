// Numbers left out by chance (Srivastava et al., "Dropout", 2014), in training only.
//
//   y = x m        dx = dy m        m = 0 with probability rate, else 1 / (1 - rate)
//
// m depends on seed, node, iteration and the position in the batch, not on threads. Backward draws it again.
#include <cmath>

#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

class Dropout : public OpBase<Dropout> {
  public:
    explicit Dropout(double rate) : rate_(rate) {}

    [[nodiscard]] std::string_view name() const override { return "dropout"; }
    [[nodiscard]] Attributes attributes() const override { return {{"rate", rate_}}; }
    [[nodiscard]] bool is_random() const override { return true; }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        return inputs[0].shape;
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input>, const Shape& y) const override {
        return 4 * y.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        apply(r, r.x[0].data(), r.y.data(), std::ssize(r.y), false, member);
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        if (r.dx[0].empty()) return;
        apply(r, static_cast<const T*>(r.dy.data()), r.dx[0].data(), std::ssize(r.dy), r.accumulate[0] != 0,
              member);
    }

  private:
    template <class T>
    void apply(const Run<T>& r, const T* x, T* y, std::int64_t n, bool accumulate,
               const Member& member) const {
        const RandomWords words = random_words(r.key);
        const auto threshold = static_cast<std::uint32_t>(rate_ * 0x1p32);
        const T scale = static_cast<T>(1 / (1 - rate_));
        member.for_range(n, chunk, [&](std::int64_t i, std::int64_t end) {
            if (r.training) {
                kernels<T>().dropout(words, threshold, scale, i, x + i, y + i, end - i, accumulate);
            } else {
                copy(x + i, y + i, end - i, accumulate);
            }
        });
    }

    double rate_;
};

}  // namespace

OpPtr make_dropout(const Attributes& attributes) {
    allow_attributes(attributes, "dropout", {"rate"});
    const double rate = get_double(attributes, "rate");
    if (!(rate >= 0 && rate < 1)) {
        throw ArgumentError(text("dropout: rate is ", rate, ", expected a number from 0 to below 1"));
    }
    return std::make_shared<Dropout>(rate);
}

}  // namespace retrograd
