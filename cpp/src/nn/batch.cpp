#include "nn/batch.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <retrograd/error.hpp>

#include "kernels/table.hpp"

namespace retrograd {
namespace {

float half_to_float(std::uint16_t bits) {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
    const int exponent = bits >> 10 & 0x1f;
    const std::uint32_t mantissa = bits & 0x3ffu;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
    const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                          : std::ldexp(static_cast<float>(mantissa | 0x400u), exponent - 25);
    return sign ? -magnitude : magnitude;
}

template <class U>
U read(const std::byte* p, bool swapped) {
    std::byte bytes[sizeof(U)];
    for (std::size_t i = 0; i < sizeof(U); ++i) bytes[i] = p[swapped ? sizeof(U) - 1 - i : i];
    U value;
    std::memcpy(&value, bytes, sizeof(U));
    return value;
}

// f(a value reader for the element type): the value as the nearest double, or exactly as int64.
template <class F>
auto with_reader(const ArrayView& a, F&& f) {
    const bool swapped = a.swapped;
    switch (a.type) {
        case ElementType::f16:
            return f([=](const std::byte* p) { return half_to_float(read<std::uint16_t>(p, swapped)); });
        case ElementType::f32: return f([=](const std::byte* p) { return read<float>(p, swapped); });
        case ElementType::f64: return f([=](const std::byte* p) { return read<double>(p, swapped); });
        case ElementType::i8: return f([=](const std::byte* p) { return read<std::int8_t>(p, swapped); });
        case ElementType::i16: return f([=](const std::byte* p) { return read<std::int16_t>(p, swapped); });
        case ElementType::i32: return f([=](const std::byte* p) { return read<std::int32_t>(p, swapped); });
        case ElementType::i64: return f([=](const std::byte* p) { return read<std::int64_t>(p, swapped); });
        case ElementType::u8: return f([=](const std::byte* p) { return read<std::uint8_t>(p, swapped); });
        case ElementType::u16: return f([=](const std::byte* p) { return read<std::uint16_t>(p, swapped); });
        case ElementType::u32: return f([=](const std::byte* p) { return read<std::uint32_t>(p, swapped); });
        case ElementType::u64: return f([=](const std::byte* p) { return read<std::uint64_t>(p, swapped); });
        case ElementType::boolean: break;
    }
    return f([](const std::byte* p) { return static_cast<std::uint8_t>(*p != std::byte{0}); });
}

// f(element pointer, k) over the elements of a row in C order, whatever the strides.
template <class F>
void for_elements(const ArrayView& a, const std::byte* row, std::size_t axis, std::int64_t& k, F&& f) {
    if (axis == a.shape.size()) {
        f(row, k++);
        return;
    }
    for (std::int64_t i = 0; i < a.shape[axis]; ++i)
        for_elements(a, row + i * a.strides[axis], axis + 1, k, f);
}

std::int64_t row_elements(const ArrayView& a) {
    std::int64_t n = 1;
    for (std::size_t i = 1; i < a.shape.size(); ++i) n *= a.shape[i];
    return n;
}

// Whether the elements of a row lie side by side, in our byte order.
bool has_plain_rows(const ArrayView& a) {
    if (a.swapped && element_size(a.type) > 1) return false;
    std::int64_t stride = element_size(a.type);
    for (std::size_t i = a.shape.size(); i-- > 1;) {
        if (a.shape[i] != 1 && a.strides[i] != stride) return false;
        stride *= a.shape[i];
    }
    return true;
}

// The kernel that reads many elements at once; null where none does.
template <class T>
auto convert_kernel(ElementType type) -> bool (*)(const void*, T*, std::int64_t) {
    switch (type) {
        case ElementType::f32: return kernels<T>().convert[static_cast<int>(Source::f32)];
        case ElementType::f64: return kernels<T>().convert[static_cast<int>(Source::f64)];
        case ElementType::u8: return kernels<T>().convert[static_cast<int>(Source::u8)];
        default: return nullptr;
    }
}

bool allowed(double value, const Op::Range& range) {
    if (!std::isfinite(value)) return false;
    return !range.bounded || (value >= range.low && value <= range.high);
}

template <class T>
bool all_allowed(const T* values, std::int64_t size, const Op::Range& range) {
    bool good = true;
    for (std::int64_t i = 0; i < size; ++i) good &= allowed(static_cast<double>(values[i]), range);
    return good;
}

bool index_allowed(std::int64_t value, const Op::Range& range) {
    return value == range.ignore || !range.bounded ||
           (value >= static_cast<std::int64_t>(range.low) && value <= static_cast<std::int64_t>(range.high));
}

template <class S>
bool to_index(S raw, std::int32_t& out, const Op::Range& range) {
    const auto wide = static_cast<std::int64_t>(raw);
    out = static_cast<std::int32_t>(wide);
    return index_allowed(wide, range) && wide == out && (wide < 0) == (raw < 0);
}

// What two operations allow.
Op::Range both(const Op::Range& a, const Op::Range& b) {
    Op::Range range{std::max(a.low, b.low), std::min(a.high, b.high), true};
    const bool ignored = (a.ignore == b.ignore || index_allowed(a.ignore, b)) && index_allowed(b.ignore, a);
    range.ignore = ignored ? a.ignore : static_cast<std::int64_t>(range.low);
    return range;
}

std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "infinity" : "-infinity";
    char text[32];
    const std::to_chars_result end = std::to_chars(text, text + sizeof text, value);
    return {text, end.ptr};
}

}  // namespace

ArrayView view_bytes(std::span<const std::byte> bytes, ElementType type,
                     const std::vector<std::int64_t>& dims) {
    ArrayView array;
    array.data = bytes.data();
    array.type = type;
    array.shape.assign(dims.size() + 1, 0);
    array.strides.assign(dims.size() + 1, 0);
    std::int64_t stride = element_size(type);
    for (std::size_t axis = dims.size(); axis > 0; --axis) {
        array.shape[axis] = dims[axis - 1];
        array.strides[axis] = stride;
        stride = checked_mul(stride, dims[axis - 1]);
    }
    array.strides[0] = stride;
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (stride == 0 || size % stride != 0) {
        const Shape sample{dims, false};
        throw ShapeError("view: " + std::to_string(size / element_size(type)) +
                         " numbers are no whole number of samples of shape " + sample.str() +
                         ", which have " + std::to_string(sample.size()) + " each");
    }
    array.shape[0] = size / stride;
    return array;
}

std::int64_t element_size(ElementType type) {
    switch (type) {
        case ElementType::i8:
        case ElementType::u8:
        case ElementType::boolean: return 1;
        case ElementType::f16:
        case ElementType::i16:
        case ElementType::u16: return 2;
        case ElementType::f32:
        case ElementType::i32:
        case ElementType::u32: return 4;
        default: return 8;
    }
}

const char* element_name(ElementType type) {
    static constexpr const char* names[] = {"float16", "float32", "float64", "int8",   "int16",  "int32",
                                            "int64",   "uint8",   "uint16",  "uint32", "uint64", "bool"};
    return names[static_cast<int>(type)];
}

template <class T>
FeedReader<T>::FeedReader(const Feed& feed, Workspace<T>& workspace)
    : array_(feed.array),
      range_(feed.range),
      size_(row_elements(*feed.array)),
      grain_(1 + 16384 / size_),
      step_(array_->strides[0]) {
    const bool index = workspace.plan().graph()[feed.node].dtype == DType::index;
    if (index) {
        indices_ = workspace.index(feed.node).data();
    } else {
        values_ = workspace.value(feed.node).data();
        convert_ = convert_kernel<T>(array_->type);
    }
    is_dense_ = step_ == size_ * element_size(array_->type);
    read_ = index ? &any_indices : &any_values;
    if (!has_plain_rows(*array_)) return;
    constexpr std::int64_t few = 16;  // a kernel's call costs more than so many elements
    if (convert_ != nullptr && size_ >= few) {
        read_ = &long_rows;
        return;
    }
    switch (array_->type) {
        case ElementType::f32: read_ = index ? read_ : &plain_values<float>; break;
        case ElementType::f64: read_ = index ? read_ : &plain_values<double>; break;
        case ElementType::i8: read_ = plain<std::int8_t>(index); break;
        case ElementType::i16: read_ = plain<std::int16_t>(index); break;
        case ElementType::i32: read_ = plain<std::int32_t>(index); break;
        case ElementType::i64: read_ = plain<std::int64_t>(index); break;
        case ElementType::u8: read_ = plain<std::uint8_t>(index); break;
        case ElementType::u16: read_ = plain<std::uint16_t>(index); break;
        case ElementType::u32: read_ = plain<std::uint32_t>(index); break;
        case ElementType::u64: read_ = plain<std::uint64_t>(index); break;
        case ElementType::f16:
        case ElementType::boolean: break;
    }
}

template <class T>
template <class S>
auto FeedReader<T>::plain(bool index) -> ReadRows {
    return index ? &plain_indices<S> : &plain_values<S>;
}

template <class T>
template <class S>
std::int64_t FeedReader<T>::plain_values(const FeedReader& f, const Rows& rows, std::int64_t begin,
                                         std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
        const std::byte* row = f.array_->data + rows[i] * f.step_;
        T* out = f.values_ + i * f.size_;
        for (std::int64_t k = 0; k < f.size_; ++k) {
            S value;
            std::memcpy(&value, row + k * static_cast<std::int64_t>(sizeof(S)), sizeof(S));
            out[k] = static_cast<T>(value);
            if (!std::isfinite(out[k])) return i;
        }
        if (f.range_.bounded && !all_allowed(out, f.size_, f.range_)) return i;
    }
    return end;
}

template <class T>
std::int64_t FeedReader<T>::long_rows(const FeedReader& f, const Rows& rows, std::int64_t begin,
                                      std::int64_t end) {
    const std::byte* data = f.array_->data;
    if (f.is_dense_ && rows.list == nullptr && !f.range_.bounded) {
        const std::int64_t elements = (end - begin) * f.size_;
        if (f.convert_(data + rows[begin] * f.step_, f.values_ + begin * f.size_, elements)) return end;
    }
    for (std::int64_t i = begin; i < end; ++i) {
        T* out = f.values_ + i * f.size_;
        if (!f.convert_(data + rows[i] * f.step_, out, f.size_)) return i;
        if (f.range_.bounded && !all_allowed(out, f.size_, f.range_)) return i;
    }
    return end;
}

template <class T>
template <class S>
std::int64_t FeedReader<T>::plain_indices(const FeedReader& f, const Rows& rows, std::int64_t begin,
                                          std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
        const std::byte* row = f.array_->data + rows[i] * f.step_;
        bool good = true;
        for (std::int64_t k = 0; k < f.size_; ++k) {
            S raw;
            std::memcpy(&raw, row + k * static_cast<std::int64_t>(sizeof(S)), sizeof(S));
            good &= to_index(raw, f.indices_[i * f.size_ + k], f.range_);
        }
        if (!good) return i;
    }
    return end;
}

template <class T>
std::int64_t FeedReader<T>::any_values(const FeedReader& f, const Rows& rows, std::int64_t begin,
                                       std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
        T* out = f.values_ + i * f.size_;
        bool good = true;
        with_reader(*f.array_, [&](auto value) {
            std::int64_t k = 0;
            for_elements(*f.array_, f.array_->data + rows[i] * f.step_, 1, k,
                         [&](const std::byte* p, std::int64_t at) {
                             out[at] = static_cast<T>(value(p));
                             good &= std::isfinite(out[at]);
                         });
        });
        if (!good || (f.range_.bounded && !all_allowed(out, f.size_, f.range_))) return i;
    }
    return end;
}

template <class T>
std::int64_t FeedReader<T>::any_indices(const FeedReader& f, const Rows& rows, std::int64_t begin,
                                        std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
        std::int32_t* out = f.indices_ + i * f.size_;
        bool good = true;
        with_reader(*f.array_, [&](auto value) {
            std::int64_t k = 0;
            for_elements(
                *f.array_, f.array_->data + rows[i] * f.step_, 1, k,
                [&](const std::byte* p, std::int64_t at) { good &= to_index(value(p), out[at], f.range_); });
        });
        if (!good) return i;
    }
    return end;
}

template <class T>
void gather(std::span<const Feed> feeds, const Rows& rows, Workspace<T>& workspace, const Member& member,
            BadRow& bad) {
    for (std::size_t f = 0; f < feeds.size(); ++f)
        FeedReader<T>(feeds[f], workspace).read(rows, member, static_cast<std::int64_t>(f), bad);
}

template <class T>
void throw_bad_row(std::span<const Feed> feeds, const Rows& rows, const BadRow& bad) {
    const Feed& feed = feeds[bad.feed()];
    const ArrayView& a = *feed.array;
    const std::int64_t row = rows[bad.position()];
    std::string message = a.name + ": ";
    const auto exact = [](auto value) {
        if constexpr (std::is_integral_v<decltype(value)>)
            return std::to_string(value);
        else
            return number(static_cast<double>(value));
    };
    with_reader(a, [&](auto value) {
        std::int64_t k = 0;
        bool found = false;
        for_elements(a, a.data + row * a.strides[0], 1, k, [&](const std::byte* p, std::int64_t i) {
            const auto raw = value(p);
            const double v = static_cast<double>(raw);
            const bool ignored = a.integral() &&
                                 feed.range.ignore >= std::numeric_limits<std::int32_t>::min() &&
                                 static_cast<std::int64_t>(raw) == feed.range.ignore;
            if (found || ignored) return;
            const std::string place = " in row " + std::to_string(row) +
                                      (a.shape.size() > 1 ? ", element " + std::to_string(i) : "");
            if (!std::isfinite(v)) {
                message += number(v) + place + "; remove or replace missing and infinite values first";
                found = true;
            } else if (!std::isfinite(static_cast<T>(v))) {
                message +=
                    number(v) + place + " is too large for float32; scale it, or use dtype=\"float64\"";
                found = true;
            } else if (!allowed(v, feed.range) && feed.range.bounded) {
                message += exact(raw) + place + " is outside of the expected range " +
                           number(feed.range.low) + ".." + number(feed.range.high);
                found = true;
            } else if (a.integral() && std::abs(v) > std::numeric_limits<std::int32_t>::max()) {
                message += exact(raw) + place + " does not fit in 32 bits";
                found = true;
            }
        });
    });
    throw ArgumentError(message);
}

Op::Range range_of(const Plan& plan, int input) {
    Op::Range common{0, 0};
    for (const Step& step : plan.steps()) {
        for (std::size_t i = 0; i < step.inputs.size(); ++i) {
            if (step.inputs[i] != input) continue;
            std::vector<Input> operands;
            for (const int id : step.inputs)
                operands.push_back({plan.graph()[id].shape, plan.graph()[id].dtype});
            const Op::Range range = step.op->range(operands, i);
            if (range.bounded) common = common.bounded ? both(common, range) : range;
        }
    }
    return common;
}

ArrayView fitted(const ArrayView& array, const GraphNode& node) {
    ArrayView a = array;
    const auto found = [&] {
        std::string text = "(";
        for (std::size_t i = 0; i < array.shape.size(); ++i)
            text += (i ? ", " : "") + std::to_string(array.shape[i]);
        return text + (array.shape.size() == 1 ? ",)" : ")");
    };
    if (node.dtype == DType::index && !a.integral()) {
        throw DTypeError(a.name + ": expected integers, got " + element_name(a.type));
    }
    const std::size_t rank = node.shape.dims.size() + 1;
    if (a.shape.size() + 1 == rank && node.shape.dims.back() == 1) {  // (n,) meets (n, 1)
        a.shape.push_back(1);
        a.strides.push_back(element_size(a.type));
    }
    bool same = a.shape.size() == rank;
    for (std::size_t i = 1; same && i < rank; ++i) same = a.shape[i] == node.shape.dims[i - 1];
    if (!same) throw ShapeError(a.name + ": expected shape " + node.shape.str() + ", got " + found());
    if (a.rows() == 0) throw ShapeError(a.name + ": it has no rows; expected shape " + node.shape.str());
    return a;
}

template class FeedReader<float>;
template class FeedReader<double>;
template void gather<float>(std::span<const Feed>, const Rows&, Workspace<float>&, const Member&, BadRow&);
template void gather<double>(std::span<const Feed>, const Rows&, Workspace<double>&, const Member&, BadRow&);
template void throw_bad_row<float>(std::span<const Feed>, const Rows&, const BadRow&);
template void throw_bad_row<double>(std::span<const Feed>, const Rows&, const BadRow&);

}  // namespace retrograd
