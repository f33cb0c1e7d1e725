#include "ops/shape_rules.hpp"

#include <algorithm>

#include "ops/strides.hpp"

namespace retrograd {

void expect_count(std::span<const Input> inputs, std::size_t least, std::size_t most, std::string_view who) {
    if (inputs.size() >= least && inputs.size() <= most) return;
    const std::string expected = least == most ? text(least) : text(least, " to ", most);
    throw GraphError(text(who, ": got ", inputs.size(), " operands, expected ", expected));
}

void expect_real(const Input& input, std::string_view what, std::string_view who) {
    if (input.dtype == DType::real) return;
    throw DTypeError(
        text(who, ": ", what, " of shape ", input.shape.str(),
             " holds indices, expected floats; use one_hot or gather to make floats of indices"));
}

void expect_real(std::span<const Input> inputs, std::string_view who) {
    for (std::size_t i = 0; i < inputs.size(); ++i) expect_real(inputs[i], text("operand ", i), who);
}

void expect_index(const Input& input, std::string_view what, std::string_view who) {
    if (input.dtype == DType::index) return;
    throw DTypeError(text(who, ": ", what, " of shape ", input.shape.str(),
                          " holds floats, expected indices; give the input an integer dtype"));
}

std::int64_t user_rank(const Shape& shape) { return shape.rank() + (shape.batched ? 1 : 0); }

std::size_t sample_axis(std::int64_t axis, const Shape& shape, std::string_view verb, std::string_view who) {
    const std::int64_t rank = user_rank(shape);
    if (axis < -rank || axis >= rank) {
        throw ShapeError(
            text(who, ": axis ", axis, " does not exist in shape ", shape.str(), " of ", rank, " axes"));
    }
    const std::int64_t counted = axis < 0 ? axis + rank : axis;
    if (!shape.batched) return static_cast<std::size_t>(counted);
    if (counted == 0) {
        throw GraphError(text(who, ": axis ", axis, " of shape ", shape.str(),
                              " is the batch, which an operation may not ", verb,
                              "; count the sample's axes from 1"));
    }
    return static_cast<std::size_t>(counted - 1);
}

std::vector<bool> sample_axes(const std::vector<std::int64_t>* axes, const Shape& shape,
                              std::string_view verb, std::string_view who) {
    if (axes == nullptr) return std::vector<bool>(shape.dims.size(), true);
    std::vector<bool> chosen(shape.dims.size(), false);
    for (const std::int64_t axis : *axes) {
        const std::size_t i = sample_axis(axis, shape, verb, who);
        if (chosen[i])
            throw ShapeError(text(who, ": axis ", axis, " of shape ", shape.str(), " is given twice"));
        chosen[i] = true;
    }
    return chosen;
}

void expect_last_axis(const Shape& shape, std::string_view what, std::string_view who) {
    if (!shape.dims.empty()) return;
    if (shape.batched) {
        throw GraphError(text(who, ": the last axis of ", what, " ", shape.str(),
                              " is the batch; expected at least one axis after it"));
    }
    throw ShapeError(text(who, ": ", what, " is a scalar, expected at least one axis"));
}

Shape broadcast_shapes(std::span<const Input> inputs, std::string_view who) {
    std::string all;
    for (const Input& input : inputs) all += (all.empty() ? "" : " and ") + input.shape.str();

    const Shape* batched = nullptr;
    std::int64_t rank = 0;
    for (const Input& input : inputs) {
        if (!input.shape.batched) continue;
        if (batched != nullptr && batched->rank() != input.shape.rank()) {
            throw ShapeError(text(who, ": shapes ", all,
                                  " do not broadcast: two operands with a batch axis need the ",
                                  "same number of axes; reshape one of them"));
        }
        batched = &input.shape;
    }
    // the axes that meet those of a sample: a first axis of 1 may meet the batch
    const auto met = [&](const Shape& shape) {
        const bool meets_batch = batched != nullptr && !shape.batched && !shape.dims.empty() &&
                                 shape.dims[0] == 1 && shape.rank() == batched->rank() + 1;
        return std::span(shape.dims).subspan(meets_batch ? 1 : 0);
    };
    for (const Input& input : inputs) rank = std::max(rank, std::ssize(met(input.shape)));
    if (batched != nullptr && rank > batched->rank()) {
        throw GraphError(text(who, ": shapes ", all,
                              " do not broadcast: an operand without a batch axis would meet the ",
                              "batch; give it at most ", batched->rank(), " axes"));
    }

    Shape result{std::vector<std::int64_t>(static_cast<std::size_t>(rank), 1), batched != nullptr};
    for (const Input& input : inputs) {
        const auto dims = met(input.shape);
        for (std::size_t i = 0; i < dims.size(); ++i) {
            std::int64_t& to = result.dims[result.dims.size() - dims.size() + i];
            if (to != 1 && dims[i] != 1 && to != dims[i]) {
                throw ShapeError(text(who, ": shapes ", all, " do not broadcast: ", to, " meets ", dims[i],
                                      "; sizes must be equal or 1, counted from the last axis"));
            }
            if (dims[i] != 1) to = dims[i];
        }
    }
    expect_rank(result, who);
    return result;
}

void expect_rank(const Shape& shape, std::string_view who) {
    if (shape.rank() <= max_rank) return;
    throw ShapeError(text(who, ": shape ", shape.str(), " has more than ", max_rank, " axes in a sample"));
}

}  // namespace retrograd
