#include "ops/attributes.hpp"

#include <algorithm>

#include "ops/shape_rules.hpp"

namespace retrograd {

namespace {

const Attribute& get(const Attributes& attributes, const std::string& name) {
    const auto found = attributes.find(name);
    if (found != attributes.end()) return found->second;
    std::string given;
    for (const auto& [key, value] : attributes) given += (given.empty() ? "" : ", ") + key;
    throw ArgumentError(text("attribute '", name, "' is missing; given: ", given.empty() ? "none" : given));
}

template <class Value>
[[noreturn]] void wrong_kind(const std::string& name, const Attribute& attribute, const Value& expected) {
    constexpr const char* kinds[] = {"a bool",   "an integer",         "a number",
                                     "a string", "a list of integers", "a list of numbers"};
    throw ArgumentError(
        text("attribute '", name, "' is ", kinds[attribute.index()], ", expected ", expected));
}

template <class Value>
const Value& get_as(const Attributes& attributes, const std::string& name, const char* kind) {
    const Attribute& attribute = get(attributes, name);
    if (const Value* value = std::get_if<Value>(&attribute)) return *value;
    wrong_kind(name, attribute, kind);
}

}  // namespace

std::int64_t get_int(const Attributes& a, const std::string& name) {
    return get_as<std::int64_t>(a, name, "an integer");
}
bool get_bool(const Attributes& a, const std::string& name) { return get_as<bool>(a, name, "a bool"); }
std::string get_string(const Attributes& a, const std::string& name) {
    return get_as<std::string>(a, name, "a string");
}

double get_double(const Attributes& a, const std::string& name) {
    if (const auto* whole = std::get_if<std::int64_t>(&get(a, name))) return static_cast<double>(*whole);
    return get_as<double>(a, name, "a number");
}

std::vector<std::int64_t> get_ints(const Attributes& a, const std::string& name) {
    // An empty list has no kind of its own in a file.
    if (const auto* none = std::get_if<std::vector<double>>(&get(a, name)); none != nullptr && none->empty())
        return {};
    return get_as<std::vector<std::int64_t>>(a, name, "a list of integers");
}

std::vector<double> get_doubles(const Attributes& a, const std::string& name) {
    if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&get(a, name)))
        return {whole->begin(), whole->end()};
    return get_as<std::vector<double>>(a, name, "a list of numbers");
}

void allow_attributes(const Attributes& given, std::string_view op,
                      std::initializer_list<std::string_view> allowed) {
    for (const auto& [name, value] : given) {
        if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) continue;
        std::string known;
        for (const auto& one : allowed) known += (known.empty() ? "" : ", ") + std::string(one);
        throw ArgumentError(
            text(op, ": has no attribute '", name, "'; it has ", known.empty() ? "none" : known));
    }
}

std::int64_t int_or(const Attributes& a, const std::string& name, std::int64_t otherwise) {
    return a.contains(name) ? get_int(a, name) : otherwise;
}

double double_or(const Attributes& a, const std::string& name, double otherwise) {
    return a.contains(name) ? get_double(a, name) : otherwise;
}

bool bool_or(const Attributes& a, const std::string& name, bool otherwise) {
    return a.contains(name) ? get_bool(a, name) : otherwise;
}

std::optional<std::int64_t> maybe_int(const Attributes& a, const std::string& name) {
    if (!a.contains(name)) return std::nullopt;
    return get_int(a, name);
}

std::optional<Attribute> maybe_axes(const Attributes& a, const std::string& name) {
    if (!a.contains(name)) return std::nullopt;
    const Attribute& axes = a.at(name);
    if (std::holds_alternative<std::int64_t>(axes)) return axes;
    return get_ints(a, name);
}

std::vector<std::int64_t> axis_list(const Attribute& axes) {
    if (const auto* one = std::get_if<std::int64_t>(&axes)) return {*one};
    return std::get<std::vector<std::int64_t>>(axes);
}

}  // namespace retrograd
