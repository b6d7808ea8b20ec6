"""Models without code: features and an estimator for one table of numbers and categories, for any model folder that has
none of its own. What differs between such models stands in their model.yaml.

Imported by ``models.loader``, the jobs and a model's own modules; it imports ``raw`` and the contract.
"""
