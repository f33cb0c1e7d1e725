// Tests of cpp/src/io: JSON, the safetensors container, writing files atomically.
// `test_io` runs everything; `test_io --corpus FOLDER` writes the malformed and the valid files there, to
// compare with other readers.
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#ifndef _WIN32
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "io/atomic_file.hpp"
#include "io/json.hpp"
#include "io/safetensors.hpp"
#include "retrograd/error.hpp"

namespace fs = std::filesystem;
using namespace retrograd::io;
using namespace std::string_literals;
using retrograd::ArgumentError;
using retrograd::FileFormatError;

namespace {

int checks = 0;
int failures = 0;

void report(bool ok, const std::string& what, int line) {
    ++checks;
    if (ok) return;
    ++failures;
    std::fprintf(stderr, "test_io.cpp:%d: failed: %s\n", line, what.c_str());
}

#define CHECK(condition) report(static_cast<bool>(condition), #condition, __LINE__)
#define CHECK_MESSAGE(condition, text) report(static_cast<bool>(condition), (text), __LINE__)

// The message of the exception of exactly this type that `call` throws; a failed check otherwise.
template <class Expected, class Call>
std::string message_of(Call call, const std::string& label, int line) {
    try {
        call();
    } catch (const Expected& error) {
        report(typeid(error) == typeid(Expected), label + ": a derived exception", line);
        return error.what();
    } catch (const std::exception& error) {
        report(false, label + ": another exception: " + error.what(), line);
        return {};
    }
    report(false, label + ": no exception", line);
    return {};
}

#define MESSAGE_OF(type, ...) \
    message_of<type>([&] { static_cast<void>(__VA_ARGS__); }, #__VA_ARGS__, __LINE__)

void check_contains(const std::string& message, const std::string& part, int line) {
    report(message.find(part) != std::string::npos, "\"" + message + "\" contains \"" + part + "\"", line);
}

#define CHECK_CONTAINS(message, part) check_contains((message), (part), __LINE__)

std::vector<std::byte> to_bytes(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

std::string to_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string slurp(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void spill(const fs::path& path, std::string_view text) {
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream.write(text.data(), static_cast<std::streamsize>(text.size()));
}

struct ScratchFolder {
    fs::path path;
    ScratchFolder() {
        std::random_device device;
        path = fs::temp_directory_path() / ("retrograd-test-io-" + std::to_string(device()));
        fs::create_directories(path);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    ~ScratchFolder() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    [[nodiscard]] std::size_t count() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }
};

// ------------------------------------------------------------------------------------------------ json

std::string rewritten(std::string_view text) { return Json::parse(text, "test").text(); }

void test_json_accepts() {
    const std::vector<std::pair<std::string, std::string>> same_or_compact{
        {"null", "null"},
        {"true", "true"},
        {" false\n", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"-0.0", "-0.0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"1.0", "1.0"},
        {"1e0", "1.0"},
        {"1E+2", "100.0"},
        {"1e-2", "0.01"},
        {"0.1", "0.1"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"123456789012345678901234567890", "1.2345678901234568e+29"},
        {"0e999", "0.0"},
        {"\"\"", "\"\""},
        {"\"\\u0041\\n\\/\\b\\f\\r\\t\\\"\\\\\"", "\"A\\n/\\b\\f\\r\\t\\\"\\\\\""},
        {"\"\\u0000\\u001f\"", "\"\\u0000\\u001f\""},
        {"\"\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"\u00e9\u20ac\U0001F600\""},
        {"\"\u00e9\u20ac\U0001F600\x7f\"", "\"\u00e9\u20ac\U0001F600\x7f\""},
        {"[]", "[]"},
        {"[ 1 , 2.5,\t\"a\" ]", "[1,2.5,\"a\"]"},
        {"{}", "{}"},
        {"{ \"b\" : 1, \"a\" : { \"c\" : [ ] } }", "{\"b\":1,\"a\":{\"c\":[]}}"},
        {"{\"\":0}", "{\"\":0}"},
    };
    for (const auto& [in, out] : same_or_compact) {
        const std::string got = rewritten(in);
        CHECK_MESSAGE(got == out, in + " -> " + got);
        CHECK_MESSAGE(rewritten(got) == got, in + " twice");
    }
    CHECK(Json::parse("9223372036854775808", "t").kind() == JsonKind::real);
    CHECK(Json::parse("9223372036854775808", "t").as_double("v") == 9223372036854775808.0);
    CHECK(Json::parse("1.0", "t").kind() == JsonKind::real);
    CHECK(Json::parse("1", "t").kind() == JsonKind::integer);
    CHECK(Json::parse(std::string(64, '[') + std::string(64, ']'), "t").kind() == JsonKind::array);
    const Json with_nul = Json::parse("\"a\\u0000b\"", "t");
    CHECK(with_nul.as_string("v") == "a\0b"s);
}

void test_json_rejects() {
    const std::vector<std::string> bad{
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "tru",
        "NaN",
        "Infinity",
        "-Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1.e1",
        "0x10",
        "1_000",
        "1e400",
        "-1e400",
        "1e-400",
        "1 2",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "]",
        "[}",
        "{",
        "{]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"o\":{\"k\":1,\"x\":2,\"k\":3}}",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud800\\u\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\0\""s,
        "1\0"s,
        "\0"s,
        "\xEF\xBB\xBF{}",
        "\"\x80\"",
        "\"\xC0\x80\"",
        "\"\xC1\xBF\"",
        "\"\xC3\"",
        "\"\xC3(\"",
        "\"\xE0\x80\x80\"",
        "\"\xE0\x9F\xBF\"",
        "\"\xED\xA0\x80\"",
        "\"\xED\xBF\xBF\"",
        "\"\xE2\x82\"",
        "\"\xE2\x28\xA1\"",
        "\"\xF0\x80\x80\x80\"",
        "\"\xF0\x8F\xBF\xBF\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xF5\x80\x80\x80\"",
        "\"\xF0\x9F\x98\"",
        "\"\xFF\"",
        "\"\xFE\"",
        "//c\n1",
        "/*c*/1",
        "[1]x",
        "{}{}",
        "\v1",
        "\xC2\xA0"s + "1",
        std::string(65, '[') + std::string(65, ']'),
        std::string(2'000'000, '['),
        [] {
            std::string deep;
            for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
            return deep;
        }(),
    };
    for (const auto& text : bad) {
        const std::string shown_text = printable(text, 40);
        const std::string message = message_of<FileFormatError>(
            [&] { static_cast<void>(Json::parse(text, "m.safetensors")); }, "json " + shown_text, __LINE__);
        CHECK_CONTAINS(message, "m.safetensors: byte ");
        CHECK_MESSAGE(is_valid_utf8(message), "the message for " + shown_text + " is UTF-8");
        CHECK_MESSAGE(message.size() < 700, "the message for " + shown_text + " is short");
    }
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, Json::parse("{\"a\":[1,{\"b\":x}]}", "f")),
                   "at \"a\"[1].\"b\"");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, Json::parse("{\"a\":1,\"a\":2}", "f")), "\"a\" twice");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, Json::parse("1e400", "f")),
                   "outside of what a double can hold");
    const JsonLimits few{.depth = 2, .values = 4};
    CHECK(Json::parse("[1,[2]]", "f", few).kind() == JsonKind::array);
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, Json::parse("[[[]]]", "f", few)), "deeper than 2");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, Json::parse("[1,2,3,4]", "f", few)), "more than 4 values");
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, Json::parse("1", "f", {.depth = 100'000})), "at most 512");
    const std::string at_limit = std::string(512, '[') + std::string(512, ']');
    CHECK(Json::parse(at_limit, "f", {.depth = 512}).text() == at_limit);
}

void test_json_builders_and_getters() {
    Json dense = Json::object();
    dense.set("type", "dense").set("units", 3).set("rate", 1.0).set("bias", true).set("none", nullptr);
    dense.set("shape", Json::array({1, 2})).set("inner", Json::object({{"k", "v"s}}));
    CHECK(dense.text() ==
          "{\"type\":\"dense\",\"units\":3,\"rate\":1.0,\"bias\":true,\"none\":null,"
          "\"shape\":[1,2],\"inner\":{\"k\":\"v\"}}");
    CHECK(dense.get_string("type") == "dense");
    CHECK(dense.get_int("units") == 3);
    CHECK(dense.get_double("units") == 3.0);
    CHECK(dense.get_double("rate") == 1.0);
    CHECK(dense.get_bool("bias"));
    CHECK(dense.at("none").is_null());
    CHECK(dense.get_array("shape").size() == 2);
    CHECK(dense.get_object("inner").get_string("k") == "v");
    CHECK(dense.find("absent") == nullptr);
    const std::string missing = MESSAGE_OF(FileFormatError, dense.get_int("absent"));
    CHECK_CONTAINS(missing, "\"absent\": the key is missing");
    CHECK_CONTAINS(missing, "\"units\"");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_int("type")),
                   "\"type\": found the string \"dense\", expected an integer");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_int("rate")), "\"rate\": found the number 1.0");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_int("units", 4, 9)),
                   "found the integer 3, expected an integer from 4 to 9");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_bool("units")), "expected true or false");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_string("shape")), "found an array of 2");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_array("inner")), "found an object with 1 keys");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_object("bias")), "found true, expected an object");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.get_double("none")), "found null");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, dense.at("shape").at("x")), "looked for in an array of 2");
    CHECK(Json(std::int64_t{1} << 53).as_double("v") == 9007199254740992.0);
    MESSAGE_OF(FileFormatError, Json((std::int64_t{1} << 53) + 1).as_double("v"));

    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, Json(std::nan(""))), "NaN");
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, Json(HUGE_VAL)), "infinity");
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, Json("\xFF")), "not valid UTF-8");
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, Json(~std::uint64_t{0})), "18446744073709551615");
    MESSAGE_OF(ArgumentError, Json(1).push(2));
    MESSAGE_OF(ArgumentError, Json::array().set("a", 1));
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, dense.set("units", 4)), "\"units\" twice");
    MESSAGE_OF(ArgumentError, dense.set("\xFF", 4));
    MESSAGE_OF(ArgumentError, Json::object({{"a", 1}, {"a", 2}}));
    MESSAGE_OF(ArgumentError, Json::object({{"\x80", 1}}));
    CHECK(dense.get_int("units") == 3);
    Json deep;
    const auto nest = [&] {
        for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
    };
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, nest()), "deeper than 512");

    static_assert(std::is_nothrow_move_constructible_v<Json>);
    const Json copy = dense;
    CHECK(copy.text() == dense.text());
    CHECK(printable("a\n\x7f\xFF\u00e9") == "a\\x0a\\x7f\\xff\u00e9");
    CHECK(printable("abcdef", 3) == "abc...");
}

void test_json_numbers_round_trip() {
    std::mt19937_64 random(1);
    int different = 0;
    for (int i = 0; i < 200'000; ++i) {
        const std::uint64_t bits = random();
        double value = 0;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isfinite(value)) continue;
        const Json back = Json::parse(Json(value).text(), "t");
        const double read = back.as_double("v");
        different += back.kind() != JsonKind::real || std::memcmp(&read, &value, sizeof value) != 0;
        const auto integer = static_cast<std::int64_t>(bits);
        different += Json::parse(Json(integer).text(), "t").as_int("v") != integer;
    }
    CHECK(different == 0);
}

void test_json_random_texts() {
    std::mt19937_64 random(2);
    const std::string seed = R"({"a":[1,-2.5e3,"x\u00e9\ud83d\ude00",{"b":null,"c":true}],"d":{},"e":[[]]})";
    int unstable = 0;
    for (int i = 0; i < 30'000; ++i) {
        std::string text = seed;
        for (std::uint64_t edits = random() % 4 + 1; edits > 0; --edits) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text[at] = static_cast<char>(random()); break;
                case 1: text.erase(at, 1); break;
                default: text.insert(at, 1, seed[random() % seed.size()]);
            }
        }
        try {
            const std::string once = rewritten(text);
            unstable += rewritten(once) != once;
        } catch (const FileFormatError&) {
        }
    }
    CHECK(unstable == 0);
}

// ------------------------------------------------------------------------------------------- container

std::string framed(std::string_view header, std::string_view data, std::uint64_t length) {
    std::string out;
    for (unsigned i = 0; i < 8; ++i) out.push_back(static_cast<char>((length >> (8U * i)) & 0xFFU));
    return out.append(header).append(data);
}

std::string framed(std::string_view header, std::string_view data = "") {
    return framed(header, data, header.size());
}

std::string zeros(std::size_t count) { return std::string(count, '\0'); }

SafetensorsFile parse(std::string_view file) {
    return SafetensorsFile::from_bytes(to_bytes(file), "t.safetensors");
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
           ",\"data_offsets\":" + offsets + "}";
}

struct Case {
    std::string label;
    std::string file;
    std::string part;  // of the message
};

std::vector<Case> malformed_files() {
    const std::string good = tensor("w", "F32", "[2]", "[0,8]");
    const auto one = [](const std::string& body, std::size_t data) {
        return framed("{" + body + "}", zeros(data));
    };
    std::vector<Case> cases{
        {"empty file", "", "found 0 bytes"},
        {"seven bytes", zeros(7), "found 7 bytes"},
        {"zero header", zeros(8), "empty header"},
        {"zero header and data", zeros(16), "empty header"},
        {"length of all ones", framed("{}", "", ~std::uint64_t{0}), "at most 16000000"},
        {"length 2^63", framed("{}", "", std::uint64_t{1} << 63), "at most 16000000"},
        {"length above the limit", framed("{}", "", 16'000'001), "at most 16000000"},
        {"length above the file", framed("{}", "", 3), "maybe the file was cut"},
        {"length one short", framed("{ }", "", 2), "expected '}'"},
        {"big-endian length", framed("{}", "", std::uint64_t{2} << 56), "at most 16000000"},
        {"space first", framed(" {}"), "expected '{'"},
        {"array", framed("[]"), "expected '{'"},
        {"null", framed("null"), "expected '{'"},
        {"byte order mark", framed("\xEF\xBB\xBF{}"), "expected '{'"},
        {"text after the object", framed("{}x"), "ends in 'x'"},
        {"newline padding", framed("{}\n"), "ends in"},
        {"zero padding", framed("{}"s + zeros(6)), "ends in"},
        {"two objects", framed("{}{}"), "after the end"},
        {"only a brace", framed("{"), "ends in '{'"},
        {"unclosed", framed("{" + good, zeros(8)), "expected ',' or '}'"},
        {"bytes without tensors", framed("{}", zeros(4)), "trailing bytes"},
        {"trailing byte", one(good, 9), "trailing bytes"},
        {"data one byte short", one(good, 7), "inside of the 7 bytes"},
        {"no data", one(good, 0), "inside of the 0 bytes"},
        {"tensor a number", one("\"w\":1", 0), "expected an object"},
        {"tensor null", one("\"w\":null", 0), "expected an object"},
        {"tensor an array", one("\"w\":[]", 0), "expected an object"},
        {"tensor empty", one("\"w\":{}", 0), "\"dtype\" is missing"},
        {"no dtype", one(R"("w":{"shape":[2],"data_offsets":[0,8]})", 8), "\"dtype\" is missing"},
        {"no shape", one(R"("w":{"dtype":"F32","data_offsets":[0,8]})", 8), "\"shape\" is missing"},
        {"no offsets", one(R"("w":{"dtype":"F32","shape":[2]})", 8), "\"data_offsets\" is missing"},
        {"unknown key", one(R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})", 8),
         "unknown key"},
        {"dtype twice", one(R"("w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", 8),
         "twice"},
        {"shape twice", one(R"("w":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})", 8),
         "twice"},
        {"offsets twice",
         one(R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]})", 8), "twice"},
        {"name twice", one(good + "," + tensor("w", "F32", "[2]", "[8,16]"), 16), "\"w\" twice"},
        {"name twice, same range", one(good + "," + good, 8), "\"w\" twice"},
        {"name twice through an escape", one(good + "," + tensor("\\u0077", "F32", "[2]", "[8,16]"), 16),
         "\"w\" twice"},
        {"metadata twice", framed(R"({"__metadata__":{},"__metadata__":{}})"), "twice"},
        {"metadata a string", framed(R"({"__metadata__":"x"})"), "expected an object"},
        {"metadata null", framed(R"({"__metadata__":null})"), "expected an object"},
        {"metadata number", framed(R"({"__metadata__":{"a":1}})"), "expected a string"},
        {"metadata nested", framed(R"({"__metadata__":{"a":{}}})"), "expected a string"},
        {"metadata null value", framed(R"({"__metadata__":{"a":null}})"), "expected a string"},
        {"metadata key twice", framed(R"({"__metadata__":{"a":"1","b":"","a":"1"}})"), "\"a\" twice"},
        {"unknown dtype", one(tensor("w", "F33", "[2]", "[0,8]"), 8), "dtype \"F33\""},
        {"lower-case dtype", one(tensor("w", "f32", "[2]", "[0,8]"), 8), "dtype \"f32\""},
        {"empty dtype", one(tensor("w", "", "[2]", "[0,8]"), 8), "dtype \"\""},
        {"sub-byte dtype", one(tensor("w", "F4", "[2]", "[0,1]"), 1), "dtype \"F4\""},
        {"complex dtype", one(tensor("w", "C64", "[1]", "[0,8]"), 8), "dtype \"C64\""},
        {"dtype a number", one(R"("w":{"dtype":32,"shape":[2],"data_offsets":[0,8]})", 8),
         "expected a string"},
        {"dtype null", one(R"("w":{"dtype":null,"shape":[2],"data_offsets":[0,8]})", 8), "expected a string"},
        {"shape a number", one(tensor("w", "F32", "2", "[0,8]"), 8), "expected an array"},
        {"shape null", one(tensor("w", "F32", "null", "[0,8]"), 8), "expected an array"},
        {"negative dimension", one(tensor("w", "F32", "[-2]", "[0,8]"), 8), "no negative"},
        {"two negative dimensions", one(tensor("w", "F32", "[-1,-2]", "[0,8]"), 8), "no negative"},
        {"fractional dimension", one(tensor("w", "F32", "[2.0]", "[0,8]"), 8), "expected an integer"},
        {"dimension 2e0", one(tensor("w", "F32", "[2e0]", "[0,8]"), 8), "expected an integer"},
        {"dimension a string", one(tensor("w", "F32", "[\"2\"]", "[0,8]"), 8), "expected an integer"},
        {"dimension true", one(tensor("w", "F32", "[true]", "[0,8]"), 8), "expected an integer"},
        {"dimension an array", one(tensor("w", "F32", "[[2]]", "[0,8]"), 8), "expected an integer"},
        {"dimension 2^63", one(tensor("w", "F32", "[9223372036854775808]", "[0,8]"), 8),
         "expected an integer"},
        {"dimension of 400 digits", one(tensor("w", "F32", "[" + std::string(400, '9') + "]", "[0,8]"), 8),
         "double"},
        {"rank 9", one(tensor("w", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8), "more than 8 dimensions"},
        {"product wraps to 0", one(tensor("w", "F32", "[4294967296,4294967296]", "[0,0]"), 0), "63 bits"},
        {"product wraps to 0 with the size", one(tensor("w", "F32", "[4611686018427387904]", "[0,0]"), 0),
         "63 bits"},
        {"product wraps to 8", one(tensor("w", "F32", "[4611686018427387906]", "[0,8]"), 8), "63 bits"},
        {"product wraps to 1 element", one(tensor("w", "U8", "[274177,67280421310721]", "[0,1]"), 1),
         "63 bits"},
        {"product of 2^63", one(tensor("w", "U8", "[4611686018427387904,2]", "[0,0]"), 0), "63 bits"},
        {"overflow hidden by a zero", one(tensor("w", "F32", "[4294967296,4294967296,0]", "[0,0]"), 0),
         "63 bits"},
        {"overflow behind a zero", one(tensor("w", "F32", "[0,4294967296,4294967296]", "[0,0]"), 0),
         "63 bits"},
        {"size above the range", one(tensor("w", "F32", "[3]", "[0,8]"), 8), "expected 12"},
        {"size below the range", one(tensor("w", "F32", "[1]", "[0,8]"), 8), "expected 4"},
        {"scalar with two elements", one(tensor("w", "F32", "[]", "[0,8]"), 8), "expected 4"},
        {"empty shape of eight bytes", one(tensor("w", "F32", "[0]", "[0,8]"), 8), "expected 0"},
        {"half an element", one(tensor("w", "F32", "[1]", "[0,3]"), 3), "expected 4"},
        {"one offset", one(tensor("w", "F32", "[2]", "[8]"), 8), "found 1 offsets"},
        {"no offset", one(tensor("w", "F32", "[2]", "[]"), 8), "found 0 offsets"},
        {"three offsets", one(tensor("w", "F32", "[2]", "[0,8,8]"), 8), "more than two"},
        {"offsets a number", one(tensor("w", "F32", "[2]", "8"), 8), "expected an array"},
        {"offset negative", one(tensor("w", "F32", "[2]", "[-8,0]"), 8), "no negative"},
        {"offset fractional", one(tensor("w", "F32", "[2]", "[0,8.0]"), 8), "expected an integer"},
        {"offsets reversed", one(tensor("w", "F32", "[2]", "[8,0]"), 8), "inside of"},
        {"offset far behind", one(tensor("w", "F32", "[2]", "[9223372036854775799,9223372036854775807]"), 8),
         "inside of"},
        {"first tensor not at 0", one(tensor("w", "F32", "[2]", "[4,12]"), 12), "leaves a gap"},
        {"gap", one(good + "," + tensor("v", "F32", "[1]", "[12,16]"), 16), "leaves a gap"},
        {"overlap", one(good + "," + tensor("v", "F32", "[2]", "[4,12]"), 12), "overlaps"},
        {"same range twice", one(good + "," + tensor("v", "F32", "[2]", "[0,8]"), 8), "overlaps"},
        {"contained range", one(good + "," + tensor("v", "F32", "[1]", "[0,4]"), 8), "overlaps"},
        {"empty tensor inside", one(good + "," + tensor("v", "F32", "[0]", "[4,4]"), 8), "overlaps"},
        {"empty tensor behind the end", one(good + "," + tensor("v", "F32", "[0]", "[12,12]"), 8),
         "inside of"},
        {"name of 513 bytes", one(tensor(std::string(513, 'n'), "F32", "[2]", "[0,8]"), 8), "at most 512"},
        {"name with broken UTF-8", one(tensor("w\xFF", "F32", "[2]", "[0,8]"), 8), "valid UTF-8"},
        {"name with a surrogate", one(tensor("\xED\xA0\x80", "F32", "[2]", "[0,8]"), 8), "valid UTF-8"},
        {"name with an overlong form", one(tensor("\xC0\x80", "F32", "[2]", "[0,8]"), 8), "valid UTF-8"},
        {"name with a control character", one(tensor("a\nb", "F32", "[2]", "[0,8]"), 8), "escape"},
        {"trailing comma", one(good + ",", 8), "expected a key"},
        {"missing colon", one(R"("w"{})", 0), "expected ':'"},
        {"comment", one("/**/" + good, 8), "expected a key"},
        {"NaN", one(tensor("w", "F32", "[NaN]", "[0,8]"), 8), "expected an integer"},
        {"deep nesting", framed("{\"w\":" + std::string(100'000, '[') + "}"), "expected an object"},
        {"deep shape", one(tensor("w", "F32", std::string(100'000, '['), "[0,8]"), 8), "expected an integer"},
        {"NUL after the object", framed("{}\0 "s), "ends in"},
        {"checksum too short", framed(R"({"__metadata__":{"retrograd.crc32":"0"}})"), "eight digits"},
        {"checksum wrong", framed(R"({"__metadata__":{"retrograd.crc32":"00000000"}})"),
         "found the checksum"},
        {"checksum with an escape", framed(R"({"__metadata__":{"retrograd.crc32":"0000000\u0030"}})"),
         "eight digits"},
        {"zip file", "PK\x03\x04\x14\0\0\0\b\0"s + zeros(100), "at most 16000000"},
        {"pickle", "\x80\x02}q\x01X\x01\0\0\0"s + zeros(40), "at most 16000000"},
    };
    std::string many = "{" + tensor("0", "U8", "[0]", "[0,0]");
    for (std::size_t i = 1; i <= max_tensors; ++i)
        many += "," + tensor(std::to_string(i), "U8", "[0]", "[0,0]");
    cases.push_back({"65,537 tensors", framed(many + "}"), "more than 65536 tensors"});
    return cases;
}

struct Sample {
    std::vector<float> weight{1.0F, -2.5F, 3.25F, 0.0F, -0.0F, 1e-40F};
    std::vector<double> bias{0.1, std::numeric_limits<double>::infinity()};
    std::vector<std::int64_t> step{-7};
    std::vector<std::uint8_t> flags{0, 1, 1};
    std::vector<std::int32_t> labels{};

    [[nodiscard]] std::vector<TensorView> views() const {
        return {{"layer.weight", "F32", {2, 3}, std::as_bytes(std::span(weight))},
                {"layer.bias", "F64", {2}, std::as_bytes(std::span(bias))},
                {"step", "I64", {}, std::as_bytes(std::span(step))},
                {"flags \"\u00e9\"\n", "BOOL", {3, 1, 1}, std::as_bytes(std::span(flags))},
                {"labels", "I32", {0, 4}, std::as_bytes(std::span(labels))}};
    }
};

const Metadata sample_metadata{{"format", "retrograd"}, {"graph", R"({"nodes":[1,"x"]})"}, {"", "\u20ac\n"}};

std::vector<std::pair<std::string, std::string>> valid_files() {
    const Sample sample;
    std::vector<std::pair<std::string, std::string>> files{
        {"no tensors", framed("{}")},
        {"padded", framed("{}      ")},
        {"whitespace inside",
         framed("{ \"w\" :\t{\"dtype\":\"U8\",\n\"shape\":[ ],\r\"data_offsets\":[0 , 1]} }", "x")},
        {"metadata last",
         framed("{" + tensor("w", "F32", "[2]", "[0,8]") + ",\"__metadata__\":{\"a\":\"b\"}}", zeros(8))},
        {"header in another order",
         framed("{" + tensor("b", "F32", "[1]", "[4,8]") + "," + tensor("a", "F32", "[1]", "[0,4]") + "}",
                zeros(8))},
        {"empty tensors between",
         framed("{" + tensor("z", "F32", "[0]", "[4,4]") + "," + tensor("a", "F32", "[1]", "[0,4]") + "," +
                    tensor("y", "U8", "[3,0]", "[0,0]") + "," + tensor("x", "U8", "[]", "[4,5]") + "}",
                zeros(5))},
        {"keys in another order",
         framed(R"({"w":{"data_offsets":[0,2],"shape":[2],"dtype":"U8"}})", zeros(2))},
        {"rank 8", framed("{" + tensor("w", "F16", "[1,1,1,1,1,1,1,2]", "[0,4]") + "}", zeros(4))},
        {"name of 512 bytes",
         framed("{" + tensor(std::string(512, 'n'), "I8", "[1]", "[0,1]") + "}", zeros(1))},
        {"empty name", framed("{" + tensor("", "U64", "[1]", "[0,8]") + "}", zeros(8))},
        {"escaped name",
         framed("{" + tensor("\\u00e9\\ud83d\\ude00", "BF16", "[1]", "[0,2]") + "}", zeros(2))},
        {"largest zero shape", framed("{" + tensor("w", "U8", "[9223372036854775807,0]", "[0,0]") + "}")},
        {"sample", to_text(write_safetensors(sample.views(), sample_metadata))},
        {"sample with checksum",
         to_text(write_safetensors(sample.views(), sample_metadata, Checksum::whole_file))},
    };
    return files;
}

void test_container_round_trip() {
    const Sample sample;
    const auto views = sample.views();
    for (const Checksum checksum : {Checksum::none, Checksum::whole_file}) {
        const auto file = write_safetensors(views, sample_metadata, checksum);
        const auto read = SafetensorsFile::from_bytes(file, "x");
        CHECK(read.has_checksum() == (checksum == Checksum::whole_file));
        CHECK(read.tensors().size() == views.size());
        std::uint64_t header = 0;
        for (unsigned i = 0; i < 8; ++i) header |= std::to_integer<std::uint64_t>(file[i]) << (8U * i);
        CHECK((header + 8) % 64 == 0);
        for (const auto& view : views) {
            const TensorInfo* info = read.find(view.name);
            CHECK(info != nullptr && info->dtype == view.dtype && info->shape == view.shape);
            const auto data = read.bytes(*info);
            CHECK(std::equal(data.begin(), data.end(), view.bytes.begin(), view.bytes.end()));
        }
        for (const auto& [key, value] : sample_metadata) {
            CHECK(read.find_metadata(key) != nullptr && *read.find_metadata(key) == value);
        }
        CHECK(read.metadata().size() == sample_metadata.size() + (read.has_checksum() ? 1 : 0));
        CHECK(read.find("absent") == nullptr);
        CHECK(read.find_metadata("absent") == nullptr);
        CHECK(write_safetensors(views, sample_metadata, checksum) == file);
        CHECK_CONTAINS(MESSAGE_OF(ArgumentError, read.bytes({.begin = 0, .end = 1'000'000})),
                       "one of this file's");
    }
    const auto unchecked = write_safetensors(views, sample_metadata);
    CHECK(SafetensorsFile::from_bytes(unchecked).metadata() == sample_metadata);
    CHECK(SafetensorsFile::from_bytes(write_safetensors({}, {})).tensors().empty());

    for (const auto& [label, file] : valid_files()) {
        try {
            static_cast<void>(parse(file));
            ++checks;
        } catch (const std::exception& error) {
            CHECK_MESSAGE(false, label + ": " + error.what());
        }
    }
    const auto ordered = parse(valid_files()[5].second);
    std::string names;
    for (const auto& info : ordered.tensors()) names += info.name;
    CHECK(names == "yazx");
    std::string most = "{" + tensor("0", "U8", "[0]", "[0,0]");
    for (std::size_t i = 1; i < max_tensors; ++i)
        most += "," + tensor(std::to_string(i), "U8", "[0]", "[0,0]");
    CHECK(parse(framed(most + "}")).tensors().size() == max_tensors);
}

void test_container_malformed() {
    const auto cases = malformed_files();
    CHECK(cases.size() >= 60);
    ScratchFolder folder;
    const fs::path path = folder.path / "hostile.safetensors";
    for (const auto& one : cases) {
        const std::string message =
            message_of<FileFormatError>([&] { static_cast<void>(parse(one.file)); }, one.label, __LINE__);
        CHECK_CONTAINS(message, "t.safetensors: ");
        check_contains(message, one.part, __LINE__);
        CHECK_MESSAGE(message.size() < 1000 && is_valid_utf8(message),
                      one.label + ": a short message in UTF-8");
        spill(path, one.file);
        const std::string from_file = message_of<FileFormatError>(
            [&] { static_cast<void>(SafetensorsFile::read(path)); }, one.label, __LINE__);
        CHECK_CONTAINS(from_file, path.string() + ": ");
    }
}

void test_container_truncations_and_flips() {
    const Sample sample;
    for (const Checksum checksum : {Checksum::none, Checksum::whole_file}) {
        const auto file = write_safetensors(sample.views(), sample_metadata, checksum);
        int accepted = 0;
        for (std::size_t size = 0; size < file.size(); ++size) {
            try {
                static_cast<void>(
                    SafetensorsFile::from_bytes({file.begin(), file.begin() + static_cast<long>(size)}));
                ++accepted;
            } catch (const FileFormatError&) {
            }
        }
        CHECK(accepted == 0);
        auto longer = file;
        longer.push_back(std::byte{0});
        MESSAGE_OF(FileFormatError, SafetensorsFile::from_bytes(longer));
    }

    // With the checksum a reader that asks for it finds every changed bit, in header, names, padding and
    // data.
    const auto file = write_safetensors(sample.views(), sample_metadata, Checksum::whole_file);
    const auto detected = [](const std::vector<std::byte>& changed) {
        try {
            return !SafetensorsFile::from_bytes(changed).has_checksum();
        } catch (const FileFormatError&) {
            return true;
        }
    };
    int missed = 0;
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
        auto changed = file;
        changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        missed += !detected(changed);
    }
    CHECK(missed == 0);
    std::mt19937_64 random(3);
    for (int i = 0; i < 10'000; ++i) {
        auto changed = file;
        for (std::uint64_t edits = random() % 3 + 1; edits > 0; --edits) {
            changed[random() % changed.size()] ^= static_cast<std::byte>(random() % 255 + 1);
        }
        missed += changed != file && !detected(changed);
    }
    CHECK(missed == 0);

    const auto plain = write_safetensors(sample.views(), sample_metadata);
    for (int i = 0; i < 10'000; ++i) {
        auto changed = plain;
        changed[random() % changed.size()] = static_cast<std::byte>(random());
        try {
            static_cast<void>(SafetensorsFile::from_bytes(std::move(changed)));
        } catch (const FileFormatError&) {
        }
    }
}

void test_writer_refuses() {
    const std::array<std::byte, 8> eight{};
    const auto write = [&](const TensorView& view) { return write_safetensors(std::span(&view, 1)); };
    CHECK(!write({"w", "F32", {2}, eight}).empty());
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, write({"w", "F32", {3}, eight})), "got 8 bytes, expected 12");
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, write({"w", "F31", {2}, eight})), "F31");
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, write({"w", "F32", {-2, -1}, eight})), "(-2, -1)");
    MESSAGE_OF(ArgumentError, write({"w", "F32", {std::int64_t{1} << 62}, {}}));
    MESSAGE_OF(ArgumentError, write({"w", "F32", {1, 1, 1, 1, 1, 1, 1, 1, 2}, eight}));
    MESSAGE_OF(ArgumentError, write({std::string(513, 'n'), "F32", {2}, eight}));
    MESSAGE_OF(ArgumentError, write({"\xFF", "F32", {2}, eight}));
    MESSAGE_OF(ArgumentError, write({"__metadata__", "F32", {2}, eight}));
    const std::vector<TensorView> twice{{"w", "F32", {2}, eight}, {"w", "F32", {2}, eight}};
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, write_safetensors(twice)), "\"w\" twice");
    MESSAGE_OF(ArgumentError, write_safetensors({}, {{"a", "1"}, {"a", "2"}}));
    MESSAGE_OF(ArgumentError, write_safetensors({}, {{"a", "\xC3"}}));
    MESSAGE_OF(ArgumentError, write_safetensors({}, {{std::string(checksum_key), "00000000"}}));
    CHECK_CONTAINS(MESSAGE_OF(ArgumentError, write_safetensors({}, {{"a", std::string(16'000'000, 'x')}})),
                   "header");
    const std::vector<TensorView> many(max_tensors + 1);
    MESSAGE_OF(ArgumentError, write_safetensors(many));
}

void test_crc32() {
    CHECK(crc32({}) == 0);
    CHECK(crc32(to_bytes("123456789")) == 0xCBF43926U);
    CHECK(crc32(to_bytes("The quick brown fox jumps over the lazy dog")) == 0x414FA339U);
    std::mt19937_64 random(4);
    std::vector<std::byte> bytes(1000);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    for (std::size_t size = 0; size < 100; ++size) {
        std::uint32_t slow = ~0U;  // the definition, one bit after the other
        for (std::size_t i = 0; i < size; ++i) {
            slow ^= std::to_integer<std::uint32_t>(bytes[i]);
            for (int bit = 0; bit < 8; ++bit) slow = (slow >> 1U) ^ ((slow & 1U) != 0 ? 0xEDB88320U : 0U);
        }
        CHECK(crc32(std::span(bytes).first(size)) == ~slow);
    }
    for (std::size_t cut = 0; cut <= bytes.size(); cut += 37) {
        const std::span all(bytes);
        CHECK(crc32(all.subspan(cut), crc32(all.first(cut))) == crc32(all));
    }
}

// ---------------------------------------------------------------------------------------------- files

#ifdef RETROGRAD_IO_WRAPPED_CALLS
// While `armed`, calls are counted; the call with number `fail_at` fails with `error`. Writes and reads may
// be cut to a few bytes, and a signal may interrupt every second call.
struct Faults {
    bool armed = false;
    int count = 0;
    int fail_at = -1;
    int error = EIO;
    std::size_t longest = 0;
    bool interrupt = false;
    bool end_early = false;
    std::string failed{};
} faults;

bool fault(const char* call) {
    if (!faults.armed) return false;
    const int number = faults.count++;
    if (faults.interrupt && number % 2 == 0) {
        errno = EINTR;
        return true;
    }
    if (number != faults.fail_at) return false;
    faults.failed = call;
    errno = faults.error;
    return true;
}
#endif

}  // namespace

#ifdef RETROGRAD_IO_WRAPPED_CALLS
extern "C" {
int __real_openat(int, const char*, int, ...);
ssize_t __real_write(int, const void*, size_t);
ssize_t __real_read(int, void*, size_t);
int __real_fsync(int);
int __real_close(int);
int __real_fchmod(int, mode_t);
int __real_fstat(int, struct stat*);
int __real_renameat(int, const char*, int, const char*);

int __wrap_openat(int folder, const char* path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : mode_t{0};
    va_end(rest);
    return fault("openat") ? -1 : __real_openat(folder, path, flags, mode);
}
ssize_t __wrap_write(int file, const void* data, size_t size) {
    if (faults.armed && faults.longest > 0) size = std::min(size, faults.longest);
    return fault("write") ? -1 : __real_write(file, data, size);
}
ssize_t __wrap_read(int file, void* data, size_t size) {
    if (faults.armed && faults.longest > 0) size = std::min(size, faults.longest);
    if (faults.armed && faults.end_early && faults.count++ > 3) return 0;
    return fault("read") ? -1 : __real_read(file, data, size);
}
int __wrap_fsync(int file) { return fault("fsync") ? -1 : __real_fsync(file); }
// A failing close has closed the file, as on Linux.
int __wrap_close(int file) {
    const int result = __real_close(file);
    return faults.armed && fault("close") ? -1 : result;
}
int __wrap_fchmod(int file, mode_t mode) { return fault("fchmod") ? -1 : __real_fchmod(file, mode); }
int __wrap_fstat(int file, struct stat* status) { return fault("fstat") ? -1 : __real_fstat(file, status); }
int __wrap_renameat(int a, const char* from, int b, const char* to) {
    return fault("renameat") ? -1 : __real_renameat(a, from, b, to);
}
}
#endif

namespace {

void test_write_and_read_files() {
    ScratchFolder folder;
    const fs::path path = folder.path / "m.safetensors";
    const Sample sample;
    const auto file = write_safetensors(sample.views(), sample_metadata, Checksum::whole_file);
    write_atomically(path, file);
    CHECK(slurp(path) == to_text(file));
    CHECK(folder.count() == 1);
    const auto read = SafetensorsFile::read(path);
    CHECK(read.source() == path.string());
    CHECK(read.has_checksum() && read.tensors().size() == 5);
    write_atomically(path, {});
    CHECK(fs::file_size(path) == 0);
    CHECK(folder.count() == 1);

    const fs::path absent = folder.path / "absent.safetensors";
    const std::string missing = MESSAGE_OF(FileFormatError, SafetensorsFile::read(absent));
    CHECK_CONTAINS(missing, absent.string());
    const fs::path no_folder = folder.path / "no" / "m.safetensors";
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, write_atomically(no_folder, file)), no_folder.string());
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, write_atomically(folder.path / "", file)),
                   "the name of a folder");
    fs::create_directory(folder.path / "sub");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, write_atomically(folder.path / "sub", file)), "a folder");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, write_atomically("", file)), "the name of a folder");
    MESSAGE_OF(FileFormatError, SafetensorsFile::read(folder.path));
    MESSAGE_OF(FileFormatError, SafetensorsFile::read(""));
    CHECK(folder.count() == 2);

    const fs::path long_name = folder.path / std::string(250, 'n');
    write_atomically(long_name, file);
    CHECK(slurp(long_name) == to_text(file));
    const fs::path accents = folder.path / fs::path(u8"gr\u00fc\u00df e.safetensors");
    write_atomically(accents, file);
    CHECK(SafetensorsFile::read(accents).tensors().size() == 5);
    CHECK(folder.count() == 4);

    const fs::path before = fs::current_path();
    fs::current_path(folder.path);
    write_atomically("bare", file);
    fs::current_path(before);
    CHECK(slurp(folder.path / "bare") == to_text(file));

    std::vector<std::thread> threads;
    const std::string a(100'000, 'a');
    const std::string b(70'000, 'b');
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            for (int k = 0; k < 20; ++k) write_atomically(path, to_bytes(i % 2 == 0 ? a : b));
        });
    }
    int mixed = 0;
    for (int k = 0; k < 200; ++k) {
        const std::string now = slurp(path);
        mixed += !now.empty() && now != a && now != b;
    }
    for (auto& thread : threads) thread.join();
    CHECK(mixed == 0);
    CHECK(folder.count() == 5);
}

#ifndef _WIN32

mode_t mode_of(const fs::path& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 0777U : 0U;
}

void test_posix_files() {
    ScratchFolder folder;
    const fs::path path = folder.path / "m";
    const auto bytes = to_bytes("new");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, SafetensorsFile::read(path)), "No such file or directory");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, SafetensorsFile::read(folder.path)), "found a folder");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, SafetensorsFile::read("/dev/null")),
                   "a device, pipe or socket");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, write_atomically("/dev/null", bytes)),
                   "a device, pipe or socket");
    const fs::path pipe = folder.path / "pipe";
    CHECK(::mkfifo(pipe.c_str(), 0600) == 0);
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, SafetensorsFile::read(pipe)), "a device, pipe or socket");
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, write_atomically(pipe, bytes)), "a device, pipe or socket");

    const mode_t old_mask = ::umask(027);
    write_atomically(path, bytes);
    CHECK(mode_of(path) == 0640);
    CHECK(::chmod(path.c_str(), 0604) == 0);
    write_atomically(path, bytes);
    CHECK(mode_of(path) == 0604);
    CHECK(::chmod(path.c_str(), 0400) == 0);
    write_atomically(path, bytes);
    CHECK(mode_of(path) == 0400);
    ::umask(old_mask);

    const fs::path link = folder.path / "link";
    fs::create_symlink("m", link);
    write_atomically(link, to_bytes("other"));
    CHECK(fs::is_regular_file(fs::symlink_status(link)));
    CHECK(slurp(link) == "other" && slurp(path) == "new");

    // A process that has ended for certain: a child that was waited for.
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    CHECK(::waitpid(child, nullptr, 0) == child);
    const std::string dead = std::to_string(child);
    const std::string own = std::to_string(::getpid());
    const auto touch = [&](const std::string& name) { spill(folder.path / name, "x"); };
    const auto there = [&](const std::string& name) { return fs::exists(folder.path / name); };
    const std::vector<std::string> stale{".m." + dead + ".0.tmp", ".m." + dead + ".18446744073709551615.tmp"};
    const std::vector<std::string> others{".m." + own + ".0.tmp",
                                          ".m.1.0.tmp",
                                          ".n." + dead + ".0.tmp",
                                          ".m." + dead + ".tmp",
                                          ".m." + dead + ".x.tmp",
                                          ".m." + dead + ".0.tmpx",
                                          ".m.x" + dead + ".0.tmp",
                                          ".m.-" + dead + ".0.tmp",
                                          ".m..0.tmp",
                                          ".m.tmp",
                                          ".m.99999999999999999999.0.tmp",
                                          ".m.9999999999.0.tmp",
                                          ".m.0.0.tmp"};
    for (const auto& name : stale) touch(name);
    for (const auto& name : others) touch(name);
    write_atomically(path, bytes);
    for (const auto& name : stale) CHECK_MESSAGE(!there(name), name + " is swept");
    for (const auto& name : others) CHECK_MESSAGE(there(name), name + " stays");

    const fs::path broken = folder.path / "br\xFFken";
    const std::string message = MESSAGE_OF(FileFormatError, SafetensorsFile::read(broken));
    CHECK_CONTAINS(message, "br\\xffken");
    CHECK(is_valid_utf8(message));
}

// A large file with holes that is no safetensors file is refused before memory for it is taken.
void test_no_memory_for_foreign_files() {
    ScratchFolder folder;
    const fs::path path = folder.path / "huge";
    spill(path, framed("{}"));
    std::error_code error;
    fs::resize_file(path, std::uintmax_t{1} << 41, error);
    if (error) return;
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, SafetensorsFile::read(path)), "trailing bytes");
    spill(path, zeros(1));
    fs::resize_file(path, std::uintmax_t{1} << 41, error);
    CHECK_CONTAINS(MESSAGE_OF(FileFormatError, SafetensorsFile::read(path)), "empty header");
}

void test_full_disk() {
    ScratchFolder folder;
    const fs::path path = folder.path / "m";
    write_atomically(path, to_bytes("old"));
    rlimit old{};
    CHECK(::getrlimit(RLIMIT_FSIZE, &old) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limited = old;
    limited.rlim_cur = 100'000;
    CHECK(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
    const std::vector<std::byte> large(1'000'000);
    const std::string message = MESSAGE_OF(FileFormatError, write_atomically(path, large));
    CHECK(::setrlimit(RLIMIT_FSIZE, &old) == 0);
    std::signal(SIGXFSZ, handler);
    CHECK_CONTAINS(message, path.string());
    CHECK_CONTAINS(message, "writing the temporary file failed: File too large");
    CHECK(slurp(path) == "old");
    CHECK(folder.count() == 1);
}

// A child writes two contents in turn until it is killed: the file is always one of them, whole.
void test_kills() {
    ScratchFolder folder;
    const fs::path path = folder.path / "m";
    const std::vector<float> a(50'000, 1.0F);
    const std::vector<float> b(80'000, 2.0F);
    const auto file_of = [](const std::vector<float>& values) {
        const std::vector<TensorView> views{
            {"w", "F32", {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))}};
        return write_safetensors(views, {}, Checksum::whole_file);
    };
    const auto first = file_of(a);
    const auto second = file_of(b);
    write_atomically(path, first);
    std::mt19937_64 random(5);
    int bad = 0;
    for (int kill = 0; kill < 20; ++kill) {
        const pid_t child = ::fork();
        if (child == 0) {
            while (true) {
                write_atomically(path, second);
                write_atomically(path, first);
            }
        }
        ::usleep(static_cast<useconds_t>(random() % 20'000));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        try {
            bad += !SafetensorsFile::read(path).has_checksum();
        } catch (const FileFormatError& error) {
            CHECK_MESSAGE(false, error.what());
        }
    }
    CHECK(bad == 0);
    write_atomically(path, first);
    CHECK(folder.count() == 1);
}

#endif

#ifdef RETROGRAD_IO_WRAPPED_CALLS

std::size_t open_descriptors() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// Every system call of a save fails once, with several errors: the message names the path, the old file stays
// until the rename, no temporary file and no descriptor is left.
void test_failing_calls() {
    ScratchFolder folder;
    const fs::path path = folder.path / "m";
    const std::string old_text(1000, 'o');
    const std::string new_text(1000, 'n');
    const auto old_bytes = to_bytes(old_text);
    const auto new_bytes = to_bytes(new_text);
    write_atomically(path, old_bytes);
    const std::size_t descriptors = open_descriptors();
    std::set<std::string> failed;
    for (const int error : {EIO, ENOSPC, EDQUOT, EACCES, EROFS}) {
        for (int call = 0; call < 100; ++call) {
            write_atomically(path, old_bytes);
            faults = {.armed = true, .fail_at = call, .error = error, .longest = 300};
            std::string message;
            try {
                write_atomically(path, new_bytes);
            } catch (const FileFormatError& caught) {
                message = caught.what();
            }
            faults.armed = false;
            if (faults.failed.empty()) {
                CHECK(message.empty() && slurp(path) == new_text);
                break;
            }
            failed.insert(faults.failed);
            CHECK_MESSAGE(folder.count() == 1 && open_descriptors() == descriptors,
                          "leftovers after " + message);
            // The folder's descriptor was only read from: nothing hangs on its close.
            if (message.empty()) {
                CHECK(faults.failed == "close" && slurp(path) == new_text);
                continue;
            }
            CHECK_CONTAINS(message, path.string());
            CHECK_CONTAINS(message, std::strerror(error));
            const bool renamed = message.find("the new file is in place") != std::string::npos;
            CHECK(slurp(path) == (renamed ? new_text : old_text));
            if (renamed) CHECK(faults.failed == "fsync");
        }
    }
    CHECK((failed == std::set<std::string>{"openat", "write", "fsync", "close", "fchmod", "renameat"}));

    faults = {.armed = true, .longest = 7, .interrupt = true};
    bool refused = false;
    try {
        write_atomically(path, old_bytes);
    } catch (const FileFormatError&) {
        refused = true;  // fchmod and renameat are not interrupted by signals on Linux; here they are
    }
    faults.armed = false;
    CHECK(slurp(path) == (refused ? new_text : old_text));
    CHECK(folder.count() == 1 && open_descriptors() == descriptors);

    const Sample sample;
    const auto file = write_safetensors(sample.views(), sample_metadata, Checksum::whole_file);
    write_atomically(path, file);
    for (int call = 0; call < 1000; ++call) {
        faults = {.armed = true, .fail_at = call, .error = EIO, .longest = 100};
        std::string message;
        try {
            static_cast<void>(SafetensorsFile::read(path));
        } catch (const FileFormatError& caught) {
            message = caught.what();
        }
        faults.armed = false;
        if (faults.failed.empty()) {
            CHECK(message.empty());
            CHECK(call > 5);
            break;
        }
        if (faults.failed == "close") continue;
        CHECK_CONTAINS(message, path.string() + ": ");
        CHECK_CONTAINS(message, std::strerror(EIO));
        CHECK(open_descriptors() == descriptors);
    }
    faults = {.armed = true, .longest = 100, .end_early = true};
    const std::string early = MESSAGE_OF(FileFormatError, SafetensorsFile::read(path));
    faults.armed = false;
    CHECK_CONTAINS(early, "bytes too early");
    CHECK(open_descriptors() == descriptors);
}

#endif

int write_corpus(const fs::path& folder) {
    fs::create_directories(folder / "malformed");
    fs::create_directories(folder / "valid");
    int number = 0;
    const auto name = [&](std::string label) {
        for (char& c : label) {
            if (c == ' ' || c == ',' || c == '^') c = '-';
        }
        return std::to_string(1000 + number++).substr(1) + "-" + label + ".safetensors";
    };
    for (const auto& one : malformed_files()) spill(folder / "malformed" / name(one.label), one.file);
    number = 0;
    for (const auto& [label, file] : valid_files()) spill(folder / "valid" / name(label), file);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::string_view(argv[1]) == "--corpus") return write_corpus(argv[2]);
    const std::vector<std::pair<const char*, void (*)()>> tests{
        {"json accepts", test_json_accepts},
        {"json rejects", test_json_rejects},
        {"json builders and getters", test_json_builders_and_getters},
        {"json numbers round trip", test_json_numbers_round_trip},
        {"json random texts", test_json_random_texts},
        {"container round trip", test_container_round_trip},
        {"container malformed", test_container_malformed},
        {"container truncations and flips", test_container_truncations_and_flips},
        {"writer refuses", test_writer_refuses},
        {"crc32", test_crc32},
        {"write and read files", test_write_and_read_files},
#ifndef _WIN32
        {"posix files", test_posix_files},
        {"no memory for foreign files", test_no_memory_for_foreign_files},
        {"full disk", test_full_disk},
        {"kills", test_kills},
#endif
#ifdef RETROGRAD_IO_WRAPPED_CALLS
        {"failing calls", test_failing_calls},
#endif
    };
    for (const auto& [name, test] : tests) {
        const int before = failures;
        try {
            test();
        } catch (const std::exception& error) {
            report(false, std::string(name) + ": stopped by " + error.what(), 0);
        }
        std::printf("%-32s %s\n", name, failures == before ? "ok" : "FAILED");
    }
    std::printf("%d checks, %d failures\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
