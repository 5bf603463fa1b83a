// Causal attention over sequences packed end to end, forward and backward; see ``attention.py``.
//
// The softmax is that of FlashAttention (Dao et al. 2022; 2023, sec. 3.1): the forward pass keeps only the logarithm of
// each row's sum, and the backward pass forms the weights again. Tokens that may not be looked at are never computed,
// save for the rest of a tile. One unit of work is one sequence and one key head with the query heads that share it, so
// no two threads add into the same gradient, and results do not depend on how many threads there are.

#include <tuple>
#include <utility>

#include "simd.h"

using namespace sintonia;

namespace {

constexpr int BLOCK = 64;  // query rows whose weights are kept until keys' and values' gradients take them up

// The keys that a row, or the ROWS rows from t on, may look at: from lo (a multiple of COLUMNS) up to hi (likewise).
struct Span {
    int window;  // 0: unlimited
    int first(int t) const { return window ? std::max(0, t - window + 1) : 0; }
    int lo(int t) const { return first(t) / COLUMNS * COLUMNS; }
    int hi(int t) const { return rounded_up(t + ROWS, COLUMNS); }
    __mmask16 seen(int t, int key) const {  // of the 16 keys from ``key`` on, by row t
        int upto = std::clamp(t + 1 - key, 0, 16), from = std::clamp(first(t) - key, 0, 16);
        return static_cast<__mmask16>((0xFFFFu >> (16 - upto)) & ~((1u << from) - 1));
    }
};

struct Shape {
    int sequences;
    const int* bounds;  // where sequences begin, and the end of the last
    const int* order;   // sequences, the longest first: threads then end together
    int heads, key_heads, width;
    float scale;
    int window, longest, threads;
    int group() const { return heads / key_heads; }
    long tokens() const { return bounds[sequences]; }
};

struct Unit {
    int key_head, length, padded;
    long first;  // token
    Unit(const Shape& s, int unit) {
        const int sequence = s.order[unit / s.key_heads];
        key_head = unit % s.key_heads;
        first = s.bounds[sequence];
        length = s.bounds[sequence + 1] - s.bounds[sequence];
        padded = rounded_up(length, COLUMNS);
    }
};

// out[i][d] = (rows[2i][d], rows[2i + 1][d]) for ``padded`` rows, those from ``length`` on zero.
void interleave(const Heads& rows, long first, int head, int length, int padded, int width, pair* out) {
    const __m512i zero = _mm512_setzero_si512();
    for (int t = 0; t < padded; t += 2, out += width)
        for (int d = 0; d < width; d += 16) {
            auto row = [&](int at) {
                return at < length ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                                         reinterpret_cast<const __m256i*>(rows.at(first + at, head) + d)))
                                   : zero;
            };
            _mm512_storeu_si512(out + d, _mm512_or_si512(row(t), _mm512_slli_epi32(row(t + 1), 16)));
        }
}

// out[k][t] = pair k of row t of a unit's key head, those from its length on zero.
void transpose(const Heads& rows, const Unit& u, int width, pair* out) {
    for (int t = 0; t < u.padded; t++) {
        const bf16* row = t < u.length ? rows.at(u.first + t, u.key_head) : nullptr;
        for (int k = 0; k < width / 2; k++) {
            pair value = 0;
            if (row) std::memcpy(&value, row + 2 * k, sizeof value);
            out[static_cast<long>(k) * u.padded + t] = value;
        }
    }
}

// ROWS rows as pairs: where they lie, or a padded copy of the last ones.
const pair* tile_rows(const Heads& rows, const Unit& u, int head, int t, int width, bf16* spare, long* stride) {
    if (t + ROWS <= u.length && rows.token % 2 == 0) {
        *stride = rows.token / 2;
        return reinterpret_cast<const pair*>(rows.at(u.first + t, head));
    }
    for (int r = 0; r < ROWS; r++) {
        if (t + r < u.length)
            std::memcpy(spare + r * width, rows.at(u.first + t + r, head), width * sizeof(bf16));
        else
            std::memset(spare + r * width, 0, width * sizeof(bf16));
    }
    *stride = width / 2;
    return reinterpret_cast<const pair*>(spare);
}

// Room for one row tile of scores over all keys of the longest sequence, and for what is packed of one key head.
struct Scratch {
    long room;
    Buffer<pair> keys, values;      // pairs along the width, the tokens beside each other
    Buffer<float> scores, mixed;    // (ROWS, room), (ROWS, width)
    Buffer<bf16> weights, spare;    // (ROWS, room), (ROWS, width)
    Scratch(const Shape& s)
        : room(rounded_up(s.longest, BLOCK)),
          keys(buffer<pair>(room * s.width / 2)),
          values(buffer<pair>(room * s.width / 2)),
          scores(buffer<float>(ROWS * room)),
          mixed(buffer<float>(ROWS * s.width)),
          weights(buffer<bf16>(ROWS * room)),
          spare(buffer<bf16>(ROWS * s.width)) {}
};

// What the backward pass needs besides.
struct BackwardScratch : Scratch {
    Buffer<pair> key_rows, query_rows, grad_rows;   // interleaved
    Buffer<float> slopes;                           // (ROWS, room): gradients of the weights
    Buffer<bf16> spare_grad;
    Buffer<pair> weights_block, slopes_block;       // (BLOCK / 2, room): interleaved weights, gradients of the scores
    Buffer<float> key_sums, value_sums;             // (room, width)
    BackwardScratch(const Shape& s)
        : Scratch(s),
          key_rows(buffer<pair>(room * s.width / 2)),
          query_rows(buffer<pair>(BLOCK / 2 * s.width)),
          grad_rows(buffer<pair>(BLOCK / 2 * s.width)),
          slopes(buffer<float>(ROWS * room)),
          spare_grad(buffer<bf16>(ROWS * s.width)),
          weights_block(buffer<pair>(BLOCK / 2 * room)),
          slopes_block(buffer<pair>(BLOCK / 2 * room)),
          key_sums(buffer<float>(room * s.width)),
          value_sums(buffer<float>(room * s.width)) {}
};

// One row of scores to weights that are not yet divided by their sum; returns that sum and the logarithm of e^scores'.
std::pair<float, float> softmax(float* row, bf16* weights, const Span& span, int t, float scale) {
    const int lo = span.lo(t / ROWS * ROWS), hi = span.hi(t / ROWS * ROWS);
    __m512 most = _mm512_set1_ps(-INFINITY);
    for (int n = lo; n < hi; n += 16) {
        const __m512 x = _mm512_mask_mul_ps(_mm512_set1_ps(-INFINITY), span.seen(t, n), _mm512_loadu_ps(row + n),
                                            _mm512_set1_ps(scale));
        _mm512_storeu_ps(row + n, x);
        most = _mm512_max_ps(most, x);
    }
    const float peak = _mm512_reduce_max_ps(most);
    __m512 sum = _mm512_setzero_ps();
    for (int n = lo; n < hi; n += COLUMNS) {
        const __m512 left = exponential(_mm512_sub_ps(_mm512_loadu_ps(row + n), _mm512_set1_ps(peak)));
        const __m512 right = exponential(_mm512_sub_ps(_mm512_loadu_ps(row + n + 16), _mm512_set1_ps(peak)));
        sum = _mm512_add_ps(sum, _mm512_add_ps(left, right));
        _mm512_storeu_si512(weights + n, rounded(left, right));
    }
    const float total = _mm512_reduce_add_ps(sum);
    return {total, peak + std::log(total)};
}

// The weights p of two neighbouring rows again, and the gradients of their scores, p * (slope - row sum): interleaved,
// and for the queries' gradients the latter as rows too.
void slopes_of_two_rows(BackwardScratch& own, const Span& span, int t, int row, int length, float scale,
                        const float* log_sum, const float* row_sum, pair* weights_to, pair* slopes_to) {
    const int lo = span.lo(t), hi = span.hi(t);
    for (int n = lo; n < hi; n += COLUMNS) {
        __m512 p[2][2], g[2][2];
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++) {
                const long at = (row + i) * own.room + n + 16 * j;
                const bool real = t + row + i < length;
                const __mmask16 seen = real ? span.seen(t + row + i, n + 16 * j) : __mmask16(0);
                const __m512 x = _mm512_fmsub_ps(_mm512_loadu_ps(own.scores.get() + at), _mm512_set1_ps(scale),
                                                 _mm512_set1_ps(log_sum[i]));
                const __m512 slope = _mm512_sub_ps(_mm512_loadu_ps(own.slopes.get() + at), _mm512_set1_ps(row_sum[i]));
                p[i][j] = _mm512_maskz_mov_ps(seen, exponential(x));
                g[i][j] = _mm512_maskz_mul_ps(seen, p[i][j], slope);
            }
        for (int j = 0; j < 2; j++) {
            _mm512_storeu_si512(weights_to + n + 16 * j, interleaved(p[0][j], p[1][j]));
            _mm512_storeu_si512(slopes_to + n + 16 * j, interleaved(g[0][j], g[1][j]));
        }
        for (int i = 0; i < 2; i++)
            _mm512_storeu_si512(own.weights.get() + (row + i) * own.room + n, rounded(g[i][0], g[i][1]));
    }
}

// to[d] = from[d] * factor
void write_row(const float* from, float factor, int width, bf16* to) {
    const __m512 times = _mm512_set1_ps(factor);
    for (int d = 0; d < width; d += COLUMNS)
        _mm512_storeu_si512(to + d, rounded(_mm512_mul_ps(_mm512_loadu_ps(from + d), times),
                                            _mm512_mul_ps(_mm512_loadu_ps(from + d + 16), times)));
}

struct Tensors {
    const Heads *q, *k, *v, *output;
    float* log_sums;  // (heads, tokens): of each row, the logarithm of the sum of e^scores
    const Heads *grad, *grad_q, *grad_k, *grad_v;
};

// Output and log sums of ROWS rows of one head.
void rows_forward(Scratch& own, const Shape& s, const Tensors& x, const Unit& u, int head, int t) {
    const Span span{s.window};
    const int lo = span.lo(t), hi = span.hi(t), rows = std::min(ROWS, u.length - t), width = s.width;
    long stride;
    const pair* query = tile_rows(*x.q, u, head, t, width, own.spare.get(), &stride);
    for (int n = lo; n < hi; n += COLUMNS)
        tile<false>(query, stride, 1, own.keys.get() + n, u.padded, width / 2, own.scores.get() + n, own.room);
    float sums[ROWS];
    for (int r = 0; r < rows; r++)
        std::tie(sums[r], x.log_sums[head * s.tokens() + u.first + t + r]) =
            softmax(own.scores.get() + r * own.room, own.weights.get() + r * own.room, span, t + r, s.scale);
    const pair* weights = reinterpret_cast<const pair*>(own.weights.get() + lo);
    for (int d = 0; d < width; d += COLUMNS)
        tile<false>(weights, own.room / 2, 1, own.values.get() + lo / 2 * width + d, width, (hi - lo) / 2,
                    own.mixed.get() + d, width);
    for (int r = 0; r < rows; r++)
        write_row(own.mixed.get() + r * width, 1 / sums[r], width, x.output->at(u.first + t + r, head));
}

// The queries' gradients of ROWS rows of one head; their weights and slopes go into those of the block.
void rows_backward(BackwardScratch& own, const Shape& s, const Tensors& x, const Unit& u, int head, int block, int t) {
    const Span span{s.window};
    const int lo = span.lo(t), hi = span.hi(t), rows = std::min(ROWS, u.length - t), width = s.width;
    long stride, grad_stride;
    const pair* query = tile_rows(*x.q, u, head, t, width, own.spare.get(), &stride);
    const pair* grad = tile_rows(*x.grad, u, head, t, width, own.spare_grad.get(), &grad_stride);
    for (int n = lo; n < hi; n += COLUMNS) {
        tile<false>(query, stride, 1, own.keys.get() + n, u.padded, width / 2, own.scores.get() + n, own.room);
        tile<false>(grad, grad_stride, 1, own.values.get() + n, u.padded, width / 2, own.slopes.get() + n, own.room);
    }
    float log_sum[ROWS] = {}, row_sum[ROWS] = {};
    for (int r = 0; r < rows; r++) {
        const long at = u.first + t + r;
        log_sum[r] = x.log_sums[head * s.tokens() + at];
        row_sum[r] = dot(x.output->at(at, head), x.grad->at(at, head), width);
    }
    for (int r = 0; r < ROWS; r += 2) {
        const long to = (t - block + r) / 2 * own.room;
        slopes_of_two_rows(own, span, t, r, u.length, s.scale, log_sum + r, row_sum + r, own.weights_block.get() + to,
                           own.slopes_block.get() + to);
    }
    const pair* slopes = reinterpret_cast<const pair*>(own.weights.get() + lo);
    for (int d = 0; d < width; d += COLUMNS)
        tile<false>(slopes, own.room / 2, 1, own.key_rows.get() + lo / 2 * width + d, width, (hi - lo) / 2,
                    own.mixed.get() + d, width);
    for (int r = 0; r < rows; r++)
        write_row(own.mixed.get() + r * width, s.scale, width, x.grad_q->at(u.first + t + r, head));
}

// What the ``rows`` query rows of a block add to the gradients of keys and values.
void block_backward(BackwardScratch& own, const Span& span, int width, int block, int rows) {
    for (int n = span.lo(block); n < span.hi(block + rows - ROWS); n += ROWS) {
        int from = 0, to = rows;  // those that were computed for these keys
        while (from < to && span.hi(block + from) <= n) from += ROWS;
        while (to > from && span.lo(block + to - ROWS) > n) to -= ROWS;
        const long weights = from / 2 * own.room + n, wide = from / 2 * width;
        for (int d = 0; d < width; d += COLUMNS) {
            tile<true>(own.weights_block.get() + weights, 1, own.room, own.grad_rows.get() + wide + d, width,
                       (to - from) / 2, own.value_sums.get() + n * width + d, width);
            tile<true>(own.slopes_block.get() + weights, 1, own.room, own.query_rows.get() + wide + d, width,
                       (to - from) / 2, own.key_sums.get() + n * width + d, width);
        }
    }
}

}  // namespace

extern "C" {

void attention_forward(const Shape* shape, const Tensors* tensors) {
    const Shape& s = *shape;
    const Tensors& x = *tensors;
#pragma omp parallel num_threads(s.threads)
    {
        Scratch own(s);
#pragma omp for schedule(dynamic, 1)
        for (int unit = 0; unit < s.sequences * s.key_heads; unit++) {
            const Unit u(s, unit);
            transpose(*x.k, u, s.width, own.keys.get());
            interleave(*x.v, u.first, u.key_head, u.length, u.padded, s.width, own.values.get());
            for (int head = u.key_head * s.group(); head < (u.key_head + 1) * s.group(); head++)
                for (int t = 0; t < u.length; t += ROWS) rows_forward(own, s, x, u, head, t);
        }
    }
}

void attention_backward(const Shape* shape, const Tensors* tensors) {
    const Shape& s = *shape;
    const Tensors& x = *tensors;
    const int width = s.width;
#pragma omp parallel num_threads(s.threads)
    {
        BackwardScratch own(s);
#pragma omp for schedule(dynamic, 1)
        for (int unit = 0; unit < s.sequences * s.key_heads; unit++) {
            const Unit u(s, unit);
            transpose(*x.k, u, width, own.keys.get());
            transpose(*x.v, u, width, own.values.get());
            interleave(*x.k, u.first, u.key_head, u.length, u.padded, width, own.key_rows.get());
            std::memset(own.key_sums.get(), 0, sizeof(float) * u.padded * width);
            std::memset(own.value_sums.get(), 0, sizeof(float) * u.padded * width);
            for (int head = u.key_head * s.group(); head < (u.key_head + 1) * s.group(); head++)
                for (int block = 0; block < u.length; block += BLOCK) {
                    const int rows = std::min(BLOCK, rounded_up(u.length - block, ROWS));
                    interleave(*x.q, u.first + block, head, u.length - block, rows, width, own.query_rows.get());
                    interleave(*x.grad, u.first + block, head, u.length - block, rows, width, own.grad_rows.get());
                    for (int t = block; t < block + rows; t += ROWS) rows_backward(own, s, x, u, head, block, t);
                    block_backward(own, Span{s.window}, width, block, rows);
                }
            for (int t = 0; t < u.length; t++) {
                write_row(own.key_sums.get() + t * width, s.scale, width, x.grad_k->at(u.first + t, u.key_head));
                write_row(own.value_sums.get() + t * width, 1, width, x.grad_v->at(u.first + t, u.key_head));
            }
        }
    }
}

}  // extern "C"
