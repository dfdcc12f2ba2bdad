# SPDX-License-Identifier: MIT
"""Lets the package run where PyTorch has no CUDA: with tests/runtime/fake_cuda.c the device's memory is the host's, so its tensors
can be PyTorch's CPU tensors. What is replaced is the few places where the package asks PyTorch for CUDA."""
import ctypes

import torch

from dmattn import device, operators

TYPES = {"|u1": torch.uint8, "<i4": torch.int32, "<f2": torch.float16, "<f4": torch.float32, "<i2": torch.int16}


def as_tensor(block, _ordinal):
    about = block.__cuda_array_interface__
    memory = type("Memory", (ctypes.c_uint8 * block.size,), {}).from_address(about["data"][0])
    memory.block = block  # kept as long as the tensor keeps the memory
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
