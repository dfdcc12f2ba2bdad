# SPDX-License-Identifier: MIT
"""dmattn on CUDA tensors of PyTorch, in memory shared by CUDA and Vulkan. See ../README.md."""
from .operators import attention, dma_attention, empty, empty_cache

__all__ = ["attention", "dma_attention", "empty", "empty_cache"]
