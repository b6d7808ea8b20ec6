"""The contract between Airflow's side and the jobs: the schema of ``model.yaml``, one module per group of sections; the
names of the files that they exchange (``files``); the content of a drift profile.

Airflow reads it when it parses Dags, so it imports only pydantic and yaml. Every number is bounded and unknown keys are
refused; an error names the file, the key, what was found and what is allowed.
"""

from .budget import Budget
from .code import Code, Hyperparameter
from .common import INSTANCE_TYPE, ConfigError, InstanceType, Json, Scalar, Section
from .data import LINE, Clock, Column, Data, Moment, Table, is_pattern, named
from .drift_profile import DayProfile, DriftProfile, FeatureProfile
from .explaining import refusal
from .features import Derived, Features
from .gates import Bound, Champion, Gate
from .kinds import Kind
from .labels import Labels
from .model import ModelConfig, Schedule
from .monitoring import Monitoring
from .problems import Problem, nearest
from .reading import MODELS_FOLDER, load_model, model_names
from .scoring import Bounds, Scoring
from .serving import Mode, Serving, Strategy
from .sinks import Kafka, KafkaSink, SinkConnections, Sinks, Tracking
from .slices import Slice
from .split import ClusterSplit, RandomSplit, TimeSplit
from .training import Compute, Objective, Range, Training, Tuning

__all__ = [
    "INSTANCE_TYPE",
    "LINE",
    "MODELS_FOLDER",
    "Bound",
    "Bounds",
    "Budget",
    "Champion",
    "Clock",
    "ClusterSplit",
    "Code",
    "Column",
    "Compute",
    "ConfigError",
    "Data",
    "DayProfile",
    "Derived",
    "DriftProfile",
    "FeatureProfile",
    "Features",
    "Gate",
    "Hyperparameter",
    "InstanceType",
    "Json",
    "Kafka",
    "KafkaSink",
    "Kind",
    "Labels",
    "Mode",
    "ModelConfig",
    "Moment",
    "Monitoring",
    "Objective",
    "Problem",
    "RandomSplit",
    "Range",
    "Scalar",
    "Schedule",
    "Scoring",
    "Section",
    "Serving",
    "SinkConnections",
    "Sinks",
    "Slice",
    "Strategy",
    "Table",
    "TimeSplit",
    "Tracking",
    "Training",
    "Tuning",
    "is_pattern",
    "load_model",
    "model_names",
    "named",
    "nearest",
    "refusal",
]
