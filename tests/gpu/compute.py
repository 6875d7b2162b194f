"""Works on the first GPU by the driver alone (libcuda), in any Python from 3.6, and prints JSON.

    sum         of all results, which is known in advance
    wrong       how many results are not what they must be
    device      what the driver calls the GPU
    launches    seconds for 1000 starts of a small kernel
    copies      seconds for 20 copies of 64 MiB to the GPU and back
    kernel      seconds for 200 passes of a kernel over 16 Mi numbers
"""
import array
import ctypes
import json
import time

PTX = b"""
.version 6.3
.target sm_75
.address_size 64
.visible .entry work(.param .u64 numbers, .param .u32 count, .param .u32 passes)
{
    .reg .pred %p<3>;
    .reg .u32 %r<8>;
    .reg .u64 %d<4>;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.u32 %r4, %r1, %r2, %r3;
    ld.param.u32 %r5, [count];
    setp.ge.u32 %p1, %r4, %r5;
    @%p1 bra done;
    ld.param.u64 %d1, [numbers];
    cvta.to.global.u64 %d1, %d1;
    mul.wide.u32 %d2, %r4, 4;
    add.u64 %d1, %d1, %d2;
    ld.global.u32 %r6, [%d1];
    ld.param.u32 %r7, [passes];
again:
    add.u32 %r6, %r6, %r4;
    sub.u32 %r7, %r7, 1;
    setp.ne.u32 %p2, %r7, 0;
    @%p2 bra again;
    st.global.u32 [%d1], %r6;
done:
    ret;
}
\0"""

COUNT, BLOCK, PASSES = 16 << 20, 256, 200
cuda = ctypes.CDLL("libcuda.so.1")


def call(name, *arguments):
    """A function of the driver; ends the program where it fails."""
    result = getattr(cuda, name)(*arguments)
    if result:
        text = ctypes.c_char_p()
        cuda.cuGetErrorName(result, ctypes.byref(text))
        raise SystemExit("%s: %d %s" % (name, result, (text.value or b"").decode()))


def timed(times, work):
    """Seconds for so many calls, until the GPU has done them."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    call("cuCtxSynchronize")
    return time.perf_counter() - start


device, context = ctypes.c_int(), ctypes.c_void_p()
call("cuInit", 0)
call("cuDeviceGet", ctypes.byref(device), 0)
name = ctypes.create_string_buffer(100)
call("cuDeviceGetName", name, len(name), device)
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
call("cuCtxSetCurrent", context)

module, function, memory = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
call("cuModuleLoadData", ctypes.byref(module), PTX)
call("cuModuleGetFunction", ctypes.byref(function), module, b"work")
call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(4 * COUNT))

numbers = array.array("I", range(COUNT))
place = ctypes.c_void_p(numbers.buffer_info()[0])
size = ctypes.c_size_t(4 * COUNT)


def launch(count, passes):
    """Start the kernel: number `i` grows by `passes` times `i`."""
    values = (ctypes.c_uint64(memory.value), ctypes.c_uint32(count), ctypes.c_uint32(passes))
    pointers = (ctypes.c_void_p * 3)(*(ctypes.addressof(value) for value in values))
    call("cuLaunchKernel", function, (count + BLOCK - 1) // BLOCK, 1, 1, BLOCK, 1, 1, 0, None,
         pointers, None)


def there_and_back():
    """The numbers into the GPU's memory, and out again."""
    call("cuMemcpyHtoD_v2", memory, place, size)
    call("cuMemcpyDtoH_v2", place, memory, size)


there_and_back()
launch(COUNT, 3)
call("cuMemcpyDtoH_v2", place, memory, size)
wrong = sum(value != (4 * at) & 0xffffffff for at, value in enumerate(numbers))
total = sum(numbers)
copies = timed(20, there_and_back)
launches = timed(1000, lambda: launch(BLOCK, 1))
kernel = timed(1, lambda: launch(COUNT, PASSES))
print(json.dumps({"sum": total, "wrong": wrong, "device": name.value.decode(),
                  "launches": launches, "copies": copies, "kernel": kernel}))
