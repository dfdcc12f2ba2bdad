# SPDX-License-Identifier: MIT
"""dmattn on PyTorch's CUDA tensors, in memory that CUDA and Vulkan share. README.md beside this package says more."""
from .operators import attention, dma_attention, empty, empty_cache

__all__ = ["attention", "dma_attention", "empty", "empty_cache"]
