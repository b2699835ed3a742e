// Third piece of the attention source (see attention.cu): few query rows over many keys, as in decoding. Bound by
// reading the keys and values once: every warp of a block walks its own slices of 16 keys through its own ring of
// copies in flight, without a barrier between warps, and the four results are merged in shared memory at the end.

#if TENSOR_CORES
namespace attention {

constexpr int FEW_WARPS = 4;
constexpr int FEW_KEYS = 16;
constexpr int FEW_STAGES = DIM <= 128 ? 3 : 2;
/// Elements of one stage of one warp: keys, then values.
constexpr int FEW_STAGE = 2 * FEW_KEYS * STRIDE;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

/// Starts the copies of the warp's `turn`-th slice; always one group, so that waiting counts alike at the end.
__device__ __forceinline__ void few_copy(u32 ring, const Work &work, const Tiles &tiles, int warp, int turn) {
    int index = turn * FEW_WARPS + warp;
    if (index < tiles.all) {
        Tile tile(work, tiles, index, FEW_KEYS);
        u32 to = ring + turn % FEW_STAGES * (FEW_STAGE * 2);
        copy_rows<FEW_KEYS, 32>(to, tile.keys, tile.count, threadIdx.x % 32);
        copy_rows<FEW_KEYS, 32>(to + FEW_KEYS * STRIDE * 2, tile.values, tile.count, threadIdx.x % 32);
    }
    commit_copies();
}

/// Scores and values of the slice in shared memory at `keys`.
__device__ __forceinline__ void few_slice(u32 keys, const u32 (&query)[DIM / 16][4], const Tile &tile,
                                          const int (&limit)[2], float scale, bool masked, Softmax &softmax) {
    int lane = threadIdx.x % 32;
    float score[2][4] = {};
    u32 at = keys + ((lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8) * 2;
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
        u32 b[4];
        load_matrix(b, at + k * 32);
        multiply(score[0], query[k], b[0], b[1]);
        multiply(score[1], query[k], b[2], b[3]);
    }
    if (masked) mask(score, tile.first, limit);
    softmax.weigh(score, scale);
    u32 weights[4];
    pack_weights(weights, score[0], score[1]);
    at = keys + (FEW_KEYS * STRIDE + lane % 16 * STRIDE + lane / 16 * 8) * 2;
#pragma unroll
    for (int n = 0; n < DIM / 16; n++) {
        u32 b[4];
        load_matrix_transposed(b, at + n * 32);
        multiply(softmax.out[2 * n], weights, b[0], b[1]);
        multiply(softmax.out[2 * n + 1], weights, b[2], b[3]);
    }
}

/// Merges what the four warps found and writes it. Shared memory is the ring's, no longer in use.
__device__ __forceinline__ void few_merge(const Attend &a, const Work &work, const Softmax &softmax, float *memory) {
    constexpr int ROW = DIM + 4;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float *most = memory, *sum = memory + FEW_WARPS * 16, *out = memory + 2 * FEW_WARPS * 16;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int row = lane / 4 + 8 * r;
        float total = softmax.total(r);
        if (lane % 4 == 0) {
            most[warp * 16 + row] = softmax.most[r];
            sum[warp * 16 + row] = total;
        }
#pragma unroll
        for (int n = 0; n < DIM / 8; n++) {
            float *at = out + (warp * 16 + row) * ROW + n * 8 + lane % 4 * 2;
            *(float2 *)at = make_float2(softmax.out[n][2 * r], softmax.out[n][2 * r + 1]);
        }
    }
    __syncthreads();
    for (int index = threadIdx.x; index < work.rows * (DIM / 2); index += FEW_WARPS * 32) {
        int row = index / (DIM / 2), d = index % (DIM / 2) * 2;
        float top = minus_infinity(), total = 0.f;
        float2 result = make_float2(0.f, 0.f);
        for (int w = 0; w < FEW_WARPS; w++) top = fmaxf(top, most[w * 16 + row]);
        for (int w = 0; w < FEW_WARPS && top != minus_infinity(); w++) {
            float weight = exp2_fast(most[w * 16 + row] - top);
            float2 x = *(float2 *)(out + (w * 16 + row) * ROW + d);
            total += weight * sum[w * 16 + row];
            result.x += weight * x.x;
            result.y += weight * x.y;
        }
        float inverse = total > 0.f ? 1.f / total : 0.f;
        long long vector = work.vector(row, a.heads);
        store_pair(a, work, vector, d, result.x * inverse, result.y * inverse);
        if (d == 0) store_lse(a, work, vector, row_lse(top, total));
    }
}

#endif

extern "C" __global__ void __launch_bounds__(FEW_WARPS * 32, 2) attend_few(const __grid_constant__ Attend a) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    extern __shared__ __align__(16) unsigned char shared_memory[];
    Work work = {};
    bool there = find_work(a, 16, FEW_KEYS, work);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    u32 memory = shared_address(shared_memory);
    u32 ring = memory + warp * (FEW_STAGES * FEW_STAGE * 2);
    Tiles tiles(work, FEW_KEYS);

    // The first keys of a context are asked for while the kernel before, which makes the query and the newest key, still
    // runs.
    bool ahead = there && a.shared_is_old && tiles.shared == tiles.all;
    auto fill = [&] {
        for (int turn = 0; turn < FEW_STAGES; turn++) few_copy(ring, work, tiles, warp, turn);
    };
    if (ahead) fill();
    wait_for_previous();
    let_next_start();
    if (!there) return;
    u32 place = memory + FEW_WARPS * FEW_STAGES * FEW_STAGE * 2;
    copy_query<16, FEW_WARPS * 32>(place, a, work);
    commit_copies();
    if (ahead) {
        wait_copies<0>();
    } else {
        fill();
        wait_copies<FEW_STAGES>();
    }
    __syncthreads();
    u32 query[DIM / 16][4];
#pragma unroll
    for (int k = 0; k < DIM / 16; k++) {
        load_matrix(query[k], place + (lane % 16 * STRIDE + lane / 16 * 8 + k * 16) * 2);
    }

    int limit[2];
    for (int r = 0; r < 2; r++) limit[r] = work.limit(min(lane / 4 + 8 * r, work.rows - 1));
    int least = work.limit(0);
    Softmax softmax;
    softmax.clear();
    for (int turn = 0; turn * FEW_WARPS + warp < tiles.all; turn++) {
        if (turn > 0) few_copy(ring, work, tiles, warp, turn + FEW_STAGES - 1);
        wait_copies<FEW_STAGES - 1>();
        __syncwarp();
        Tile tile(work, tiles, turn * FEW_WARPS + warp, FEW_KEYS);
        int end = tile.first + tile.count;
        bool masked = tile.count < FEW_KEYS || (tile.own && end > least);
        int seen[2] = {tile.own ? min(limit[0], end) : end, tile.own ? min(limit[1], end) : end};
        float scale = (tile.own ? a.scale_own : a.scale_shared) * LOG2_E;
        few_slice(ring + turn % FEW_STAGES * (FEW_STAGE * 2), query, tile, seen, scale, masked, softmax);
        __syncwarp();
    }
    wait_copies<0>();
    __syncthreads();
    few_merge(a, work, softmax, (float *)shared_memory);
#else
    asm volatile("trap;");
#endif
}

}  // namespace attention
#endif
