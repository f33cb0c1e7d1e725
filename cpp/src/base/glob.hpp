// Patterns over parameter and layer names: * is any text, ? one character.
#pragma once

#include <string_view>

namespace retrograd {

[[nodiscard]] constexpr bool matches_whole(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern[0] == '*') {
        for (std::size_t i = 0; i <= text.size(); ++i) {
            if (matches_whole(pattern.substr(1), text.substr(i))) return true;
        }
        return false;
    }
    return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
           matches_whole(pattern.substr(1), text.substr(1));
}

// The parameter itself, or what it is part of: "conv*" matches "conv2d_0.weight", and "attention" or
// "attention.out_proj" match "attention.out_proj.weight".
[[nodiscard]] constexpr bool matches(std::string_view pattern, std::string_view parameter) {
    if (matches_whole(pattern, parameter)) return true;
    for (std::size_t i = 0; i < parameter.size(); ++i) {
        if (parameter[i] == '.' && matches_whole(pattern, parameter.substr(0, i))) return true;
    }
    return false;
}

}  // namespace retrograd
