"""Multi-layer perceptrons on any GPU that wgpu reaches, and on the CPU.

:class:`MLPClassifier` and :class:`MLPRegressor` are estimators of scikit-learn. :class:`Trainer` gives the events of a
training as it goes, and :func:`load` reads the model of a run of the program ``wgrad``.
"""

import os
import sys

# Without a desktop, a layer that Mesa puts in front of Vulkan drivers complains that it finds none to sort the adapters by. wgrad chooses among
# adapters itself, so the layer stays out, unless it was asked for something. The program does the same.
if sys.platform.startswith("linux") and not {"XDG_RUNTIME_DIR", "MESA_VK_DEVICE_SELECT"} & os.environ.keys():
    os.environ.setdefault("NODEVICE_SELECT", "1")

from ._estimators import MLPClassifier, MLPRegressor
from ._model import Model, load
from ._options import TrainingWarning
from ._trainer import Trainer
from ._wgrad import __version__, vocabulary

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "Model",
    "Trainer",
    "TrainingWarning",
    "__version__",
    "load",
    "vocabulary",
]
