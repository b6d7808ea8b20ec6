"""What a model folder says of itself: the schema of ``model.yaml``, a module for each group of sections.

Read on both sides: by Airflow when Dags are parsed (so only pydantic and yaml are imported) and inside SageMaker jobs,
under another package name (so the modules import each other by relative names). Every number is bounded and unknown
keys are refused; an error names the file, the key, what was found and what is allowed.
"""

from .common import InstanceType, Scalar, Section
from .data import Clock, Column, Data, Kind, RandomSplit, Table, TimeSplit
from .features import Derived, Features
from .gates import Champion, Gate
from .model import ModelConfig, Schedule
from .monitoring import Monitoring
from .reading import MODELS_FOLDER, ConfigError, load_model, model_names
from .scoring import Bounds, Scoring
from .serving import Serving, Strategy
from .sinks import KafkaSink, Sinks, Tracking
from .training import Compute, Objective, Range, Training, Tuning

__all__ = [
    "MODELS_FOLDER",
    "Bounds",
    "Champion",
    "Clock",
    "Column",
    "Compute",
    "ConfigError",
    "Data",
    "Derived",
    "Features",
    "Gate",
    "InstanceType",
    "KafkaSink",
    "Kind",
    "ModelConfig",
    "Monitoring",
    "Objective",
    "RandomSplit",
    "Range",
    "Scalar",
    "Schedule",
    "Scoring",
    "Section",
    "Serving",
    "Sinks",
    "Strategy",
    "Table",
    "TimeSplit",
    "Tracking",
    "Training",
    "Tuning",
    "load_model",
    "model_names",
]
