# SPDX-License-Identifier: MIT
"""The part of the CUDA driver interface that this package uses, for ctypes. tools/cuda/cuda_driver.h is the same for C;
tests/python/test_layouts.py compares both with a C compiler."""
import ctypes
from ctypes import POINTER, Structure, Union, byref, c_char_p, c_int, c_uint, c_uint8, c_uint32, c_uint64, c_void_p

EXTERNAL_MEMORY_OPAQUE_FD = 1
EXTERNAL_MEMORY_DEDICATED = 1
EXTERNAL_SEMAPHORE_TIMELINE_FD = 9


class Handle(Union):
    c_name = "cuda_handle"
    _fields_ = [("fd", c_int), ("win32", c_void_p * 2)]


class MemoryDesc(Structure):
    c_name = "CUDA_EXTERNAL_MEMORY_HANDLE_DESC"
    _fields_ = [("type", c_int), ("handle", Handle), ("size", c_uint64), ("flags", c_uint32), ("reserved", c_uint32 * 16)]


class RangeDesc(Structure):
    c_name = "CUDA_EXTERNAL_MEMORY_BUFFER_DESC"
    _fields_ = [("offset", c_uint64), ("size", c_uint64), ("flags", c_uint32), ("reserved", c_uint32 * 16)]


class SemaphoreDesc(Structure):
    c_name = "CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC"
    _fields_ = [("type", c_int), ("handle", Handle), ("flags", c_uint32), ("reserved", c_uint32 * 16)]


class SemaphoreParams(Structure):
    c_name = "CUDA_EXTERNAL_SEMAPHORE_PARAMS"
    _fields_ = [("value", c_uint64), ("other_kinds", c_uint32 * 16), ("flags", c_uint32), ("reserved", c_uint32 * 16)]


STRUCTURES = (Handle, MemoryDesc, RangeDesc, SemaphoreDesc, SemaphoreParams)

FUNCTIONS = {
    "cuInit": (c_uint,),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetUuid_v2": (c_uint8 * 16, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemFree_v2": (c_uint64,),
    "cuImportExternalMemory": (POINTER(c_void_p), POINTER(MemoryDesc)),
    "cuExternalMemoryGetMappedBuffer": (POINTER(c_uint64), c_void_p, POINTER(RangeDesc)),
    "cuDestroyExternalMemory": (c_void_p,),
    "cuImportExternalSemaphore": (POINTER(c_void_p), POINTER(SemaphoreDesc)),
    "cuSignalExternalSemaphoresAsync": (POINTER(c_void_p), POINTER(SemaphoreParams), c_uint, c_void_p),
    "cuWaitExternalSemaphoresAsync": (POINTER(c_void_p), POINTER(SemaphoreParams), c_uint, c_void_p),
}


class Error(RuntimeError):
    """A failed call of the CUDA driver."""


class Driver:
    """libcuda.so.1, with its functions as attributes."""

    def __init__(self):
        try:
            library = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise ImportError("there is no CUDA driver (libcuda.so.1) on this system") from None
        self._error_name = library.cuGetErrorName
        self._error_name.argtypes = (c_int, POINTER(c_char_p))
        for name, parameters in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes, function.errcheck = c_int, parameters, self._check
            setattr(self, name, function)
        self.cuInit(0)

    def _check(self, result, function, _arguments):
        if result:
            name = c_char_p()
            self._error_name(result, byref(name))
            raise Error("%s returned %s" % (function.__name__, (name.value or b"an error without a name").decode()))
        return result
