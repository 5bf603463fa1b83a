// What the kernels are made of: vectors of AVX-512 BF16, and one tile of a matrix product.
//
// Products run on pairs of bfloat16: a 32-bit lane holds two neighbours along the summed dimension, and dpbf16 adds both
// products in float32. Rows as they lie in memory are paired along their width. "Interleaved" rows, where lane d of
// pair i is (row 2i, row 2i + 1) at d, are paired along the rows.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace sintonia {

using bf16 = uint16_t;
using pair = uint32_t;

constexpr int ROWS = 8;      // of a tile: with two vectors of columns, 16 sums live in registers
constexpr int COLUMNS = 32;  // of a tile

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

template <typename T>
using Buffer = std::unique_ptr<T[], Free>;

// Zeros.
template <typename T>
Buffer<T> buffer(size_t count) {
    const size_t bytes = (count * sizeof(T) + 64) / 64 * 64;
    void* memory = std::aligned_alloc(64, bytes);
    if (!memory) std::abort();
    std::memset(memory, 0, bytes);
    return Buffer<T>(static_cast<T*>(memory));
}

// bfloat16 of shape (tokens, heads, width), whose width lies together.
struct Heads {
    bf16* data;
    long token, head;  // elements from one to the next
    bf16* at(long t, long h) const { return data + t * token + h * head; }
};

inline int rounded_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// c[rows][16 * vectors] (+)= sum over pairs k of a[row, k] * b[k, column]; strides in elements.
template <int rows, int vectors, bool accumulate>
inline void tile_of(const pair* a, long a_row, long a_k, const pair* b, long b_k, int pairs, float* c, long c_row) {
    __m512 sum[rows][vectors];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = accumulate ? _mm512_loadu_ps(c + r * c_row + 16 * v) : _mm512_setzero_ps();
    for (int k = 0; k < pairs; k++) {
        __m512bh right[vectors];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) right[v] = (__m512bh)_mm512_loadu_si512(b + k * b_k + 16 * v);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const __m512bh left = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r * a_row + k * a_k]));
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], left, right[v]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) _mm512_storeu_ps(c + r * c_row + 16 * v, sum[r][v]);
}

template <bool accumulate>
inline void tile(const pair* a, long a_row, long a_k, const pair* b, long b_k, int pairs, float* c, long c_row) {
    tile_of<ROWS, COLUMNS / 16, accumulate>(a, a_row, a_k, b, b_k, pairs, c, c_row);
}

// e^x to a relative 2e-7 near 0 (the error grows as |x|, as that of x / ln 2 does); 0 for -inf, NaN for NaN. It is
// 2^(n + f), with the Taylor series of 2^f for |f| <= 1/2.
inline __m512 exponential(__m512 x) {
    // In this order: of a NaN and a number, the second is the maximum.
    x = _mm512_max_ps(_mm512_set1_ps(-150.0f), _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)));
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 f = _mm512_sub_ps(x, n);
    __m512 y = _mm512_set1_ps(1.54035304e-4f);
    for (float c : {1.33335581e-3f, 9.61812911e-3f, 5.55041087e-2f, 2.40226507e-1f, 6.93147181e-1f, 1.0f})
        y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(c));
    return _mm512_scalef_ps(y, n);
}

inline __m512 widened(__m256i values) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16)); }

inline __m512 load(const bf16* at) { return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))); }

inline __m512i rounded(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

inline float value_of(bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline bf16 bf16_of(float x) {
    return static_cast<bf16>(_mm_extract_epi16((__m128i)_mm_cvtneps_pbh(_mm_set1_ps(x)), 0));
}

// Lanes (even, odd) of two rows: what a sum over tokens runs on.
inline __m512i interleaved(__m512 even, __m512 odd) {
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// The same of rows in memory; of ``row`` alone where that is the last.
inline __m512i interleaved_rows(const bf16* row, const bf16* next, bool last) {
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(next)));
    return last ? low : _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

inline void store_narrow(bf16* at, __m512 values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), (__m256i)_mm512_cvtneps_pbh(values));
}

inline float dot(const bf16* a, const bf16* b, int width) {
    __m512 sum = _mm512_setzero_ps();
    for (int d = 0; d < width; d += 16) sum = _mm512_fmadd_ps(load(a + d), load(b + d), sum);
    return _mm512_reduce_add_ps(sum);
}

}  // namespace sintonia
