// Images that are factor times as large, (height, width, channels) a sample.
//
//   nearest:   y(i, j) = x(i / factor, j / factor)         dx = the sum of dy over the copies of a pixel
//   bilinear:  y(i, j) = sum of w(i, k) w(j, l) x(k, l)    dx(k, l) = sum of w(i, k) w(j, l) dy(i, j)
//
// with w(i, k) = max(0, 1 - |s - k|) where s = (i + 1/2) / factor - 1/2, kept within the image: the middles
// of pixels are what meets, not the corners of the images.
#include "ops/images.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

template <class Derived>
class Upsample : public OpBase<Derived> {
  public:
    Upsample(std::array<std::int64_t, 2> factor, std::string mode)
        : factor_(factor), mode_(std::move(mode)) {}

    [[nodiscard]] std::string_view name() const override { return "upsample2d"; }
    [[nodiscard]] Attributes attributes() const override {
        return {{"factor", listed(factor_)}, {"mode", mode_}};
    }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        expect_images(inputs[0], who);
        Shape y = inputs[0].shape;
        for (const std::size_t axis : {0, 1}) y.dims[axis] = checked_mul(y.dims[axis], factor_[axis]);
        return y;
    }

  protected:
    std::array<std::int64_t, 2> factor_;

  private:
    std::string mode_;
};

// The backward of a sum over windows that lie side by side, and its forward.
class Nearest : public Upsample<Nearest> {
  public:
    explicit Nearest(std::array<std::int64_t, 2> factor) : Upsample(factor, "nearest") {}

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Pooling p = copies(r.inputs[0].shape, *r.shape);
        for_image_rows(r.y, p.width * p.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().sum_pool_backward(p, r.x[0].data(), T(1), r.y.data(), row, end, false);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Pooling p = copies(r.inputs[0].shape, *r.shape);
        const std::span<const T> dy = r.dy;
        for_image_rows(r.dx[0], p.windows_w * p.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().sum_pool(p, dy.data(), T(1), r.dx[0].data(), row, end, r.accumulate[0] != 0);
        });
    }

  private:
    [[nodiscard]] Pooling copies(const Shape& x, const Shape& y) const {
        return {y.dims[0],  y.dims[1],  y.dims[2],  x.dims[0], x.dims[1], factor_[0],
                factor_[1], factor_[0], factor_[1], 0,         0};
    }
};

class Bilinear : public Upsample<Bilinear> {
  public:
    explicit Bilinear(std::array<std::int64_t, 2> factor) : Upsample(factor, "bilinear") {}

    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> inputs, const Shape&,
                                            std::int64_t) const override {
        const Upsampling u = images(inputs[0].shape);
        return std::max(kernels<float>().bilinear_scratch_size(u),
                        kernels<double>().bilinear_scratch_size(u));
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input>, const Shape& y) const override {
        return 4 * y.size();
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Upsampling u = images(r.inputs[0].shape);
        T* scratch = r.scratch[static_cast<std::size_t>(member.index())].data();
        for_image_rows(r.y, r.shape->dims[1] * u.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().bilinear(u, r.x[0].data(), r.y.data(), scratch, row, end);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Upsampling u = images(r.inputs[0].shape);
        T* scratch = r.scratch[static_cast<std::size_t>(member.index())].data();
        for_image_rows(r.dx[0], u.width * u.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().bilinear_backward(u, r.dy.data(), r.dx[0].data(), scratch, row, end,
                                           r.accumulate[0] != 0);
        });
    }

  private:
    [[nodiscard]] Upsampling images(const Shape& x) const {
        return {x.dims[0], x.dims[1], x.dims[2], factor_[0], factor_[1]};
    }
};

}  // namespace

OpPtr make_upsample2d(const Attributes& attributes) {
    allow_attributes(attributes, "upsample2d", {"factor", "mode"});
    const std::array<std::int64_t, 2> factor = row_and_column(attributes, "factor", 1, "upsample2d");
    const std::string mode = get_string(attributes, "mode");
    if (mode == "nearest") return std::make_shared<Nearest>(factor);
    if (mode == "bilinear") return std::make_shared<Bilinear>(factor);
    throw ArgumentError(text("upsample2d: unknown mode '", mode, "'; choose nearest or bilinear"));
}

}  // namespace retrograd
