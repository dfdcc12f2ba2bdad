# SPDX-License-Identifier: MIT
"""A GPU used by both CUDA and Vulkan: shared memory, and runs of dmattn in the order of a CUDA stream.

    the stream signals n + 1  ->  Vulkan waits for it, runs, signals n + 2  ->  the stream waits for that

One timeline semaphore does this. The host does not wait, unless it is 16 runs ahead of the device."""
import collections
import os
import threading
import weakref
from ctypes import byref, c_int, c_uint8, c_uint64, c_void_p

import torch

from . import cuda, native
from .arena import Arena

SEGMENT = 64 << 20  # minimum size in bytes; larger tensors get their own segments
PLANS = 256  # the number of plans kept; the least recently used one is evicted

TYPESTR = {torch.uint8: "|u1", torch.int32: "<i4", torch.float16: "<f2", torch.float32: "<f4",
           torch.bfloat16: "<i2"}  # NumPy has no bf16
ELEMENT_SIZE = {dtype: int(typestr[-1]) for dtype, typestr in TYPESTR.items()}


def stream_of(ordinal):
    """The handle of the current stream of PyTorch, in whose order dmattn runs."""
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError("dmattn cannot be captured into a CUDA graph, which cannot contain Vulkan work")
    return torch.cuda.current_stream(ordinal).cuda_stream


def as_tensor(block, ordinal):
    return torch.as_tensor(block, device=torch.device("cuda", ordinal))


class Memory:
    """A Vulkan buffer and its CUDA address."""

    def __init__(self, buffer, imported, address):
        self.buffer, self.imported, self.address = buffer, imported, address


class Block:
    """A piece of shared memory, owned by the storage of a tensor and freed with it."""

    def __init__(self, arena, piece, shape, dtype):
        self.arena, self.piece = arena, piece
        segment, self.offset, self.size = piece
        self.memory = segment.memory
        self.address = self.memory.address + self.offset
        self.__cuda_array_interface__ = {"shape": tuple(shape), "typestr": TYPESTR[dtype], "data": (self.address, False),
                                         "version": 3, "strides": None}

    def __del__(self):
        self.arena.returned.append(self.piece)


class Device:
    def __init__(self, ordinal):
        self.ordinal = ordinal
        self.lock = threading.RLock()  # only one thread at a time may use a dmattn_device
        self.thread = threading.local()
        self.library, self.driver = native.Library(), cuda.Driver()
        self.context = c_void_p()
        cuda_device = c_int()
        self.driver.cuDeviceGet(byref(cuda_device), ordinal)
        self.driver.cuDevicePrimaryCtxRetain(byref(self.context), cuda_device)
        self._enter_context()
        self.handle = self._open_vulkan(cuda_device)
        self.timeline = self._import_timeline()
        self.signal, self.wait = cuda.SemaphoreParams(), cuda.SemaphoreParams()
        self.turn = 0  # the value of the timeline when all enqueued work is complete
        self.stream = None  # of the last run
        self.arenas = {}  # by stream: memory is reused in the order of the stream, as in PyTorch
        self.blocks = weakref.WeakValueDictionary()  # by address
        self.plans = collections.OrderedDict()
        self.workspace = native.Buffer()  # shared by all runs, because they do not overlap

    # ---- initialization ----------------------------------------------------------------------------------------------

    def _enter_context(self):
        """Makes the CUDA context current, once per thread; PyTorch's backward threads may not have it."""
        if not getattr(self.thread, "entered", False):
            self.driver.cuCtxSetCurrent(self.context)
            self.thread.entered = True

    def _open_vulkan(self, cuda_device):
        """Opens the Vulkan device that is the same GPU as the CUDA device."""
        runtime, info, handle = native.Runtime(), native.DeviceInfo(), native.Device()
        self.library.runtime_create(byref(native.RuntimeDesc(message=native.keep_message)), byref(runtime))
        uuid = (c_uint8 * 16)()
        self.driver.cuDeviceGetUuid_v2(uuid, cuda_device)
        for index in range(self.library.runtime_device_count(runtime)):
            self.library.runtime_device_info(runtime, index, byref(info))
            if bytes(info.uuid) == bytes(uuid):
                self.name = "%s, %s" % (info.name.decode(), info.driver.decode())
                self.library.device_create(runtime, index, byref(handle))
                return handle
        raise RuntimeError("CUDA device %d is not a Vulkan device: is its Vulkan driver installed?" % self.ordinal)

    def _import_timeline(self):
        desc = cuda.SemaphoreDesc(type=cuda.EXTERNAL_SEMAPHORE_TIMELINE_FD)
        fd = c_int()
        self.library.timeline_export(self.handle, byref(fd))
        desc.handle.fd = fd.value
        imported = c_void_p()
        try:
            self.driver.cuImportExternalSemaphore(byref(imported), byref(desc))
        except cuda.Error:
            os.close(fd.value)  # after success CUDA owns it
            raise
        return imported

    # ---- memory ------------------------------------------------------------------------------------------------------

    def _make_memory(self, size):
        try:
            return self._share_memory(size)
        except (native.Error, cuda.Error):
            if not self.drop_unused():
                raise
            return self._share_memory(size)

    def _share_memory(self, size):
        buffer, shared = native.Buffer(), native.SharedMemory()
        imported, address = c_void_p(), c_uint64()
        self.library.buffer_create_shared(self.handle, size, byref(buffer), byref(shared))
        desc = cuda.MemoryDesc(type=cuda.EXTERNAL_MEMORY_OPAQUE_FD, size=shared.size,
                               flags=cuda.EXTERNAL_MEMORY_DEDICATED if shared.dedicated else 0)
        desc.handle.fd = shared.fd
        try:
            self.driver.cuImportExternalMemory(byref(imported), byref(desc))
            self.driver.cuExternalMemoryGetMappedBuffer(byref(address), imported, byref(cuda.RangeDesc(size=size)))
        except cuda.Error:
            if imported:
                self.driver.cuDestroyExternalMemory(imported)
            else:
                os.close(shared.fd)  # after an import CUDA owns it
            self.library.buffer_destroy(self.handle, byref(buffer))
            raise
        return Memory(buffer, imported, address.value)

    def empty(self, shape, dtype):
        """A contiguous tensor in shared memory; its contents are undefined."""
        if dtype not in TYPESTR:
            raise TypeError("dmattn does not support tensors of type %s" % dtype)
        elements = 1
        for extent in shape:
            elements *= extent
        with self.lock:
            self._enter_context()
            stream = stream_of(self.ordinal)
            arena = self.arenas.get(stream)
            if arena is None:
                arena = self.arenas[stream] = Arena(self._make_memory, SEGMENT)
            block = Block(arena, arena.allocate(elements * ELEMENT_SIZE[dtype]), shape, dtype)
            self.blocks[block.address] = block
        tensor = as_tensor(block, self.ordinal)
        return tensor.view(dtype) if dtype == torch.bfloat16 else tensor

    def block_of(self, tensor):
        """The block of the storage of a tensor; None if it is not in shared memory."""
        return self.blocks.get(tensor.data_ptr() - tensor.storage_offset() * tensor.element_size())

    def share(self, tensor):
        """The tensor itself if dmattn can read it in place, otherwise a copy in shared memory, made by PyTorch on the device.
        In place requires shared memory, contiguous rows, alignment to 16 bytes, and some stride other than 0."""
        if (self.block_of(tensor) is not None and tensor.data_ptr() % 16 == 0
                and (tensor.is_contiguous() or (tensor.dim() == 4 and tensor.stride(3) == 1 and any(tensor.stride()[:3])))):
            return tensor
        return self.empty(tensor.shape, tensor.dtype).copy_(tensor)

    def buffer_of(self, tensor):
        block = self.block_of(tensor)
        inside = tensor.data_ptr() - block.address
        return native.Buffer(block.memory.buffer.buffer, block.offset + inside, block.size - inside)

    def drop_unused(self):
        """Frees memory that no tensor uses. Returns whether there was any."""
        with self.lock:
            unused = [memory for arena in self.arenas.values() for memory in arena.drop_unused()]
            if unused:
                torch.cuda.synchronize(self.ordinal)
                self._synchronize()
            for memory in unused:
                self.driver.cuMemFree_v2(memory.address)
                self.driver.cuDestroyExternalMemory(memory.imported)
                self.library.buffer_destroy(self.handle, byref(memory.buffer))
            return bool(unused)

    # ---- running -----------------------------------------------------------------------------------------------------

    def _synchronize(self):
        """Waits for all runs, so that objects that they use can be destroyed."""
        commands = native.Commands()
        self.library.commands_begin(self.handle, byref(commands))
        self.library.commands_submit(self.handle)

    def _plan(self, operator, desc):
        """The plan for a descriptor, and the size of its workspace."""
        key = (operator, bytes(desc))
        found = self.plans.get(key)
        if found:
            self.plans.move_to_end(key)
            return found
        plan, info = native.Plan(), native.PlanInfo()
        getattr(self.library, operator + "_plan")(self.library.device_context(self.handle), byref(desc), byref(plan))
        self.library.plan_get_info(plan, byref(info))
        if len(self.plans) >= PLANS:
            self._synchronize()
            self.library.plan_destroy(self.plans.popitem(last=False)[1][0])
        self.plans[key] = plan, info.workspace_size
        return self.plans[key]

    def _grow_workspace(self, size):
        if self.workspace.size < size:
            self._synchronize()
            self.library.buffer_destroy(self.handle, byref(self.workspace))
            self.library.buffer_create(self.handle, size, byref(self.workspace))

    def run(self, operator, desc, args):
        """Runs dmattn_<operator> in the order of the current stream."""
        with self.lock:
            self._enter_context()
            plan, workspace_size = self._plan(operator, desc)
            self._grow_workspace(workspace_size)
            args.workspace = self.workspace
            record = getattr(self.library, operator + "_record")
            self.submit(lambda commands: record(plan, commands, byref(args)))

    def submit(self, record):
        """Runs the commands that record(commands) records, in the order of the current stream."""
        stream = stream_of(self.ordinal)
        library, driver, commands = self.library, self.driver, native.Commands()
        with self.lock:
            self._enter_context()
            library.commands_begin(self.handle, byref(commands))
            try:
                record(commands)
                if stream != self.stream and self.turn:  # the values of the timeline must increase
                    self.wait.value = self.turn
                    driver.cuWaitExternalSemaphoresAsync(byref(self.timeline), byref(self.wait), 1, stream)
                self.stream = None  # until the stream waits for this run
                self.signal.value, self.wait.value = self.turn + 1, self.turn + 2
                driver.cuSignalExternalSemaphoresAsync(byref(self.timeline), byref(self.signal), 1, stream)
                self.turn = self.signal.value
                library.commands_submit_shared(self.handle, self.signal.value, self.wait.value)
                self.turn = self.wait.value
            except BaseException:
                library.commands_cancel(self.handle)  # has no effect if they were submitted
                raise
            driver.cuWaitExternalSemaphoresAsync(byref(self.timeline), byref(self.wait), 1, stream)
            self.stream = stream


_devices = {}
_devices_lock = threading.Lock()


def device_of(tensor):
    """The Device of a tensor."""
    if not tensor.is_cuda:
        raise ValueError("dmattn needs CUDA tensors, but one is on %s" % tensor.device)
    return device_at(tensor.device.index)


def device_at(ordinal):
    with _devices_lock:
        if ordinal not in _devices:
            torch.cuda.init()
            _devices[ordinal] = Device(ordinal)
        return _devices[ordinal]
