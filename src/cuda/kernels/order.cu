// What follows what on a stream: the first piece of every source.

/// Waits for what was started before on the stream. A kernel that is started early (see module.rs) comes here before it
/// touches anything that another kernel writes or reads.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next kernel on the stream take the places that blocks of this one leave.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
