"""Writes a small model's artifact like train_model; run in the jobs' environment.

python train_artifact.py FOLDER
"""

import sys
from pathlib import Path

from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import save_artifact
from include.models.config import load_model
from include.models.loader import estimator, feature_builder
from include.models.predictive_maintenance.simulate import simulate


def main(folder: Path) -> None:
    config = load_model("predictive_maintenance")
    table = feature_builder(config.name).build_features(simulate(seed=5, machines=4))
    train, validation = examples(config, table), examples(config, table.gather_every(5))
    hyperparameters = {**config.training.hyperparameters, "num_boost_round": 40}
    model = estimator(config.name).fit(train, validation, hyperparameters)
    save_artifact(folder, config, model, train, validation, {"hyperparameters": hyperparameters})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
