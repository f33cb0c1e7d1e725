// What the parts of this program share.
#pragma once

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include <retrograd/retrograd.hpp>

namespace rg = retrograd;

inline int failures = 0;

inline void check(bool holds, const std::string& what) {
    if (holds) return;
    std::printf("FAILED: %s\n", what.c_str());
    ++failures;
}

// call() throws an E whose text contains this.
template <class E, class F>
void check_throws(F&& call, const std::string& expected) {
    try {
        call();
    } catch (const E& error) {
        const std::string what = error.what();
        return check(what.find(expected) != std::string::npos, "'" + what + "' has no '" + expected + "'");
    } catch (const std::exception& error) {
        return check(false, std::string("another exception: ") + error.what());
    }
    check(false, "nothing was thrown: " + expected);
}

// Models and parameters go into files here; Python's tests make the same and compare the bytes.
void make_layers(const std::filesystem::path& folder);
void make_trained(const std::filesystem::path& folder);
