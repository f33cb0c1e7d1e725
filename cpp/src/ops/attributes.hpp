// Reading what an operation is made with. get_int and its kin (retrograd/op.hpp) are for what must be there.
#pragma once

#include <initializer_list>
#include <optional>

#include <retrograd/op.hpp>

namespace retrograd {

// Throws ArgumentError for an attribute that the operation does not have, such as a misspelt one.
void allow_attributes(const Attributes& given, std::string_view op,
                      std::initializer_list<std::string_view> allowed);

[[nodiscard]] std::int64_t int_or(const Attributes&, const std::string& name, std::int64_t otherwise);
[[nodiscard]] double double_or(const Attributes&, const std::string& name, double otherwise);
[[nodiscard]] bool bool_or(const Attributes&, const std::string& name, bool otherwise);
[[nodiscard]] std::optional<std::int64_t> maybe_int(const Attributes&, const std::string& name);

// An axis or a list of axes, as the user gave it; empty where the attribute is missing.
[[nodiscard]] std::optional<Attribute> maybe_axes(const Attributes&, const std::string& name);
[[nodiscard]] std::vector<std::int64_t> axis_list(const Attribute& axes);

}  // namespace retrograd
