// What programs of tests share that go on after a failure and count it.
#pragma once

#include <cstdio>
#include <exception>
#include <string>

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
