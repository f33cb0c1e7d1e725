// Raw little-endian numbers in files, as numpy.ndarray.tofile writes them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

template <class T>
std::vector<T> read_numbers(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    std::vector<T> numbers(std::filesystem::file_size(path) / sizeof(T));
    file.read(reinterpret_cast<char*>(numbers.data()),
              static_cast<std::streamsize>(numbers.size() * sizeof(T)));
    return numbers;
}

template <class T>
void write_numbers(const std::string& path, const std::vector<T>& numbers) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(numbers.data()),
               static_cast<std::streamsize>(numbers.size() * sizeof(T)));
    if (!file) throw std::runtime_error(path + ": cannot be written");
}
