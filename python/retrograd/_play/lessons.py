"""Lessons: settings, what to look at, and a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from retrograd._play.config import Config

__all__ = ["LESSONS", "Lesson"]


@dataclass(frozen=True)
class Lesson:
    """Settings to begin with and captions that appear after so many steps.

    Attributes
    ----------
    title, question
        What is read first and last.
    settings
        What differs from the defaults.
    captions
        (step, text): shown from that step on.
    cures
        (label, settings): the same from the beginning with something changed.
    fork
        What differs in a second run beside it.
    """

    title: str
    settings: dict[str, Any]
    captions: tuple[tuple[int, str], ...]
    question: str
    cures: tuple[tuple[str, dict[str, Any]], ...] = ()
    fork: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Config:
        """The settings of its beginning."""
        return Config().changed(self.settings)

    def to_dict(self, name: str) -> dict[str, Any]:
        """For the page."""
        return {
            "id": name,
            "title": self.title,
            "captions": [{"step": step, "text": text} for step, text in self.captions],
            "question": self.question,
            "cures": [{"label": label, "config": settings} for label, settings in self.cures],
        }


_DEEP = [6] * 8
_CIRCLES = {"dataset": "circles", "noise": 0.1}
_LITTLE = {"dataset": "moons", "rows": 40, "noise": 0.35, "test_share": 0.5, "hidden": [16, 16]}

LESSONS: dict[str, Lesson] = {
    "textbook": Lesson(
        "By hand: a 2-2-1 network",
        {
            "dataset": "textbook",
            "test_share": 0.0,
            "hidden": [2],
            "activations": "sigmoid",
            "output": "sigmoid",
            "loss": "half_squared_error",
            "lr": 0.5,
            "batch_size": 1,
            "weights": [[[[0.1, 0.8], [0.4, 0.6]], [0.05, -0.1]], [[[0.3, 0.9]], [0.2]]],
        },
        (
            (
                0,
                "One sample, x = (0.35, 0.9), and the target 0.5. Go on phase by phase: forward, loss, "
                "backward, "
                "update. Choose any number to see the formula it comes from.",
            ),
            (1, "After one update the loss is lower: 0.0240 in place of 0.0260."),
            (10, "After ten updates the loss is less than half of what it was."),
            (100, "The output is 0.50 to two digits, delta is nearly 0, and so updates are too."),
        ),
        "The deltas of the two hidden units differ by a factor of about 3. Which weights make that so?",
    ),
    "vanishing": Lesson(
        "Vanishing gradients: 8 sigmoid layers",
        {**_CIRCLES, "hidden": _DEEP, "activations": "sigmoid", "lr": 0.3},
        (
            (
                0,
                "Look at the gradient flow: RMS dL/dW of layer 1 is less than a ten-thousandth of that of "
                "layer 9. "
                "The slope gain of each layer is at most 0.25, for no sigmoid is steeper.",
            ),
            (100, "The loss is still 0.69, that of guessing: only the last layer has changed by much."),
            (300, "Nothing has changed. The first layers would need many thousands of steps to move at all."),
        ),
        "The product of eight slope gains is about 0.22 to the 8th. What could be changed: the slopes, the "
        "weights, "
        "or the number of layers? Try each.",
        (
            ("tanh and Adam", {"activations": "tanh", "optimizer": "adam", "lr": 0.01}),
            ("leaky ReLU", {"activations": "leaky_relu"}),
            ("one layer only", {"hidden": [6], "lr": 1.0}),
        ),
    ),
    "exploding": Lesson(
        "Exploding gradients: weights three times too large",
        {**_CIRCLES, "hidden": _DEEP, "activations": "leaky_relu", "init_scale": 3.0, "lr": 0.1},
        (
            (0, "Every layer makes numbers larger, so the loss begins above 100 where guessing has 0.69."),
            (1, "One update was longer than the weights themselves: see update/weight in the gradient flow."),
            (2, "The numbers run away within a few steps: the run stops before they overflow."),
        ),
        "Clipping shortens the steps but keeps the large weights. Why does it take so much longer than "
        "beginning "
        "with weights of the right size?",
        (
            ("weights of the right size", {"init_scale": 1.0}),
            ("clip the gradient", {"clip_norm": 1.0}),
        ),
    ),
    "dying": Lesson(
        "Dying ReLU: a learning rate of 1.5",
        {**_CIRCLES, "hidden": [8, 8], "activations": "relu", "lr": 1.5, "seed": 1},
        (
            (0, "No unit is dead yet. Watch the column of dead units, and play slowly."),
            (
                60,
                "More than half of the units of a layer give 0 for every sample. Their slope is 0, so their "
                "gradient is 0, and they never change again.",
            ),
            (300, "The network is left with about half of the answers right, and stays there."),
        ),
        "What would a dead unit need to come back, and why can no gradient give it that?",
        (
            ("a smaller learning rate", {"lr": 0.1}),
            ("leaky ReLU", {"activations": "leaky_relu", "lr": 0.3}),
        ),
    ),
    "symmetry": Lesson(
        "Symmetry: all weights begin at 0",
        {"init": "zeros", "activations": "sigmoid", "lr": 1.0},
        (
            (0, "All units of a layer are alike: the same weights, the same a, the same delta."),
            (
                100,
                "What is alike gets the same gradient, and stays alike: four units are worth one. The rows "
                "of W in "
                "the table of layer 1 are equal to the last digit.",
            ),
            (300, "One unit cannot tell the corners of XOR: the accuracy is that of guessing."),
        ),
        "Edit one weight of layer 1 by 0.1. Is that enough?",
        (("random weights", {"init": "auto"}),),
    ),
    "initialisation": Lesson(
        "How large weights should begin",
        {**_CIRCLES, "hidden": [8, 8, 8], "activations": "tanh", "lr": 0.1, "init": "normal(0.01)"},
        (
            (
                0,
                "Weights of about 0.01: each layer makes its input smaller, and the output hardly depends "
                "on x.",
            ),
            (500, "The loss is still that of guessing. Try the other two."),
        ),
        "With normal(3) most units are saturated from the start. Why does it learn at all, and why does the "
        "test "
        "accuracy stay behind?",
        (
            ("too large: normal(3)", {"init": "normal(3)"}),
            ("right: Glorot", {"init": "glorot_normal"}),
        ),
    ),
    "learning_rate": Lesson(
        "Learning rate: too small, good, too large",
        {"lr": 0.001},
        (
            (0, "A learning rate of 0.001. An update changes the weights by less than a thousandth."),
            (100, "The loss is falling, but only from 0.79 to 0.78."),
            (500, "At this pace it takes tens of thousands of steps. Try 0.3, then 30."),
        ),
        "Where between 0.3 and 30 does it begin to jump? Change it while the run is playing.",
        (
            ("good: 0.3", {"lr": 0.3}),
            ("too large: 30", {"lr": 30.0}),
        ),
    ),
    "race": Lesson(
        "A race of optimizers",
        {"dataset": "spirals", "turns": 0.75, "noise": 0.03, "hidden": [8, 8], "lr": 0.1},
        (
            (0, "Two copies of one network: run A with SGD, run B with Adam. They see the same batches."),
            (100, "Both have learned the easy part."),
            (
                400,
                "Adam's loss is less than a tenth of SGD's: it takes larger steps where gradients are small.",
            ),
        ),
        "Give run A momentum 0.9. Does that close the gap?",
        (("momentum for run A", {"momentum": 0.9}),),
        {"optimizer": "adam", "lr": 0.02},
    ),
    "overfitting": Lesson(
        "Overfitting: 20 noisy points",
        {**_LITTLE, "optimizer": "adam", "lr": 0.02, "batch_size": 20},
        (
            (
                0,
                "20 points to learn from and 20 to test with, noisy, and a network of more than 300 "
                "parameters.",
            ),
            (100, "The training loss falls far below the test loss."),
            (
                1000,
                "The training points are learned by heart; the test loss is a thousand times higher, and "
                "rising.",
            ),
        ),
        "Which of the cures raises the training loss, and why is that no harm?",
        (
            ("L2 penalty 0.03", {"l2": 0.03}),
            ("more points", {"rows": 600}),
        ),
    ),
    "spiral": Lesson(
        "Spirals: how many units does it take?",
        {
            "dataset": "spirals",
            "turns": 1.0,
            "noise": 0.02,
            "hidden": [8, 8],
            "optimizer": "adam",
            "lr": 0.02,
        },
        (
            (
                0,
                "Two arms that wind around each other. Switch the neurons to maps: layer 1 draws straight "
                "edges, "
                "layer 2 bends them.",
            ),
            (800, "With 8 units in each layer about a quarter of the points stay wrong."),
        ),
        "How few units of the first layer are enough if the second has 16?",
        (("16 units in each layer", {"hidden": [16, 16]}),),
    ),
}
