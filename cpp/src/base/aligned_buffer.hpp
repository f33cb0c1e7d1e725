// Memory for numbers: aligned to a cache line, zero-filled, of a size that never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace retrograd {

// Owns n elements at an address that stays the same for its whole life, so views of it stay valid.
template <class T>
class AlignedBuffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    static constexpr std::size_t alignment = 64;

    AlignedBuffer() = default;

    explicit AlignedBuffer(std::int64_t n) {
        constexpr auto most =
            std::numeric_limits<std::ptrdiff_t>::max() / static_cast<std::ptrdiff_t>(sizeof(T));
        if (n < 0 || n > most) throw std::bad_alloc();
        if (n == 0) return;
        const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
        data_ = static_cast<T*>(::operator new(bytes, std::align_val_t(alignment)));
        size_ = n;
        std::memset(static_cast<void*>(data_), 0, bytes);
    }

    AlignedBuffer(AlignedBuffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

    AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
        AlignedBuffer(std::move(other)).swap(*this);
        return *this;
    }

    AlignedBuffer(const AlignedBuffer&) = delete;
    AlignedBuffer& operator=(const AlignedBuffer&) = delete;

    ~AlignedBuffer() { ::operator delete(data_, std::align_val_t(alignment)); }

    void swap(AlignedBuffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    [[nodiscard]] T* data() { return data_; }
    [[nodiscard]] const T* data() const { return data_; }
    [[nodiscard]] std::int64_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }

    [[nodiscard]] std::span<T> span() { return {data_, static_cast<std::size_t>(size_)}; }
    [[nodiscard]] std::span<const T> span() const { return {data_, static_cast<std::size_t>(size_)}; }

    [[nodiscard]] T& operator[](std::int64_t i) { return data_[i]; }
    [[nodiscard]] const T& operator[](std::int64_t i) const { return data_[i]; }

    [[nodiscard]] T* begin() { return data_; }
    [[nodiscard]] T* end() { return data_ + size_; }
    [[nodiscard]] const T* begin() const { return data_; }
    [[nodiscard]] const T* end() const { return data_ + size_; }

  private:
    T* data_ = nullptr;
    std::int64_t size_ = 0;
};

}  // namespace retrograd
