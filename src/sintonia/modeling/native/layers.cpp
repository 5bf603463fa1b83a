// What a decoder layer does besides matrix products, each in one pass over what it reads; see ``layers.py``.
// Arithmetic is in float32, and each result is rounded to bfloat16 once. T tokens, C columns.

#include "simd.h"

using namespace sintonia;

namespace {

void store(bf16* at, __m512 low, __m512 high) { _mm512_storeu_si512(at, rounded(low, high)); }

__m512 sigmoid(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_div_ps(one, _mm512_add_ps(one, exponential(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

}  // namespace

extern "C" {

// y = weight * x / sqrt(mean(x^2) + epsilon); inverses (T): what each row was multiplied by.
void rms_norm_forward(const bf16* x, const bf16* weight, int tokens, int columns, float epsilon, bf16* y,
                      float* inverses, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int t = 0; t < tokens; t++) {
        const bf16* row = x + static_cast<long>(t) * columns;
        bf16* to = y + static_cast<long>(t) * columns;
        const float inverse = inverses[t] = 1 / std::sqrt(dot(row, row, columns) / static_cast<float>(columns) + epsilon);
        const __m512 factor = _mm512_set1_ps(inverse);
        for (int c = 0; c < columns; c += COLUMNS)
            store(to + c, _mm512_mul_ps(_mm512_mul_ps(load(row + c), factor), load(weight + c)),
                  _mm512_mul_ps(_mm512_mul_ps(load(row + c + 16), factor), load(weight + c + 16)));
    }
}

void rms_norm_backward(const bf16* grad, const bf16* x, const bf16* weight, const float* inverses, int tokens,
                       int columns, bf16* grad_x, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int t = 0; t < tokens; t++) {
        const bf16 *slope = grad + static_cast<long>(t) * columns, *row = x + static_cast<long>(t) * columns;
        bf16* to = grad_x + static_cast<long>(t) * columns;
        __m512 sum = _mm512_setzero_ps();
        for (int c = 0; c < columns; c += 16)
            sum = _mm512_fmadd_ps(_mm512_mul_ps(load(slope + c), load(weight + c)), load(row + c), sum);
        const float inverse = inverses[t];
        const __m512 factor = _mm512_set1_ps(inverse);
        const __m512 share = _mm512_set1_ps(inverse * inverse * _mm512_reduce_add_ps(sum) / static_cast<float>(columns));
        auto at = [&](int c) {
            const __m512 direct = _mm512_mul_ps(load(slope + c), load(weight + c));
            return _mm512_mul_ps(factor, _mm512_fnmadd_ps(share, load(row + c), direct));
        };
        for (int c = 0; c < columns; c += COLUMNS) store(to + c, at(c), at(c + 16));
    }
}

// y = silu(gate) * up, of ``count`` numbers
void gated_forward(const bf16* gate, const bf16* up, long count, bf16* y, int threads) {
#pragma omp parallel for num_threads(threads)
    for (long i = 0; i < count; i += COLUMNS) {
        auto at = [&](long j) {
            const __m512 x = load(gate + j);
            return _mm512_mul_ps(_mm512_mul_ps(x, sigmoid(x)), load(up + j));
        };
        store(y + i, at(i), at(i + 16));
    }
}

void gated_backward(const bf16* grad, const bf16* gate, const bf16* up, long count, bf16* grad_gate, bf16* grad_up,
                    int threads) {
#pragma omp parallel for num_threads(threads)
    for (long i = 0; i < count; i += COLUMNS) {
        __m512 of_gate[2], of_up[2];
        for (int j = 0; j < 2; j++) {
            const __m512 slope = load(grad + i + 16 * j), x = load(gate + i + 16 * j), s = sigmoid(x);
            const __m512 silu = _mm512_mul_ps(x, s);
            of_up[j] = _mm512_mul_ps(slope, silu);
            // silu' = s + silu * (1 - s)
            const __m512 steep = _mm512_add_ps(s, _mm512_fnmadd_ps(silu, s, silu));
            of_gate[j] = _mm512_mul_ps(_mm512_mul_ps(slope, load(up + i + 16 * j)), steep);
        }
        store(grad_gate + i, of_gate[0], of_gate[1]);
        store(grad_up + i, of_up[0], of_up[1]);
    }
}

// Rotary positions: y = x * cosine + (-second half of x, first half of x) * sine for each head, or, if ``back``, the
// gradient of x for one of y. cosine, sine (T, width).
void rotate(const Heads* x, const bf16* cosine, const bf16* sine, int tokens, int heads, int width, int back,
            const Heads* y, int threads) {
    const int half = width / 2;
#pragma omp parallel for num_threads(threads)
    for (int t = 0; t < tokens; t++) {
        const bf16 *cosines = cosine + static_cast<long>(t) * width, *sines = sine + static_cast<long>(t) * width;
        for (int head = 0; head < heads; head++) {
            const bf16* row = x->at(t, head);
            bf16* to = y->at(t, head);
            for (int d = 0; d < half; d += 16) {
                const __m512 first = load(row + d), second = load(row + d + half);
                const __m512 sine_first = load(sines + d), sine_second = load(sines + d + half);
                const __m512 left = _mm512_mul_ps(first, load(cosines + d));
                const __m512 right = _mm512_mul_ps(second, load(cosines + d + half));
                store_narrow(to + d, back ? _mm512_fmadd_ps(second, sine_second, left)
                                          : _mm512_fnmadd_ps(second, sine_first, left));
                store_narrow(to + d + half, back ? _mm512_fnmadd_ps(first, sine_first, right)
                                                 : _mm512_fmadd_ps(first, sine_second, right));
            }
        }
    }
}

}  // extern "C"
