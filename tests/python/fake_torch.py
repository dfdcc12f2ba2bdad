# SPDX-License-Identifier: MIT
"""Lets the package run without CUDA in PyTorch. With tests/runtime/fake_cuda.c device memory is host memory, so the tensors can
be CPU tensors. install() replaces the few functions of the package that use CUDA through PyTorch."""
import ctypes

import torch

from dmattn import device, operators

TYPES = {"|u1": torch.uint8, "<i4": torch.int32, "<f2": torch.float16, "<f4": torch.float32, "<i2": torch.int16}


def as_tensor(block, _ordinal):
    about = block.__cuda_array_interface__
    memory = type("Memory", (ctypes.c_uint8 * block.size,), {}).from_address(about["data"][0])
    memory.block = block  # lives as long as the tensor
    elements = 1
    for extent in about["shape"]:
        elements *= extent
    return torch.frombuffer(memory, dtype=TYPES[about["typestr"]], count=elements).view(about["shape"])


class Streams:
    current = 1


def install():
    device.as_tensor = as_tensor
    device.stream_of = lambda _ordinal: Streams.current
    operators.device_of = lambda _tensor: device.device_at(0)
    torch.cuda.init = lambda: None
    torch.cuda.synchronize = lambda _ordinal: None
    torch.cuda.current_device = lambda: 0
