"""Finds the layers of an encoder, whatever its family."""

from torch import nn
from transformers import PreTrainedModel


def encoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The encoder's layers, first to last: the longest list of modules in the base model.

    ALBERT has one layer, which it applies many times.
    """
    lists = [part for part in model.base_model.modules() if isinstance(part, nn.ModuleList)]
    return max(lists, key=len)  # of equal ones the first, which holds the others
