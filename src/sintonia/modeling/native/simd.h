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

inline int rounded_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// c[ROWS][COLUMNS] (+)= sum over pairs k of a[row, k] * b[k, column]; row strides in elements.
template <bool accumulate>
inline void tile(const pair* a, long a_row, long a_k, const pair* b, long b_k, int pairs, float* c, long c_row) {
    __m512 sum[ROWS][2];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
        sum[r][0] = accumulate ? _mm512_loadu_ps(c + r * c_row) : _mm512_setzero_ps();
        sum[r][1] = accumulate ? _mm512_loadu_ps(c + r * c_row + 16) : _mm512_setzero_ps();
    }
    for (int k = 0; k < pairs; k++) {
        __m512bh left = (__m512bh)_mm512_loadu_si512(b + k * b_k);
        __m512bh right = (__m512bh)_mm512_loadu_si512(b + k * b_k + 16);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            __m512bh value = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r * a_row + k * a_k]));
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], value, left);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], value, right);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
        _mm512_storeu_ps(c + r * c_row, sum[r][0]);
        _mm512_storeu_ps(c + r * c_row + 16, sum[r][1]);
    }
}

// e^x for x <= 0, to a relative 2e-7; 0 for x = -inf. 2^(n + f), with the Taylor series of 2^f for |f| <= 1/2.
inline __m512 exponential(__m512 x) {
    x = _mm512_max_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _mm512_set1_ps(-150.0f));
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

// Lanes (even, odd) of two rows: what a sum over tokens runs on.
inline __m512i interleaved(__m512 even, __m512 odd) {
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

inline float dot(const bf16* a, const bf16* b, int width) {
    __m512 sum = _mm512_setzero_ps();
    for (int d = 0; d < width; d += 16) sum = _mm512_fmadd_ps(load(a + d), load(b + d), sum);
    return _mm512_reduce_add_ps(sum);
}

}  // namespace sintonia
