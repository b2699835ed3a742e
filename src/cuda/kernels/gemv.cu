// Products of 1 to 4 rows with a matrix: bound by reading the matrix once.
//
// A block prepares its input (norm) in shared memory, rounded to E, and then its warps take rows of the matrix in turn,
// two at a time. As many blocks run as there is room for. All of them together go through the matrix from its first row to
// its last (with a region for each block, a product of 128256 x 4096 took 288 us on an H200 instead of 237), and the rows
// of the last, incomplete round are dealt out evenly, so that no multiprocessor lets all others wait. Blocks are so large
// that one fills a multiprocessor: the next kernel's, which may start early, then take the places of this one's one by one.
//
// Weights are read 16 bytes a lane, several reads under way; the first are asked for before the input is looked at, since
// nothing that ran before changes them. (Sending for the rest of the first rows to the second-level cache at the same time
// made a product of 4096 x 14336 a third slower on an H200.)

constexpr int THREADS = 512;
constexpr int WARPS = THREADS / WARP;
/// Numbers that a lane takes at once.
constexpr int VECTOR = 8;
/// Rows of the matrix that a warp takes at once.
constexpr int ROWS = 2;
/// Vectors of each row that a lane has under way.
constexpr int AHEAD = 4;

struct Gemv {
    u64 weight, input, norm, output;
    u32 rows, columns, input_kind, output_kind;
    float epsilon;
    u32 reserved;
};
static_assert(sizeof(Gemv) == 56, "the host's twin has 56 bytes");

/// Weights, which are read once: past the first level's cache.
struct Weights {
    uint4 at[VECTOR * sizeof(E::Bits) / 16];

    __device__ __forceinline__ void read(const E::Bits *from) {
#pragma unroll
        for (int i = 0; i < (int)sizeof(at) / 16; i++) {
#if __CUDA_ARCH__ >= 750
            asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(at[i].x), "=r"(at[i].y), "=r"(at[i].z), "=r"(at[i].w)
                         : "l"((const uint4 *)from + i));
#else
            at[i] = ((const uint4 *)from)[i];
#endif
        }
    }

    __device__ __forceinline__ void widen(float (&x)[VECTOR]) const {
        const E::Bits *bits = (const E::Bits *)at;
#pragma unroll
        for (int i = 0; i < VECTOR; i++) x[i] = to_float<E>(bits[i]);
    }
};

/// The input of one token to shared memory.
__device__ __forceinline__ void prepare(const Gemv &a, u32 token, E::Bits *to, float (&memory)[WARPS]) {
    if (a.input_kind == 1) {
        const float *row = (const float *)a.input + (u64)token * a.columns;
        float squares = 0.f;
        for (u32 column = threadIdx.x * VECTOR; column < a.columns; column += THREADS * VECTOR) {
            float x[VECTOR];
            load<F32>(x, row + column);
#pragma unroll
            for (int i = 0; i < VECTOR; i++) squares = fmaf(x[i], x[i], squares);
        }
        float factor = 1.f / sqrtf(sum_block(squares, memory) / a.columns + a.epsilon);
        for (u32 column = threadIdx.x * VECTOR; column < a.columns; column += THREADS * VECTOR) {
            float x[VECTOR], weight[VECTOR];
            load<F32>(x, row + column);
            load<F32>(weight, (const float *)a.norm + column);
#pragma unroll
            for (int i = 0; i < VECTOR; i++) x[i] = x[i] * factor * weight[i];
            store<E>(to + column, x);
        }
        return;
    }
    const E::Bits *row = (const E::Bits *)a.input + (u64)token * a.columns;
    for (u32 column = threadIdx.x * VECTOR; column < a.columns; column += THREADS * VECTOR) {
        float x[VECTOR];
        load<E>(x, row + column);
        store<E>(to + column, x);
    }
}

__device__ __forceinline__ void write(const Gemv &a, u64 index, float sum) {
    if (a.output_kind == 0 || a.output_kind == 3) ((E::Bits *)a.output)[index] = from_float<E>(sum);
    else if (a.output_kind == 1) ((float *)a.output)[index] = sum;
    else ((float *)a.output)[index] += sum;
}

/// Numbers of the output that a warp makes at once: two rows of the matrix make two, or, where they are a gate and what
/// it lets through, one.
__device__ __forceinline__ u32 outputs(const Gemv &a) { return a.output_kind == 3 ? 1 : ROWS; }

/// Which rows a warp takes, pair by pair.
struct Turns {
    u32 warps, full, place, begin, share, pairs;

    __device__ __forceinline__ Turns(u32 all, u32 warp) {
        pairs = all;
        warps = gridDim.x * WARPS;
        full = pairs / warps;
        place = blockIdx.x * WARPS + warp;
        u64 rest = pairs % warps;
        begin = rest * blockIdx.x / gridDim.x;
        share = rest * (blockIdx.x + 1) / gridDim.x - begin;
        begin += warp;
        if (warp >= share) share = 0;
    }

    /// The pair of a round; `pairs` where there is none.
    __device__ __forceinline__ u32 pair(u32 round) const {
        if (round < full) return round * warps + place;
        return round == full && share > 0 ? full * warps + begin : pairs;
    }
};

/// Two rows of the matrix, on their way: next to each other, or a gate's and, as many rows later as there are outputs, the
/// one that it is multiplied with.
struct Reader {
    const E::Bits *row[ROWS];
    Weights weights[ROWS][AHEAD];

    /// A row past the end is the last one once more: its sum is written nowhere.
    __device__ __forceinline__ Reader(const Gemv &a, u32 first) {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            u32 index = a.output_kind == 3 ? min(first, a.rows - 1) + r * a.rows : min(first + r, a.rows - 1);
            row[r] = (const E::Bits *)a.weight + (u64)index * a.columns;
        }
    }

    __device__ __forceinline__ void read(u32 column, u32 columns) {
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            u32 at = column + k * WARP * VECTOR;
            if (at < columns) {
#pragma unroll
                for (int r = 0; r < ROWS; r++) weights[r][k].read(row[r] + at);
            }
        }
    }
};

template <int TOKENS> __device__ __forceinline__ void gemv(const Gemv &a) {
    extern __shared__ __align__(16) u8 shared_memory[];
    __shared__ float memory[TOKENS][WARPS];
    E::Bits *input = (E::Bits *)shared_memory;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u32 step = outputs(a);
    Turns turns((a.rows + step - 1) / step, warp);
    u32 round = 0, first = turns.pair(0) * step;

    Reader reader(a, first);
    if (first < a.rows) reader.read(lane * VECTOR, a.columns);
    wait_for_previous();
#pragma unroll 1
    for (int token = 0; token < TOKENS; token++) prepare(a, token, input + token * a.columns, memory[token]);
    __syncthreads();
    let_next_start();

    while (first < a.rows) {
        float sums[TOKENS][ROWS] = {};
        for (u32 column = lane * VECTOR; column < a.columns; column += AHEAD * WARP * VECTOR) {
#pragma unroll
            for (int k = 0; k < AHEAD; k++) {
                u32 at = column + k * WARP * VECTOR;
                if (at >= a.columns) break;
                float weight[ROWS][VECTOR];
#pragma unroll
                for (int r = 0; r < ROWS; r++) reader.weights[r][k].widen(weight[r]);
#pragma unroll
                for (int token = 0; token < TOKENS; token++) {
                    float x[VECTOR];
                    load<E>(x, input + token * a.columns + at);
#pragma unroll
                    for (int r = 0; r < ROWS; r++)
#pragma unroll
                        for (int i = 0; i < VECTOR; i++) sums[token][r] = fmaf(weight[r][i], x[i], sums[token][r]);
                }
            }
            reader.read(column + AHEAD * WARP * VECTOR, a.columns);
        }
        u32 next = turns.pair(++round) * step;
        if (next < a.rows) {
            reader = Reader(a, next);
            reader.read(lane * VECTOR, a.columns);
        }
#pragma unroll
        for (int token = 0; token < TOKENS; token++) {
#pragma unroll
            for (int r = 0; r < ROWS; r++) sums[token][r] = sum_lanes<WARP>(sums[token][r]);
            if (lane == 0) {
                u64 index = (u64)token * a.rows + first;
                if (step == 1) {
                    if (first < a.rows) write(a, index, silu_multiplied(sums[token][0], sums[token][1]));
                } else {
#pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        if (first + r < a.rows) write(a, index + r, sums[token][r]);
                }
            }
        }
        first = next;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) gemv_1(const __grid_constant__ Gemv a) { gemv<1>(a); }
extern "C" __global__ void __launch_bounds__(THREADS, 1) gemv_2(const __grid_constant__ Gemv a) { gemv<2>(a); }
extern "C" __global__ void __launch_bounds__(THREADS, 1) gemv_3(const __grid_constant__ Gemv a) { gemv<3>(a); }
extern "C" __global__ void __launch_bounds__(THREADS, 1) gemv_4(const __grid_constant__ Gemv a) { gemv<4>(a); }
