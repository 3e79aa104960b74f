"""Holds numbers to limits: what is outside is rejected. This is the file to change."""

from weir import Log, Reading, Verdict, accept, reject


class Validator:
    def __init__(self, config: dict, log: Log) -> None:
        """Called once for each batch. A ValueError fails the batch: it says what is wrong with the configuration.

        The configuration is what the validator was deployed with: `{"limits": {"temperature": {"min": -40, "max": 85}}}`.
        """
        self.log = log
        self.limits = {}
        for metric, limits in config.get("limits", {}).items():
            try:
                self.limits[metric] = (limits["min"] + 0.0, limits["max"] + 0.0)
            except (KeyError, TypeError):
                raise ValueError(f"the configuration is wrong at `limits.{metric}`: give the numbers `min` and `max`") from None

    def check(self, reading: Reading) -> Verdict:
        """Called for each value of each reading."""
        value = reading.value
        if reading.metric not in self.limits or not isinstance(value, float):
            return accept()
        low, high = self.limits[reading.metric]
        if low <= value <= high:
            return accept()
        breach = f"below the limit of {low:g}" if value < low else f"above the limit of {high:g}"
        reason = f"{reading.metric} is {value:g}, {breach}"
        self.log.info(f"{reading.sensor}: {reason}")
        return reject(reason)
