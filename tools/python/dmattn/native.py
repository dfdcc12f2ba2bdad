# SPDX-License-Identifier: MIT
"""The structures, constants and functions of libdmattn that this package uses, for ctypes.

tests/python/test_layouts.py compares them with the headers by a C compiler."""
import ctypes
import os
import threading
from ctypes import POINTER, Structure, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_uint8, c_uint32, c_uint64, c_void_p

VERSION = (0, 1)  # of the interface declared here
LIBRARY = "libdmattn.so.%d.%d" % VERSION

SUCCESS = 0
SEVERITY_ERROR = 2
TYPE_F32, TYPE_F16, TYPE_BF16 = 0, 1, 2
LEVEL_BEST, LEVEL_PORTABLE, LEVEL_MATRIX, LEVEL_MATRIX2 = 0, 1, 2, 3
GRADIENT_Q, GRADIENT_K, GRADIENT_V, GRADIENT_IMPORTANCE = 1, 2, 4, 16
GRADIENT_DT_WEIGHT, GRADIENT_A, GRADIENT_DT_BIAS, GRADIENT_SINK = 32, 64, 128, 256
ACTIVATION_EXP_SOFTPLUS, ACTIVATION_SOFTPLUS = 0, 1
SELECT_ALL, SELECT_TOPW_CAUSAL, SELECT_TOPW_SHARED, SELECT_THRESHOLD = 0, 1, 2, 3
TIE_BREAK_LATER, TIE_BREAK_EARLIER = 0, 1

MESSAGE_FN = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)


# ---- handles ---------------------------------------------------------------------------------------------------------

class Runtime(c_void_p):
    c_name = "dmattn_runtime *"


class Device(c_void_p):
    c_name = "dmattn_device *"


class Context(c_void_p):
    c_name = "dmattn_context *"


class Plan(c_void_p):
    c_name = "dmattn_plan *"


class Commands(c_void_p):
    c_name = "VkCommandBuffer"


# ---- structures ------------------------------------------------------------------------------------------------------

def structure(name, *fields):
    """Declares the structure dmattn_<name>. Each field is a type and the names of consecutive members of that type."""
    members = [(member, kind) for kind, names in fields for member in names.split()]
    return type(name, (Structure,), {"_fields_": members, "c_name": "dmattn_" + name})


Strides = structure("strides", (c_uint64, "batch sequence head"))
ScoreShape = structure("score_shape", (c_uint32, "batch heads queries"),
                       (c_uint64, "batch_stride head_stride query_stride"))
Buffer = structure("buffer", (c_uint64, "buffer offset size"))
RuntimeDesc = structure("runtime_desc", (c_bool, "validation"), (MESSAGE_FN, "message"), (c_void_p, "message_user"))
DeviceInfo = structure(
    "device_info", (c_char * 256, "name"), (c_char * 512, "driver"), (c_int, "type"), (c_uint32, "vendor_id api_version"),
    (c_int, "level"), (c_char * 128, "unusable"),
    (c_uint32, "subgroup_size min_subgroup_size max_subgroup_size max_invocations shared_memory"),
    (c_uint64, "device_memory max_allocation"), (c_bool, "timestamps"), (c_uint8 * 16, "uuid"))
SharedMemory = structure("shared_memory", (c_int, "fd"), (c_uint64, "size"), (c_bool, "dedicated"))
PlanInfo = structure(
    "plan_info", (c_int, "level"), (c_char_p, "why_not_higher kernel"),
    (c_uint64, "workspace_size workspace_alignment data_alignment"), (c_uint32, "list_queries"), (c_uint64, "lists_size"),
    (c_uint32, "stages reads writes"), (c_double, "flops bytes"))

AttentionDesc = structure(
    "attention_desc", (c_int, "type"), (c_bool, "q_f32 out_f32"), (c_int, "k_format v_format"),
    (c_uint32, "batch queries keys heads kv_heads head_dim value_dim"),
    (c_float, "scale soft_cap"), (c_bool, "causal lse"), (Strides, "q_strides k_strides v_strides out_strides"),
    (c_uint32, "page_size pages"), (c_uint64, "page_bytes"), (c_int, "mask"), (ScoreShape, "mask_shape"),
    (c_uint32, "selected_count selected_block selected_queries"), (c_bool, "bias"), (c_int, "bias_type"), (ScoreShape, "bias_shape"),
    (c_bool, "sink slopes lists"), (c_uint32, "list_capacity"), (c_bool, "counts lengths"),
    (c_uint32, "total_queries total_keys"), (c_int, "level max_level"))
AttentionArgs = structure("attention_args", (Buffer, "q k v out lse mask begin end selected bias sink slopes lists k_scales "
                                                    "v_scales pages counts table workspace"),
                          (c_uint32, "queries keys"), (c_bool, "reuse_mask_tiles"))
AttentionBackwardDesc = structure("attention_backward_desc", (AttentionDesc, "attention"), (c_uint32, "gradients"),
                                  (c_bool, "dlse"), (Strides, "dout_strides dq_strides dk_strides dv_strides"))
AttentionBackwardArgs = structure("attention_backward_args",
                                  (Buffer, "q k v out dout lse mask begin end selected bias sink slopes dlse lists dq dk dv dbias "
                                           "dsink workspace"))

Importance = structure("importance", (c_int, "activation parameter_type"), (c_bool, "dt_bias"))
Selection = structure("selection", (c_int, "select"), (c_uint32, "window"), (c_int, "tie_break"),
                      (c_float, "threshold"), (c_uint32, "sinks recent sliding"), (c_bool, "causal key_valid"),
                      (c_uint32, "documents"))
DmaDesc = structure("dma_desc", (AttentionDesc, "attention"), (Importance, "importance"), (c_bool, "importance_given"),
                    (Selection, "selection"), (c_uint32, "list_capacity"))
DmaArgs = structure("dma_args", (Buffer, "q k v out lse sink dt_weight a dt_bias key_valid query_offsets key_offsets "
                                         "importance begin end k_scales v_scales pages table workspace"), (c_uint32, "queries keys"),
                    (c_bool, "reuse_mask"))
DmaBackwardDesc = structure("dma_backward_desc", (DmaDesc, "dma"), (c_uint32, "gradients"), (c_bool, "dlse"),
                            (Strides, "dout_strides dq_strides dk_strides dv_strides"))
DmaBackwardArgs = structure("dma_backward_args",
                            (Buffer, "q k v out dout lse sink dlse dt_weight a dt_bias importance begin end dq dk dv "
                                     "dimportance ddt_weight da ddt_bias dsink workspace"))

STRUCTURES = (Strides, ScoreShape, Buffer, RuntimeDesc, DeviceInfo, SharedMemory, PlanInfo, AttentionDesc, AttentionArgs,
              AttentionBackwardDesc, AttentionBackwardArgs, Importance, Selection, DmaDesc, DmaArgs, DmaBackwardDesc,
              DmaBackwardArgs)

# ---- functions -------------------------------------------------------------------------------------------------------

# Functions that return a status; a failure raises an Error.
FALLIBLE = {
    "runtime_create": (POINTER(RuntimeDesc), POINTER(Runtime)),
    "runtime_device_info": (Runtime, c_uint32, POINTER(DeviceInfo)),
    "device_create": (Runtime, c_uint32, POINTER(Device)),
    "buffer_create": (Device, c_uint64, POINTER(Buffer)),
    "buffer_create_shared": (Device, c_uint64, POINTER(Buffer), POINTER(SharedMemory)),
    "timeline_export": (Device, POINTER(c_int)),
    "commands_begin": (Device, POINTER(Commands)),
    "commands_submit": (Device,),
    "commands_submit_shared": (Device, c_uint64, c_uint64),
    "elapsed": (Device, c_uint32, c_uint32, POINTER(c_double)),
    "attention_plan": (Context, POINTER(AttentionDesc), POINTER(Plan)),
    "attention_record": (Plan, Commands, POINTER(AttentionArgs)),
    "attention_backward_plan": (Context, POINTER(AttentionBackwardDesc), POINTER(Plan)),
    "attention_backward_record": (Plan, Commands, POINTER(AttentionBackwardArgs)),
    "dma_plan": (Context, POINTER(DmaDesc), POINTER(Plan)),
    "dma_record": (Plan, Commands, POINTER(DmaArgs)),
    "dma_backward_plan": (Context, POINTER(DmaBackwardDesc), POINTER(Plan)),
    "dma_backward_record": (Plan, Commands, POINTER(DmaBackwardArgs)),
}
OTHERS = {
    "version": (c_uint32,),
    "status_string": (c_char_p, c_int),
    "runtime_device_count": (c_uint32, Runtime),
    "device_context": (Context, Device),
    "buffer_destroy": (None, Device, POINTER(Buffer)),
    "commands_cancel": (None, Device),
    "commands_timestamp": (None, Device, c_uint32),
    "plan_destroy": (None, Plan),
    "plan_get_info": (None, Plan, POINTER(PlanInfo)),
}


class Error(RuntimeError):
    """A failed call of libdmattn, with its message."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


_last = threading.local()


@MESSAGE_FN
def keep_message(_user, severity, text):
    """The message callback: keeps the message for the Error that the same call then raises."""
    if severity == SEVERITY_ERROR:
        _last.message = text.decode(errors="replace")


class Library:
    """The loaded library, with its functions as attributes, without the prefix dmattn_."""

    def __init__(self):
        path = os.environ.get("DMATTN_LIBRARY") or LIBRARY
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            raise ImportError("%s cannot be loaded (%s): build dmattn with -DBUILD_SHARED_LIBS=ON and install it, or set "
                              "DMATTN_LIBRARY to the path of %s" % (path, error, LIBRARY)) from None
        for name, (result, *parameters) in OTHERS.items():
            self._add(library, name, result, parameters)
        version = self.version()
        if (version // 1000000, version // 1000 % 1000) != VERSION:
            raise ImportError("%s is dmattn %d.%d, but this package is for %d.%d"
                              % (path, version // 1000000, version // 1000 % 1000, *VERSION))
        for name, parameters in FALLIBLE.items():
            self._add(library, name, c_int, parameters).errcheck = self._check

    def _add(self, library, name, result, parameters):
        try:
            function = getattr(library, "dmattn_" + name)
        except AttributeError:
            raise ImportError("the loaded libdmattn has no dmattn_%s: it is older than this package" % name) from None
        function.restype, function.argtypes = result, parameters
        setattr(self, name, function)
        return function

    def _check(self, status, _function, _arguments):
        if status != SUCCESS:
            text = getattr(_last, "message", None) or self.status_string(status).decode()
            _last.message = None
            raise Error(status, text)
        return status
