// JSON (RFC 8259) for the headers and descriptions inside model files: a strict reader, a compact writer.
//
// Strict means: valid UTF-8 only, no key twice, no number outside of a double, no trailing bytes, limited
// nesting and a limited count of values, so that a hostile text costs neither the stack nor the memory.
// Integers that fit into 64 bits stay integers; every other number is a double. Written doubles read back
// to the same bits and as doubles (1.0 is written as 1.0).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace retrograd::io {

enum class JsonKind { null, boolean, integer, real, string, array, object };

struct JsonLimits {
    std::size_t depth = 64;          // arrays and objects inside each other; at most Json::max_depth
    std::size_t values = 1'000'000;  // bounds the memory: a value needs up to 30 times its text
};

// A JSON value. What it holds is valid by construction: finite numbers, UTF-8 strings, unique keys.
class Json {
  public:
    struct Member;
    using Array = std::vector<Json>;
    using Object = std::vector<Member>;  // in the order of insertion

    static constexpr std::size_t max_depth = 512;  // writing and destroying recurse, so nesting has an end

    // Implicit on purpose, so that builders read as set("units", 3). ArgumentError for what JSON cannot hold.
    Json() noexcept;
    Json(std::nullptr_t) noexcept;
    template <std::same_as<bool> B>
    Json(B value) noexcept : value_(value) {}
    template <std::integral I>
        requires(!std::same_as<I, bool>)
    Json(I value) : value_(checked_integer(value)) {}
    Json(double value);
    Json(std::string value);
    Json(std::string_view value);
    Json(const char* value);

    Json(const Json&);
    Json(Json&&) noexcept;
    Json& operator=(const Json&);
    Json& operator=(Json&&) noexcept;
    ~Json();

    [[nodiscard]] static Json array();
    [[nodiscard]] static Json array(Array values);
    [[nodiscard]] static Json object();
    [[nodiscard]] static Json object(Object members);
    Json& push(Json value);                  // appends to an array
    Json& set(std::string key, Json value);  // appends to an object; a key that is there is an ArgumentError

    // FileFormatError, starting with `source` (a path, say), for everything that is not strict JSON.
    [[nodiscard]] static Json parse(std::string_view text, std::string_view source, JsonLimits limits = {});

    // Compact: no whitespace, keys in their order, UTF-8 as it is.
    [[nodiscard]] std::string text() const;

    [[nodiscard]] JsonKind kind() const noexcept { return static_cast<JsonKind>(value_.index()); }
    [[nodiscard]] bool is_null() const noexcept { return kind() == JsonKind::null; }

    // FileFormatError when the value is of another kind; `what` names it in the message.
    [[nodiscard]] bool as_bool(std::string_view what) const;
    [[nodiscard]] std::int64_t as_int(std::string_view what) const;
    [[nodiscard]] double as_double(std::string_view what) const;  // also an integer up to 2^53
    [[nodiscard]] const std::string& as_string(std::string_view what) const&;
    [[nodiscard]] const Array& as_array(std::string_view what) const&;
    [[nodiscard]] const Object& as_object(std::string_view what) const&;
    const std::string& as_string(std::string_view) const&& = delete;
    const Array& as_array(std::string_view) const&& = delete;
    const Object& as_object(std::string_view) const&& = delete;

    // Of an object: null pointer when the key is absent; `at` and the rest throw FileFormatError then.
    [[nodiscard]] const Json* find(std::string_view key) const&;
    [[nodiscard]] const Json& at(std::string_view key) const&;
    const Json* find(std::string_view) const&& = delete;
    const Json& at(std::string_view) const&& = delete;

    [[nodiscard]] bool get_bool(std::string_view key) const;
    [[nodiscard]] std::int64_t get_int(std::string_view key,
                                       std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                                       std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
    [[nodiscard]] double get_double(std::string_view key) const;
    [[nodiscard]] const std::string& get_string(std::string_view key) const&;
    [[nodiscard]] const Array& get_array(std::string_view key) const&;
    [[nodiscard]] const Json& get_object(std::string_view key) const&;
    const std::string& get_string(std::string_view) const&& = delete;
    const Array& get_array(std::string_view) const&& = delete;
    const Json& get_object(std::string_view) const&& = delete;

  private:
    template <std::integral I>
    [[nodiscard]] static std::int64_t checked_integer(I value) {
        if constexpr (sizeof(I) >= sizeof(std::int64_t) && std::unsigned_integral<I>) {
            if (value > static_cast<I>(std::numeric_limits<std::int64_t>::max())) refuse_integer(value);
        }
        return static_cast<std::int64_t>(value);
    }
    [[noreturn]] static void refuse_integer(std::uint64_t value);
    [[nodiscard]] std::string description() const;
    [[noreturn]] void mismatch(std::string_view what, std::string_view expected) const;
    void contain(const Json& child);
    void write(std::string& out) const;

    // The order of the alternatives is that of JsonKind.
    std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
    std::size_t depth_ = 0;  // 0 for scalars, else one more than the deepest child
};

struct Json::Member {
    std::string key;
    Json value;
};

// Pulls values out of a text one after the other, without building a tree: for texts from strangers whose
// layout is known. Every failure is a FileFormatError with source, byte and the keys that lead there.
// Keys of one object are not compared here: the caller does that (see duplicate_key); value() does it itself.
class JsonReader {
  public:
    // The text must outlive the reader.
    JsonReader(std::string_view text, std::string source, JsonLimits limits = {});

    void enter_object();
    [[nodiscard]] bool next_key(std::string& key);  // false: the object is left
    void enter_array();
    [[nodiscard]] bool next_element();  // false: the array is left
    [[nodiscard]] std::string string();
    [[nodiscard]] std::int64_t integer();
    [[nodiscard]] Json value();  // whatever comes next, whole
    void finish();               // only whitespace may be left

    [[nodiscard]] std::size_t position() const noexcept { return at_; }
    [[noreturn]] void fail(const std::string& message) const;

  private:
    struct Level {
        bool is_object;
        bool first = true;
        std::string key{};
        std::size_t index = 0;
    };

    char peek();
    char start_value();
    void enter(bool object);
    bool next(char closing);
    [[nodiscard]] bool take_word(std::string_view word);
    [[nodiscard]] std::string found() const;
    [[nodiscard]] Json number();
    [[nodiscard]] std::string raw_string();
    void escape(std::string& out);
    [[nodiscard]] std::uint32_t hex4();

    std::string_view text_;
    std::string source_;
    JsonLimits limits_;
    std::size_t at_ = 0;
    std::size_t values_ = 0;
    std::vector<Level> levels_{};
};

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

// The text as a JSON string, with its quotes. The text must be valid UTF-8.
[[nodiscard]] std::string json_quoted(std::string_view text);

// For messages: control characters and broken UTF-8 are escaped, and a text above `most` bytes is cut.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most = 80);

// A key that occurs twice, or nothing.
[[nodiscard]] std::optional<std::string_view> duplicate_key(std::vector<std::string_view> keys);

}  // namespace retrograd::io
