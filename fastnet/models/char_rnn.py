"""A recurrent net that reads a text letter by letter."""
from fastnet.layers import LSTM, Dropout, Embedding, Linear, Permute, Sequential
from fastnet.models.blocks import model


@model(64)
def char_rnn(num_classes=128, hidden_size=128, num_layers=2, dropout=0.0):
    """For each letter of a text the scores of the one that comes next: an embedding, `num_layers` LSTMs, and a linear
    layer; 297,088 parameters for 128 letters. x (N, T) are integers below num_classes, y (N, num_classes, T), for
    `CrossEntropyLoss` with the next letters (N, T). A text may have any length; each begins from a state of zeros.
    `dropout` stands behind each LSTM.

    After Karpathy, The Unreasonable Effectiveness of Recurrent Neural Networks (2015), where letters are one-hot
    vectors; a row of the embedding is what the first layer would make of one. Weights start as their layers' do.

    >>> char_rnn.input_shape
    (64,)
    """
    return Sequential({
        "encoder": Embedding(num_classes, hidden_size),
        "rnn": LSTM(hidden_size, hidden_size, num_layers, batch_first=True, dropout=dropout, returns="output"),
        "dropout": Dropout(dropout),
        "decoder": Linear(hidden_size, num_classes),
        "classes_first": Permute((0, 2, 1))})
