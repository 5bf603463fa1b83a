// Cross-entropy of rows of logits, with its gradient; see ``loss.py``. A row stays in the caches while it is gone over
// three times: for its maximum, for the sum, and for the gradient.

#include "simd.h"

using namespace sintonia;

extern "C" {

// scores (C, V); losses (C) in nats; correct (C): whether the target is the first of the likeliest; slopes (C, V), if
// there are any: softmax - one_hot. V is a multiple of COLUMNS.
void row_losses(const bf16* scores, const int64_t* targets, int rows, int vocabulary, float* losses, bool* correct,
                bf16* slopes, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < rows; i++) {
        const bf16* row = scores + static_cast<long>(i) * vocabulary;
        __m512 most[2] = {load(row), load(row + 16)};
        for (int v = COLUMNS; v < vocabulary; v += COLUMNS)
            for (int j = 0; j < 2; j++) most[j] = _mm512_max_ps(most[j], load(row + v + 16 * j));
        const float peak = _mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1]));
        __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        for (int v = 0; v < vocabulary; v += COLUMNS)
            for (int j = 0; j < 2; j++)
                sums[j] = _mm512_add_ps(
                    sums[j], exponential(_mm512_sub_ps(load(row + v + 16 * j), _mm512_set1_ps(peak))));
        // Always relative to the peak: beside a large one, the rest of the digits would be lost.
        const float log_sum = std::log(_mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1])));
        const bf16* target = row + targets[i];
        losses[i] = log_sum + (peak - value_of(*target));
        correct[i] = std::find_if(row, target, [&](bf16 x) { return value_of(x) == peak; }) == target &&
                     value_of(*target) == peak;
        if (!slopes) continue;
        bf16* to = slopes + static_cast<long>(i) * vocabulary;
        for (int v = 0; v < vocabulary; v += COLUMNS) {
            auto at = [&](int w) {
                const __m512 below = _mm512_sub_ps(load(row + w), _mm512_set1_ps(peak));
                return exponential(_mm512_sub_ps(below, _mm512_set1_ps(log_sum)));
            };
            _mm512_storeu_si512(to + v, rounded(at(v), at(v + 16)));
        }
        to[targets[i]] = bf16_of(std::expm1(-losses[i]));
    }
}

}  // extern "C"
