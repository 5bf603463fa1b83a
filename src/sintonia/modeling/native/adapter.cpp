// The narrow products of a low-rank adapter, each in one pass over the wide matrix it reads or adds to; see
// ``adapter.py``. T tokens, C columns of the wide matrix, R of the narrow one, the adapter's rank.
//
// Such products do little arithmetic on each number, so what counts is how often the wide matrix comes from memory.

#include "simd.h"

using namespace sintonia;

namespace {

constexpr int TALL = 16;    // rows of a tile that is one vector wide
constexpr int BLOCK = 128;  // tokens whose pairs are interleaved at a time

// The narrow dimension in memory: one vector, or as many tiles as it takes.
int room_for(int rank) { return rank <= 16 ? 16 : rounded_up(rank, COLUMNS); }

// float32 of shape (rank, columns), in any order.
struct Factor {
    const float* data;
    long rank, column;  // elements from one to the next
};

// out[k / 2][l] = (at(l, k), at(l, k + 1)) in bfloat16 for ``lanes`` l and ``steps`` k, zero from ``real`` lanes and
// ``real_steps`` on, where at(l, k) = data[l * lane + k * step].
void pack(const float* data, long lane, long step, int lanes, int real, int steps, int real_steps, pair* out) {
    const __m512i index = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                             _mm512_set1_epi32(static_cast<int>(lane)));
#pragma omp for
    for (int k = 0; k < steps; k += 2)
        for (int l = 0; l < lanes; l += 16) {
            const __mmask16 mask = static_cast<__mmask16>(l >= real ? 0 : 0xFFFFu >> std::max(0, 16 - (real - l)));
            auto values = [&](int at) {
                const float* from = data + l * lane + at * step;
                const __mmask16 here = at < real_steps ? mask : __mmask16(0);
                return lane == 1 ? _mm512_maskz_loadu_ps(here, from)
                                 : _mm512_mask_i32gather_ps(_mm512_setzero_ps(), here, index, from, 4);
            };
            _mm512_storeu_si512(out + k / 2 * lanes + l, interleaved(values(k), values(k + 1)));
        }
}

template <int rows, int vectors>
void down_rows(const pair* x, long x_row, const pair* packed, int room, int pairs, float factor, bf16* narrow) {
    for (int r = 0; r < room; r += 16 * vectors) {
        alignas(64) float sums[rows][16 * vectors];
        tile_of<rows, vectors, false>(x, x_row, 1, packed + r, room, pairs, sums[0], 16 * vectors);
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vectors; v++) {
                const __m512 scaled = _mm512_mul_ps(_mm512_load_ps(sums[i] + 16 * v), _mm512_set1_ps(factor));
                store_narrow(narrow + i * room + r + 16 * v, scaled);
            }
    }
}

template <int rows>
void up_rows(const pair* narrow, int room, const pair* packed, int columns, bf16* y) {
    for (int c = 0; c < columns; c += COLUMNS) {
        alignas(64) float sums[rows][COLUMNS];
        tile_of<rows, 2, false>(narrow, room / 2, 1, packed + c, columns, room / 2, sums[0], COLUMNS);
        for (int i = 0; i < rows; i++) {
            bf16* at = y + static_cast<long>(i) * columns + c;
            _mm512_storeu_si512(at, rounded(_mm512_add_ps(load(at), _mm512_load_ps(sums[i])),
                                            _mm512_add_ps(load(at + 16), _mm512_load_ps(sums[i] + 16))));
        }
    }
}

}  // namespace

extern "C" {

int adapter_room(int rank) { return room_for(rank); }

// narrow (T, room) = factor * x (T, C) times the transpose of (rank, C); zero beyond the rank.
void adapter_down(const bf16* x, int tokens, int columns, const Factor* matrix, int rank, float factor, bf16* narrow,
                  int threads) {
    const int room = room_for(rank), pairs = columns / 2;
    auto packed = buffer<pair>(static_cast<long>(pairs) * room);
    const int tall = room == 16 ? TALL : ROWS, tiles = tokens / tall;
#pragma omp parallel num_threads(threads)
    {
        pack(matrix->data, matrix->rank, matrix->column, room, rank, columns, columns, packed.get());
#pragma omp for
        for (int i = 0; i < tiles + tokens % tall; i++) {
            const long t = i < tiles ? static_cast<long>(i) * tall : tiles * tall + (i - tiles);
            const pair* rows = reinterpret_cast<const pair*>(x + t * columns);
            bf16* to = narrow + t * room;
            if (room == 16 && i < tiles)
                down_rows<TALL, 1>(rows, pairs, packed.get(), room, pairs, factor, to);
            else if (room == 16)
                down_rows<1, 1>(rows, pairs, packed.get(), room, pairs, factor, to);
            else if (i < tiles)
                down_rows<ROWS, 2>(rows, pairs, packed.get(), room, pairs, factor, to);
            else
                down_rows<1, 2>(rows, pairs, packed.get(), room, pairs, factor, to);
        }
    }
}

// y (T, C) += narrow (T, room) times (rank, C)
void adapter_up(bf16* y, int tokens, int columns, const Factor* matrix, int rank, const bf16* narrow, int threads) {
    const int room = room_for(rank), tiles = tokens / ROWS;
    auto packed = buffer<pair>(static_cast<long>(room) / 2 * columns);
    const pair* pairs = reinterpret_cast<const pair*>(narrow);
#pragma omp parallel num_threads(threads)
    {
        pack(matrix->data, matrix->column, matrix->rank, columns, columns, room, rank, packed.get());
#pragma omp for
        for (int i = 0; i < tiles + tokens % ROWS; i++) {
            const long t = i < tiles ? static_cast<long>(i) * ROWS : tiles * ROWS + (i - tiles);
            if (i < tiles)
                up_rows<ROWS>(pairs + t * room / 2, room, packed.get(), columns, y + t * columns);
            else
                up_rows<1>(pairs + t * room / 2, room, packed.get(), columns, y + t * columns);
        }
    }
}

// gradient (rank, C) = transpose of narrow (T, room) times x (T, C). Threads share the columns, so each sum is one
// thread's, in the order of the tokens.
void adapter_outer(const bf16* narrow, const bf16* x, int tokens, int columns, int rank, float* gradient,
                   long gradient_rank, long gradient_column, int threads) {
    const int room = room_for(rank), strips = columns / COLUMNS;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int part = 0; part < threads; part++) {
        const int from = strips * part / threads * COLUMNS, to = strips * (part + 1) / threads * COLUMNS, width = to - from;
        if (!width) continue;
        auto sums = buffer<float>(static_cast<long>(room) * width);
        auto wide = buffer<pair>(static_cast<long>(BLOCK) / 2 * width), slim = buffer<pair>(BLOCK / 2 * room);
        for (int t = 0; t < tokens; t += BLOCK) {
            const int length = std::min(BLOCK, tokens - t), pairs = (length + 1) / 2;
            for (int k = 0; k < pairs; k++) {
                const bool even = 2 * k + 1 == length;  // the last token has no neighbour
                const bf16 *row = x + static_cast<long>(t + 2 * k) * columns + from, *next = row + (even ? 0 : columns);
                for (int c = 0; c < width; c += 16)
                    _mm512_storeu_si512(wide.get() + static_cast<long>(k) * width + c,
                                        interleaved_rows(row + c, next + c, even));
                const bf16 *thin = narrow + static_cast<long>(t + 2 * k) * room, *after = thin + (even ? 0 : room);
                for (int r = 0; r < room; r += 16)
                    _mm512_storeu_si512(slim.get() + k * room + r, interleaved_rows(thin + r, after + r, even));
            }
            for (int c = 0; c < width; c += COLUMNS)
                for (int r = 0; r < room; r += ROWS)
                    tile<true>(slim.get() + r, 1, room, wide.get() + c, width, pairs,
                               sums.get() + static_cast<long>(r) * width + c, width);
        }
        for (int r = 0; r < rank; r++)
            for (int c = 0; c < width; c++)
                gradient[r * gradient_rank + (from + c) * gradient_column] = sums[static_cast<long>(r) * width + c];
    }
}

}  // extern "C"
