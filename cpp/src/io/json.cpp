#include "io/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>
#if !defined(__cpp_lib_to_chars)
#include <locale>
#include <sstream>
#endif

#include "retrograd/error.hpp"

namespace retrograd::io {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// The length of the UTF-8 sequence at `at`, 0 when it is broken (RFC 3629: no overlong form, no surrogate).
std::size_t utf8_length(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) -> unsigned {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
    };
    const unsigned lead = byte(0);
    unsigned low = 0x80;
    unsigned high = 0xBF;
    std::size_t length = 0;
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
    } else {
        return 0;
    }
    if (byte(1) < low || byte(1) > high) return 0;
    for (std::size_t i = 2; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80U) return 0;
    }
    return length;
}

void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0U | (code >> 6U));
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        put(0xE0U | (code >> 12U));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | (code >> 18U));
        put(0x80U | ((code >> 12U) & 0x3FU));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

void append_hex_byte(std::string& out, unsigned char byte) {
    out.push_back(hex_digits[byte >> 4U]);
    out.push_back(hex_digits[byte & 0x0FU]);
}

// Nothing when the number is outside of what a double can hold.
std::optional<double> to_double(std::string_view token) {
    double value = 0.0;
#if defined(__cpp_lib_to_chars)
    const auto result = std::from_chars(token.data(), token.data() + token.size(), value);
    if (result.ec != std::errc()) return std::nullopt;
#else
    // A standard library without from_chars for doubles: the C locale, whatever the program has set.
    std::istringstream stream{std::string(token)};
    stream.imbue(std::locale::classic());
    stream >> value;
    // The stream also reports a failure for subnormal numbers, which it has read all the same.
    if (!stream && std::fpclassify(value) != FP_SUBNORMAL) return std::nullopt;
#endif
    if (!std::isfinite(value)) return std::nullopt;
    return value;
}

// Shortest digits that read back to the same bits; ".0" keeps an integral double a double.
void append_double(std::string& out, double value) {
    std::array<char, 32> buffer{};
    const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
    const std::string_view digits(buffer.data(), static_cast<std::size_t>(result.ptr - buffer.data()));
    out += digits;
    if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append_quoted(std::string& out, std::string_view text) {
    out.push_back('"');
    for (const char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\b': out += "\\b"; break;
            case '\f': out += "\\f"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    out += "\\u00";
                    append_hex_byte(out, static_cast<unsigned char>(c));
                } else {
                    out.push_back(c);
                }
        }
    }
    out.push_back('"');
}

std::string checked_text(std::string value) {
    if (!is_valid_utf8(value)) {
        throw ArgumentError("Json: got the string \"" + printable(value) +
                            "\", which is not valid UTF-8; encode it as UTF-8 first");
    }
    return value;
}

std::optional<std::string_view> duplicate_member(const Json::Object& members) {
    if (members.size() < 2) return std::nullopt;
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.emplace_back(member.key);
    return duplicate_key(std::move(keys));
}

}  // namespace

bool is_valid_utf8(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text, at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

std::string json_quoted(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 2);
    append_quoted(out, text);
    return out;
}

std::string printable(std::string_view text, std::size_t most) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (at >= most) return out + "...";
        const std::size_t length = utf8_length(text, at);
        const auto byte = static_cast<unsigned char>(text[at]);
        if (length == 0 || byte < 0x20 || byte == 0x7F) {
            out += "\\x";
            append_hex_byte(out, byte);
            ++at;
        } else {
            out += text.substr(at, length);
            at += length;
        }
    }
    return out;
}

std::optional<std::string_view> duplicate_key(std::vector<std::string_view> keys) {
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice == keys.end()) return std::nullopt;
    return *twice;
}

// ---------------------------------------------------------------------------------------------- values

Json::Json() noexcept = default;
Json::Json(std::nullptr_t) noexcept {}
Json::Json(double value) : value_(value) {
    if (!std::isfinite(value)) {
        throw ArgumentError("Json: got " + std::string(std::isnan(value) ? "NaN" : "an infinity") +
                            ", which JSON cannot hold; write a string or null instead");
    }
}
Json::Json(std::string value) : value_(checked_text(std::move(value))) {}
Json::Json(std::string_view value) : Json(std::string(value)) {}
Json::Json(const char* value) : Json(std::string(value)) {}
Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

void Json::refuse_integer(std::uint64_t value) {
    throw ArgumentError("Json: got the integer " + std::to_string(value) +
                        ", expected at most 9223372036854775807; write it as a string instead");
}

void Json::contain(const Json& child) {
    if (child.depth_ >= max_depth) {
        throw ArgumentError("Json: arrays and objects are nested deeper than " + std::to_string(max_depth) +
                            "; flatten the value");
    }
    depth_ = std::max(depth_, child.depth_ + 1);
}

Json Json::array() { return array(Array{}); }
Json Json::object() { return object(Object{}); }

Json Json::array(Array values) {
    Json out;
    out.depth_ = 1;
    for (const auto& value : values) out.contain(value);
    out.value_ = std::move(values);
    return out;
}

Json Json::object(Object members) {
    Json out;
    out.depth_ = 1;
    for (const auto& member : members) {
        if (!is_valid_utf8(member.key)) {
            throw ArgumentError("Json: got the key \"" + printable(member.key) +
                                "\", which is not valid UTF-8; encode it as UTF-8 first");
        }
        out.contain(member.value);
    }
    if (const auto twice = duplicate_member(members)) {
        throw ArgumentError("Json: got the key \"" + printable(*twice) +
                            "\" twice; an object holds a key once");
    }
    out.value_ = std::move(members);
    return out;
}

Json& Json::push(Json value) {
    auto* values = std::get_if<Array>(&value_);
    if (values == nullptr) {
        throw ArgumentError("Json: push needs an array, this is " + description() +
                            "; start with Json::array()");
    }
    contain(value);
    values->push_back(std::move(value));
    return *this;
}

Json& Json::set(std::string key, Json value) {
    auto* members = std::get_if<Object>(&value_);
    if (members == nullptr) {
        throw ArgumentError("Json: set needs an object, this is " + description() +
                            "; start with Json::object()");
    }
    if (find(key) != nullptr) {
        throw ArgumentError("Json: got the key \"" + printable(key) + "\" twice; an object holds a key once");
    }
    contain(value);
    members->push_back({checked_text(std::move(key)), std::move(value)});
    return *this;
}

std::string Json::description() const {
    switch (kind()) {
        case JsonKind::null: return "null";
        case JsonKind::boolean: return std::get<bool>(value_) ? "true" : "false";
        case JsonKind::integer: return "the integer " + std::to_string(std::get<std::int64_t>(value_));
        case JsonKind::real: return "the number " + text();
        case JsonKind::string: return "the string \"" + printable(std::get<std::string>(value_)) + "\"";
        case JsonKind::array: return "an array of " + std::to_string(std::get<Array>(value_).size());
        case JsonKind::object: break;
    }
    return "an object with " + std::to_string(std::get<Object>(value_).size()) + " keys";
}

void Json::mismatch(std::string_view what, std::string_view expected) const {
    throw FileFormatError("\"" + printable(what) + "\": found " + description() + ", expected " +
                          std::string(expected) + "; the file is damaged or written by another version");
}

bool Json::as_bool(std::string_view what) const {
    const auto* value = std::get_if<bool>(&value_);
    if (value == nullptr) mismatch(what, "true or false");
    return *value;
}

std::int64_t Json::as_int(std::string_view what) const {
    const auto* value = std::get_if<std::int64_t>(&value_);
    if (value == nullptr) mismatch(what, "an integer");
    return *value;
}

double Json::as_double(std::string_view what) const {
    if (const auto* value = std::get_if<double>(&value_)) return *value;
    const auto* integer = std::get_if<std::int64_t>(&value_);
    constexpr std::int64_t exact = std::int64_t{1} << 53;  // above it a double would change the value
    if (integer == nullptr || *integer > exact || *integer < -exact)
        mismatch(what, "a number a double can hold");
    return static_cast<double>(*integer);
}

const std::string& Json::as_string(std::string_view what) const& {
    const auto* value = std::get_if<std::string>(&value_);
    if (value == nullptr) mismatch(what, "a string");
    return *value;
}

const Json::Array& Json::as_array(std::string_view what) const& {
    const auto* value = std::get_if<Array>(&value_);
    if (value == nullptr) mismatch(what, "an array");
    return *value;
}

const Json::Object& Json::as_object(std::string_view what) const& {
    const auto* value = std::get_if<Object>(&value_);
    if (value == nullptr) mismatch(what, "an object");
    return *value;
}

const Json* Json::find(std::string_view key) const& {
    const auto* members = std::get_if<Object>(&value_);
    if (members == nullptr) {
        throw FileFormatError("\"" + printable(key) + "\": looked for in " + description() +
                              ", expected an object; the file is damaged or written by another version");
    }
    for (const auto& member : *members) {
        if (member.key == key) return &member.value;
    }
    return nullptr;
}

const Json& Json::at(std::string_view key) const& {
    const Json* value = find(key);
    if (value != nullptr) return *value;
    std::string keys;
    for (const auto& member : std::get<Object>(value_)) {
        if (keys.size() > 200) {
            keys += ", ...";
            break;
        }
        keys += (keys.empty() ? "\"" : ", \"") + printable(member.key) + "\"";
    }
    throw FileFormatError("\"" + printable(key) + "\": the key is missing, found " +
                          (keys.empty() ? "no keys" : keys) +
                          "; the file is damaged or written by another version");
}

bool Json::get_bool(std::string_view key) const { return at(key).as_bool(key); }

std::int64_t Json::get_int(std::string_view key, std::int64_t least, std::int64_t most) const {
    const Json& found = at(key);
    const std::int64_t value = found.as_int(key);
    if (value < least || value > most) {
        found.mismatch(key, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
}

double Json::get_double(std::string_view key) const { return at(key).as_double(key); }
const std::string& Json::get_string(std::string_view key) const& { return at(key).as_string(key); }
const Json::Array& Json::get_array(std::string_view key) const& { return at(key).as_array(key); }

const Json& Json::get_object(std::string_view key) const& {
    const Json& value = at(key);
    static_cast<void>(value.as_object(key));
    return value;
}

// --------------------------------------------------------------------------------------------- writing

std::string Json::text() const {
    std::string out;
    write(out);
    return out;
}

void Json::write(std::string& out) const {
    switch (kind()) {
        case JsonKind::null: out += "null"; break;
        case JsonKind::boolean: out += std::get<bool>(value_) ? "true" : "false"; break;
        case JsonKind::integer: out += std::to_string(std::get<std::int64_t>(value_)); break;
        case JsonKind::real: append_double(out, std::get<double>(value_)); break;
        case JsonKind::string: append_quoted(out, std::get<std::string>(value_)); break;
        case JsonKind::array: {
            char separator = '[';
            for (const auto& value : std::get<Array>(value_)) {
                out.push_back(std::exchange(separator, ','));
                value.write(out);
            }
            out += separator == '[' ? "[]" : "]";
            break;
        }
        case JsonKind::object: {
            char separator = '{';
            for (const auto& member : std::get<Object>(value_)) {
                out.push_back(std::exchange(separator, ','));
                append_quoted(out, member.key);
                out.push_back(':');
                member.value.write(out);
            }
            out += separator == '{' ? "{}" : "}";
            break;
        }
    }
}

// --------------------------------------------------------------------------------------------- reading

Json Json::parse(std::string_view text, std::string_view source, JsonLimits limits) {
    JsonReader reader(text, std::string(source), limits);
    Json value = reader.value();
    reader.finish();
    return value;
}

JsonReader::JsonReader(std::string_view text, std::string source, JsonLimits limits)
    : text_(text), source_(std::move(source)), limits_(limits) {
    if (limits_.depth > Json::max_depth) {
        throw ArgumentError("JsonReader: got a depth limit of " + std::to_string(limits_.depth) +
                            ", expected at most " + std::to_string(Json::max_depth));
    }
}

void JsonReader::fail(const std::string& message) const {
    std::string where;
    for (const Level& level : levels_) {
        if (where.size() > 300) {
            where += "...";
            break;
        }
        if (level.first) continue;
        where += level.is_object ? (where.empty() ? "\"" : ".\"") + printable(level.key) + "\""
                                 : "[" + std::to_string(level.index) + "]";
    }
    throw FileFormatError(source_ + ": byte " + std::to_string(at_) + " of the JSON text" +
                          (where.empty() ? "" : ", at " + where) + ": " + message +
                          "; the file is damaged or not what its name says");
}

std::string JsonReader::found() const {
    if (at_ >= text_.size()) return "found the end of the text";
    return "found '" + printable(text_.substr(at_, std::max<std::size_t>(utf8_length(text_, at_), 1))) + "'";
}

// The next byte that is no whitespace; 0, which no JSON text can hold outside of this role, at the end.
char JsonReader::peek() {
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c;
        ++at_;
    }
    return '\0';
}

char JsonReader::start_value() {
    if (++values_ > limits_.values) fail("found more than " + std::to_string(limits_.values) + " values");
    return peek();
}

void JsonReader::enter(bool object) {
    if (start_value() != (object ? '{' : '['))
        fail(found() + ", expected an " + (object ? "object" : "array"));
    if (levels_.size() >= limits_.depth) {
        fail("arrays and objects are nested deeper than " + std::to_string(limits_.depth));
    }
    ++at_;
    levels_.push_back({.is_object = object});
}

void JsonReader::enter_object() { enter(true); }
void JsonReader::enter_array() { enter(false); }

// True when another member or element follows; its separating comma is taken.
bool JsonReader::next(char closing) {
    Level& level = levels_.back();
    const char c = peek();
    if (c == closing) {
        ++at_;
        levels_.pop_back();
        return false;
    }
    if (level.first) return true;
    if (c != ',') fail(found() + ", expected ',' or '" + std::string(1, closing) + "'");
    ++at_;
    return true;
}

bool JsonReader::next_key(std::string& key) {
    if (!next('}')) return false;
    if (peek() != '"') fail(found() + ", expected a key in double quotes");
    std::string text = raw_string();
    if (peek() != ':') fail(found() + ", expected ':' after the key \"" + printable(text) + "\"");
    ++at_;
    Level& level = levels_.back();
    level.first = false;
    level.key = text;
    key = std::move(text);
    return true;
}

bool JsonReader::next_element() {
    if (!next(']')) return false;
    Level& level = levels_.back();
    if (!std::exchange(level.first, false)) ++level.index;
    return true;
}

std::string JsonReader::string() {
    if (start_value() != '"') fail(found() + ", expected a string");
    return raw_string();
}

std::int64_t JsonReader::integer() {
    const char c = start_value();
    if (c != '-' && !is_digit(c)) fail(found() + ", expected an integer");
    const std::size_t begin = at_;
    const Json value = number();
    if (value.kind() != JsonKind::integer) {
        const std::string token = printable(text_.substr(begin, at_ - begin));
        at_ = begin;
        fail("found the number " + token + ", expected an integer of at most 63 bits");
    }
    return value.as_int("");
}

Json JsonReader::value() {
    const char c = peek();
    if (c == '{') {
        Json::Object members;
        std::string key;
        enter_object();
        while (next_key(key)) {
            Json member = value();
            members.push_back({std::move(key), std::move(member)});
        }
        if (const auto twice = duplicate_member(members))
            fail("found the key \"" + printable(*twice) + "\" twice");
        return Json::object(std::move(members));
    }
    if (c == '[') {
        Json::Array values;
        enter_array();
        while (next_element()) values.push_back(value());
        return Json::array(std::move(values));
    }
    if (c == '"') return Json(string());
    static_cast<void>(start_value());
    if (c == '-' || is_digit(c)) return number();
    if (take_word("true")) return Json(true);
    if (take_word("false")) return Json(false);
    if (take_word("null")) return Json();
    fail(found() + ", expected a value");
}

void JsonReader::finish() {
    static_cast<void>(peek());
    if (at_ != text_.size()) fail(found() + " after the end of the value");
}

bool JsonReader::take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
}

Json JsonReader::number() {
    const std::size_t begin = at_;
    const auto is = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
    const auto digits = [&] {
        if (at_ >= text_.size() || !is_digit(text_[at_])) fail(found() + ", expected a digit");
        while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    };
    bool integral = true;
    if (is('-')) ++at_;
    if (is('0')) {
        ++at_;
    } else {
        digits();
    }
    if (is('.')) {
        integral = false;
        ++at_;
        digits();
    }
    if (is('e') || is('E')) {
        integral = false;
        ++at_;
        if (is('+') || is('-')) ++at_;
        digits();
    }
    const std::string_view token = text_.substr(begin, at_ - begin);
    if (integral) {
        std::int64_t value = 0;
        const auto result = std::from_chars(token.data(), token.data() + token.size(), value);
        if (result.ec == std::errc()) return Json(value);
    }
    const auto value = to_double(token);
    if (!value) {
        at_ = begin;
        fail("found the number " + printable(token) + ", which is outside of what a double can hold");
    }
    return Json(*value);
}

std::string JsonReader::raw_string() {
    std::string out;
    ++at_;
    while (true) {
        if (at_ >= text_.size()) fail("found the end of the text inside of a string");
        const char c = text_[at_];
        if (c == '"') break;
        if (c == '\\') {
            escape(out);
            continue;
        }
        const std::size_t length = utf8_length(text_, at_);
        if (length == 0) fail(found() + ", expected valid UTF-8");
        if (static_cast<unsigned char>(c) < 0x20) fail(found() + " in a string, expected it as an escape");
        out.append(text_, at_, length);
        at_ += length;
    }
    ++at_;
    return out;
}

void JsonReader::escape(std::string& out) {
    ++at_;
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meaning = "\"\\/\b\f\n\r\t";
    if (const auto i = letters.find(c); i != std::string_view::npos) {
        out.push_back(meaning[i]);
        ++at_;
        return;
    }
    if (c != 'u') fail(found() + " after a backslash, expected one of \" \\ / b f n r t u");
    ++at_;
    std::uint32_t code = hex4();
    if (code >= 0xDC00 && code <= 0xDFFF) fail("found the second half of a surrogate pair alone");
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (text_.substr(at_, 2) != "\\u") fail("found the first half of a surrogate pair alone");
        at_ += 2;
        const std::uint32_t second = hex4();
        if (second < 0xDC00 || second > 0xDFFF) fail("found the first half of a surrogate pair alone");
        code = 0x10000 + ((code - 0xD800) << 10U) + (second - 0xDC00);
    }
    append_utf8(out, code);
}

std::uint32_t JsonReader::hex4() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
        const char c = at_ < text_.size() ? text_[at_] : '\0';
        const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
        const auto digit = hex_digits.find(lower);
        if (digit == std::string_view::npos) fail(found() + ", expected four hexadecimal digits");
        code = code * 16U + static_cast<std::uint32_t>(digit);
    }
    return code;
}

}  // namespace retrograd::io
