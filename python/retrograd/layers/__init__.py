"""Layers: functions from nodes to nodes that bring their own parameters.

>>> dense = rg.Dense(64, activation="relu")
>>> h = dense(x)                            # makes dense.weight and dense.bias
>>> k = dense(h2)                           # the same weight and bias again

A layer object is a description; the parameters it made belong to the model that is built of the nodes.
"""

from __future__ import annotations

from retrograd.layers.attention import MultiHeadAttention, PositionalEmbedding
from retrograd.layers.base import Layer
from retrograd.layers.convolution import Conv1D, Conv2D, ConvTranspose2D
from retrograd.layers.dense import Activation, Dense
from retrograd.layers.embedding import Embedding
from retrograd.layers.normalisation import BatchNorm, Dropout, LayerNorm, RMSNorm
from retrograd.layers.pooling import AvgPool2D, GlobalAvgPool2D, MaxPool2D, UpSample2D
from retrograd.layers.recurrent import GRU, LSTM, SimpleRNN
from retrograd.layers.shapes import Add, Concatenate, Flatten, Multiply, Rescale, Reshape
from retrograd.layers.standardize import Standardize

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AvgPool2D",
    "BatchNorm",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "ConvTranspose2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2D",
    "Layer",
    "LayerNorm",
    "MaxPool2D",
    "MultiHeadAttention",
    "Multiply",
    "PositionalEmbedding",
    "RMSNorm",
    "Rescale",
    "Reshape",
    "SimpleRNN",
    "Standardize",
    "UpSample2D",
]
