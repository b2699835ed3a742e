// Fourth piece of the attention source (see attention.cu): many query rows, by mma.sync (compute capability 8.0 on).
// A block keeps 128 query rows in shared memory and walks tiles of keys, the next tile being copied while one is in
// use; each warp holds 32 rows (16 where a row's output would take too many registers), so that what it reads of a
// tile serves twice as many products.

#if TENSOR_CORES
namespace attention {

constexpr int MANY_WARPS = DIM <= 128 ? 4 : 8;
constexpr int MANY_ROWS = 128;
constexpr int MANY_PARTS = MANY_ROWS / MANY_WARPS / 16;  // 16-row parts of a warp
constexpr int MANY_KEYS = DIM <= 128 ? 64 : 32;
/// Elements of one stage: keys, then values.
constexpr int MANY_STAGE = 2 * MANY_KEYS * STRIDE;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

__device__ __forceinline__ void many_copy(u32 to, const Work &work, const Tiles &tiles, int index) {
    if (index < tiles.all) {
        Tile tile(work, tiles, index, MANY_KEYS);
        copy_rows<MANY_KEYS, MANY_WARPS * 32>(to, tile.keys, tile.count, threadIdx.x);
        copy_rows<MANY_KEYS, MANY_WARPS * 32>(to + MANY_KEYS * STRIDE * 2, tile.values, tile.count, threadIdx.x);
    }
    commit_copies();
}

/// Scores of the warp's rows and the tile's keys.
__device__ __forceinline__ void many_scores(float (&score)[MANY_PARTS][MANY_KEYS / 8][4], u32 query, u32 keys) {
    int lane = threadIdx.x % 32;
    u32 query_at = query + (lane % 16 * STRIDE + lane / 16 * 8) * 2;
    u32 keys_at = keys + ((lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8) * 2;
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
        u32 q[MANY_PARTS][4];
#pragma unroll
        for (int p = 0; p < MANY_PARTS; p++) load_matrix(q[p], query_at + (p * 16 * STRIDE + k * 16) * 2);
#pragma unroll
        for (int n = 0; n < MANY_KEYS / 16; n++) {
            u32 b[4];
            load_matrix(b, keys_at + (n * 16 * STRIDE + k * 16) * 2);
#pragma unroll
            for (int p = 0; p < MANY_PARTS; p++) {
                multiply(score[p][2 * n], q[p], b[0], b[1]);
                multiply(score[p][2 * n + 1], q[p], b[2], b[3]);
            }
        }
    }
}

/// Adds the tile's values, weighed.
__device__ __forceinline__ void many_values(Softmax (&softmax)[MANY_PARTS],
                                            const float (&weight)[MANY_PARTS][MANY_KEYS / 8][4], u32 values) {
    int lane = threadIdx.x % 32;
    u32 at = values + (lane % 16 * STRIDE + lane / 16 * 8) * 2;
#pragma unroll
    for (int k = 0; k < MANY_KEYS / 16; k++) {
        u32 w[MANY_PARTS][4];
#pragma unroll
        for (int p = 0; p < MANY_PARTS; p++) pack_weights(w[p], weight[p][2 * k], weight[p][2 * k + 1]);
#pragma unroll
        for (int n = 0; n < DIM / 16; n++) {
            u32 b[4];
            load_matrix_transposed(b, at + (k * 16 * STRIDE + n * 16) * 2);
#pragma unroll
            for (int p = 0; p < MANY_PARTS; p++) {
                multiply(softmax[p].out[2 * n], w[p], b[0], b[1]);
                multiply(softmax[p].out[2 * n + 1], w[p], b[2], b[3]);
            }
        }
    }
}

#endif

extern "C" __global__ void __launch_bounds__(MANY_WARPS * 32, DIM <= 128 ? 2 : 1)
    attend_many(const __grid_constant__ Attend a) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    extern __shared__ __align__(16) unsigned char shared_memory[];
    Work work;
    if (!find_work(a, MANY_ROWS, MANY_KEYS, work)) return;
    int lane = threadIdx.x % 32;
    int warp_row = threadIdx.x / 32 * (MANY_PARTS * 16);
    u32 memory = shared_address(shared_memory);
    u32 stages = memory + MANY_ROWS * STRIDE * 2;
    Tiles tiles(work, MANY_KEYS);

    copy_query<MANY_ROWS, MANY_WARPS * 32>(memory, a, work);
    many_copy(stages, work, tiles, 0);
    int limit[MANY_PARTS][2];
    Softmax softmax[MANY_PARTS];
#pragma unroll
    for (int p = 0; p < MANY_PARTS; p++) {
        for (int r = 0; r < 2; r++) limit[p][r] = work.limit(min(warp_row + p * 16 + lane / 4 + 8 * r, work.rows - 1));
        softmax[p].clear();
    }
    int least = work.limit(0);

    for (int index = 0; index < tiles.all; index++) {
        wait_copies<0>();
        __syncthreads();
        u32 stage = stages + index % 2 * (MANY_STAGE * 2);
        many_copy(stages + (index + 1) % 2 * (MANY_STAGE * 2), work, tiles, index + 1);
        Tile tile(work, tiles, index, MANY_KEYS);
        int end = tile.first + tile.count;
        bool masked = tile.count < MANY_KEYS || (tile.own && end > least);
        float scale = (tile.own ? a.scale_own : a.scale_shared) * LOG2_E;
        float score[MANY_PARTS][MANY_KEYS / 8][4] = {};
        many_scores(score, memory + warp_row * STRIDE * 2, stage);
#pragma unroll
        for (int p = 0; p < MANY_PARTS; p++) {
            if (masked) {
                int seen[2] = {tile.own ? min(limit[p][0], end) : end, tile.own ? min(limit[p][1], end) : end};
                mask(score[p], tile.first, seen);
            }
            softmax[p].weigh(score[p], scale);
        }
        many_values(softmax, score, stage + MANY_KEYS * STRIDE * 2);
    }
    wait_copies<0>();

#pragma unroll
    for (int p = 0; p < MANY_PARTS; p++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = warp_row + p * 16 + lane / 4 + 8 * r;
            float total = softmax[p].total(r);
            float inverse = total > 0.f ? 1.f / total : 0.f;
            if (row >= work.rows) continue;
            long long vector = work.vector(row, a.heads);
#pragma unroll
            for (int n = 0; n < DIM / 8; n++) {
                store_pair(a, work, vector, n * 8 + lane % 4 * 2, softmax[p].out[n][2 * r] * inverse,
                           softmax[p].out[n][2 * r + 1] * inverse);
            }
            if (lane % 4 == 0) store_lse(a, work, vector, row_lse(softmax[p].most[r], total));
        }
    }
#else
    asm volatile("trap;");
#endif
}

}  // namespace attention
#endif
